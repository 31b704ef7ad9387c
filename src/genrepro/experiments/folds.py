"""The predictions of a cross-validation's folds as one table, in which every track is tested once.

It lies beside the experiment's record and has the columns of metrics/predictions.csv, so `genrepro compare`
reads two of them as it reads any two runs.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.compare import revisions
from genrepro.experiments.records import FOLDER


def path(name: str, seed: int) -> Path:
    """Where the pooled predictions of an experiment's seed lie."""
    return FOLDER / f"{name}-s{seed}.csv"


def pool(tables: Sequence[bytes], *, name: str) -> bytes:
    """One predictions.csv out of those of all folds, sorted by track.

    Raises
    ------
    GenreproError
        The rest of a sentence, if a table is broken, has other genres or no groups, or shares a track with
        another: such folds are not of one dealing.
    """
    read: list[pd.DataFrame] = []
    for number, table in enumerate(tables):
        revisions.parse(table, name=f"fold {number} of {name}")  # which says what is broken
        read.append(pd.read_csv(io.BytesIO(table), dtype=str, keep_default_na=False))
    if "group" not in read[0]:
        raise GenreproError("is not recorded: its predictions name no groups; run it again.")
    if any(list(table) != list(read[0]) for table in read):
        raise GenreproError("is not recorded: its folds have different genres.")
    pooled = pd.concat(read).sort_values("track_id", kind="stable")
    twice = pooled["track_id"][pooled["track_id"].duplicated()]
    if len(twice):
        raise GenreproError(
            f"is not recorded: two of its folds test {twice.iloc[0]}, so they were dealt out differently."
        )
    return pooled.to_csv(index=False, lineterminator="\n").encode()
