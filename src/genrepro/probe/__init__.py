"""Stage probe: what embeddings say without training a network.

In: embeddings.parquet, the split. Out: metrics/probe.json: logistic regression, nearest neighbours, eight
tracks a genre, and whether the body tells tracks apart; layer and setting of each chosen on validation. Read
`measure` (the choice and the one test), `classifiers` (scikit-learn's, and their settings), `spread`
(collapse).
"""

from genrepro.probe.measure import run

__all__ = ["run"]
