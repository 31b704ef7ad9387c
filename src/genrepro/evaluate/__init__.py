"""Stage evaluate: from a trained model to its scores and how certain they are.

In: model, features, the test side of the split. Out: metrics/test.json, per_genre.csv, predictions.csv.
Read `scores` (the votes and their scores), `intervals` (confidence intervals over groups of tracks).
"""

from genrepro.evaluate.intervals import wilson
from genrepro.evaluate.scores import Scores, run

__all__ = ["Scores", "run", "wilson"]
