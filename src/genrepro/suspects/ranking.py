"""The order in which tracks are worth a listen, from probabilities that no model learned by heart.

cleanlab does the work: confident learning (Northcutt, Jiang and Chuang, JAIR 2021) says which labels are
probably wrong, and the entropy of the probabilities which tracks are like no genre. What that adds to the
plain order was measured on GTZAN: docs/decisions/2026-11-26-every-track-once.md.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.compare.pairs import how_test_sets_differ
from genrepro.compare.revisions import Predictions


def rank(runs: Sequence[Predictions]) -> pd.DataFrame:
    """Every track with its scores, the most suspect label first.

    Parameters
    ----------
    runs : sequence of Predictions
        At least one, all of the same tracks: their probabilities are averaged. Each track must have been
        predicted by models that did not train on it.

    Returns
    -------
    DataFrame
        Columns track_id, genre, ``likelier`` (the likeliest other genre), ``own_probability`` and
        ``likelier_probability``, ``quality`` (0..1, cleanlab's score of the label; the order of the rows),
        ``wrong`` (whether confident learning takes the label for wrong), ``typicality`` (0..1, low where the
        track is like no genre).

    Raises
    ------
    GenreproError
        If the runs were not tested on the same tracks, or there is a genre without tracks.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.outlier import OutOfDistribution
    from cleanlab.rank import get_label_quality_scores

    first, *others = runs
    for other in others:
        if differs := how_test_sets_differ(first, other):
            raise GenreproError(f"{first.name} and {other.name} cannot be averaged: {differs}.")
    label = first.label
    for genre in sorted(set(range(len(first.genres))) - set(label))[:1]:
        raise GenreproError(
            f"{first.name} has no track of the genre {first.genres[genre]}: suspects need every genre."
        )
    # Four decimals do not sum to 1, which cleanlab asks for.
    probabilities = np.mean([run.probabilities for run in runs], axis=0)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(label))
    rest = probabilities.copy()
    rest[rows, label] = -1
    likelier = rest.argmax(axis=1)
    names = np.array(first.genres, dtype=object)
    table = pd.DataFrame(
        {
            "track_id": first.track_ids,
            "genre": names[label],
            "likelier": names[likelier],
            "own_probability": probabilities[rows, label].round(4),
            "likelier_probability": probabilities[rows, likelier].round(4),
            "quality": get_label_quality_scores(label, probabilities, method="normalized_margin").round(6),
            "wrong": find_label_issues(label, probabilities, filter_by="confident_learning", n_jobs=1),
            "typicality": OutOfDistribution()
            .fit_score(pred_probs=probabilities, labels=label, verbose=False)
            .round(6),
        }
    )
    return table.sort_values(["quality", "track_id"], ignore_index=True)
