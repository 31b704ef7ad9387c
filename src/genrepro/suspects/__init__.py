"""Which tracks should a person listen to? Labels that are probably wrong, and tracks that are like no genre.

In: predictions of tracks by models that did not train on them, best of all a cross-validation's. Out:
data/<dataset>/suspects.csv and a page that plays the first ones. Read `ranking` (the order), `page`
(suspects.html), `commands` (`genrepro suspects`).
"""
