"""A page to hear and see what the model says: `genrepro listen`, by Gradio (the extra ``page``).

In: a model, data/<dataset>/, files that somebody drops. Out: players, spectrograms, probabilities over time.
Read `collection` (the data set's tracks), `known` (copies and neighbours of a file among them), `sounds`
(what the page plays), `drawing` (a track as HTML), `page` (the two tabs), `site` (the server), `commands`.
"""
