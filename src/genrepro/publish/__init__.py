"""Publish a trained model so that others' tools can read it: a folder, or a repository of Hugging Face's hub.

In: models/, metrics/, data/<dataset>/. Out: weights, model card, a table of the tracks, Croissant metadata.
No audio is published. Read `licences` (what the data may be used for), `card` (the model card), `croissant`
(the data set's metadata), `folder` (all of it together), `commands` (`genrepro publish`).
"""
