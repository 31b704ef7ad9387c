"""Folds of a cross-validation: every track is tested once, and tracks that must stay together share a fold.

The dealing depends on identity, labels and the seed alone, so every model gets the same folds, and another
seed deals them anew (repeated cross-validation).
"""

import warnings
from typing import Any

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.exact.streams import integer


def of_groups(genre: np.ndarray, group: np.ndarray, *, num_folds: int, seed: int) -> np.ndarray:
    """Fold of each track by scikit-learn's StratifiedGroupKFold: groups whole, genres in proportion.

    Parameters
    ----------
    genre : np.ndarray [shape=(num_tracks,)]
    group : np.ndarray [shape=(num_tracks,), dtype=int]
        Tracks of one group share a fold.
    num_folds : int
    seed : int
        The experiment's seed.

    Returns
    -------
    np.ndarray [shape=(num_tracks,), dtype=int]
        0 .. num_folds - 1, none empty.

    Raises
    ------
    GenreproError
        If there are fewer groups than folds, or a fold would be empty.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=integer(seed, "split.folds"))
    return _dealt(folds, genre, group, num_folds=num_folds, units=f"{len(np.unique(group))} artists")


def of_tracks(genre: np.ndarray, *, num_folds: int, seed: int) -> np.ndarray:
    """Fold of each track by scikit-learn's StratifiedKFold: genres in proportion, artists ignored.

    Parameters and errors are those of `of_groups`, with a track in a group's place.
    """
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(num_folds, shuffle=True, random_state=integer(seed, "split.folds"))
    return _dealt(folds, genre, None, num_folds=num_folds, units=f"{len(genre)} tracks")


def _dealt(
    folds: Any, genre: np.ndarray, group: np.ndarray | None, *, num_folds: int, units: str
) -> np.ndarray:
    number = np.full(len(genre), -1)
    try:
        with warnings.catch_warnings():  # of genres with fewer tracks than folds; that is no error
            warnings.simplefilter("ignore", UserWarning)
            for fold, (_, test) in enumerate(folds.split(np.zeros(len(genre)), genre, group)):
                number[test] = fold
    except ValueError:
        number[:] = -1
    if len(set(number) - {-1}) < num_folds:
        raise GenreproError(
            f"split: {units} cannot be dealt into {num_folds} folds of tracks; lower split.folds or use "
            "more tracks."
        )
    return number
