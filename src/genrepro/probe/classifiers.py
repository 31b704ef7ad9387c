"""The classifiers of the probe, all scikit-learn's, on embeddings standardised by the training tracks.

Logistic regression is the linear probe without a training recipe: its loss has one minimum. Nearest
neighbours and eight tracks a genre are what X-ARES (Zhang et al., 2025) and MTEB's family of benchmarks
report.
"""

from collections.abc import Iterator

import numpy as np

from genrepro.exact.streams import generator

INVERSE_PENALTIES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's C
NEIGHBOURS = (1, 3, 5, 10, 20)
SHOTS = 8  # tracks a genre
DRAWS = 10


def logistic(
    train: np.ndarray, label: np.ndarray, others: list[np.ndarray], *, penalty: float
) -> list[np.ndarray]:
    """Probabilities [shape=(num_tracks, num_genres)] of each of ``others`` by logistic regression.

    Parameters
    ----------
    train : np.ndarray [shape=(num_tracks, size)]
    label : np.ndarray [shape=(num_tracks,), dtype=int]
        Every genre occurs.
    others : list of np.ndarray [shape=(num_tracks, size)]
    penalty : float
        The inverse of the L2 penalty, scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000))
    model.fit(train, label)
    return [model.predict_proba(other) for other in others]


def neighbours(
    train: np.ndarray, label: np.ndarray, others: list[np.ndarray], *, number: int
) -> list[np.ndarray]:
    """Shares of genres [shape=(num_tracks, num_genres)] among the nearest training tracks by cosine."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(),
        KNeighborsClassifier(min(number, len(train)), metric="cosine", algorithm="brute"),
    )
    model.fit(train, label)
    return [model.predict_proba(other) for other in others]


def few(label: np.ndarray, *, seed: int) -> Iterator[np.ndarray]:
    """Rows of `SHOTS` training tracks of each genre, drawn `DRAWS` times; all of a genre that has fewer."""
    rng = generator(seed, "probe.few")
    for _ in range(DRAWS):
        yield np.concatenate(
            [rng.permutation(np.flatnonzero(label == genre))[:SHOTS] for genre in range(int(label.max()) + 1)]
        )
