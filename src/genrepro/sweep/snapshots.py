"""Choose epochs and heads of a sweep by validation.

Every head has two snapshots, as in the ViT report's two sweeps: the epoch with the best validation accuracy
and the epoch with the lowest validation loss.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError

CELL = ["seed", "lr", "weight_decay"]
# How each snapshot ranks epochs and heads, as (keys, ascending). The second key breaks ties.
ORDERS = {
    "accuracy": (["validation_accuracy", "validation_loss"], [False, True]),
    "loss": (["validation_loss", "validation_accuracy"], [True, False]),
}
_KEPT = ("epoch", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """The contents of metrics/sweep/cells.csv: both snapshots of every head.

    Parameters
    ----------
    curves : DataFrame
        Columns of `tables.SWEEP`, and ``test_loss`` and ``test_accuracy`` of every epoch. Only those of the
        two snapshots are kept.

    Returns
    -------
    DataFrame
        `CELL`, then ``accuracy_epoch``, ``accuracy_validation_loss``, ... and the same for ``loss``, six
        decimals. They are empty for a head that never had a finite validation loss.
    """
    found = curves[CELL].drop_duplicates(ignore_index=True)
    finite = curves[curves["validation_loss"].notna()]
    for name, (keys, ascending) in ORDERS.items():
        # The sort is stable, so that the first of equal epochs is kept.
        ranked = finite.sort_values(keys, ascending=ascending, kind="stable")
        best = ranked.drop_duplicates(CELL)[[*CELL, *_KEPT]]
        # float32 is too coarse to be rounded to six decimals.
        best[list(_KEPT[1:])] = best[list(_KEPT[1:])].astype("float64").round(6)
        best = best.rename(columns={key: f"{name}_{key}" for key in _KEPT}).astype({f"{name}_epoch": "Int64"})
        found = found.merge(best, on=CELL, how="left", validate="one_to_one")
    return found


def ranked(cells: pd.DataFrame, by: str) -> pd.DataFrame:
    """The heads by their snapshot ``by`` (a key of `ORDERS`), best first. Diverged heads are left out."""
    keys, ascending = ORDERS[by]
    finite = cells.dropna(subset=[f"{by}_epoch"]).sort_values(CELL)
    return finite.sort_values([f"{by}_{key}" for key in keys], ascending=ascending, kind="stable")


def winner(cells: pd.DataFrame, by: str) -> pd.Series:
    """The best head and its snapshot ``by``. Of equal ones the first."""
    heads = ranked(cells, by)
    if heads.empty:
        raise GenreproError("sweep: no head has a finite validation loss; lower the learning rates.")
    best = heads.iloc[0]
    return best[[*CELL, *(f"{by}_{key}" for key in _KEPT)]].rename(lambda key: key.removeprefix(f"{by}_"))


def predictions(
    curves: pd.DataFrame, cells: pd.DataFrame, tested: pd.DataFrame, *, genres: Sequence[str]
) -> pd.DataFrame:
    """The contents of metrics/sweep/predictions.csv: what both winners say of each test track.

    Parameters
    ----------
    curves : DataFrame
        As for `table`, with ``test_predicted``.
    cells : DataFrame
        `table`.
    tested : DataFrame
        `heads.tested_tracks`.
    genres : sequence of str
        Names of the labels.

    Returns
    -------
    DataFrame
        The columns of ``tested``, and the predicted genre as ``by_loss`` and ``by_accuracy``.
    """
    found = tested.copy()
    for by in ("loss", "accuracy"):
        best = winner(cells, by)
        of_it = (curves[[*CELL, "epoch"]] == best[[*CELL, "epoch"]]).all(axis=1)
        (predicted,) = curves.loc[of_it, "test_predicted"]
        found[f"by_{by}"] = np.array(genres, object)[np.asarray(predicted, int)]
    return found


def write(
    folder: Path,
    cells: pd.DataFrame,
    curves: pd.DataFrame,
    predictions: pd.DataFrame,
    summary: dict[str, Any],
) -> None:
    """Write ``sweep.json``, and ``cells.csv``, ``predictions.csv`` and ``curves.parquet`` in ``sweep/``."""
    empty = cells.astype(object).where(cells.notna(), None)
    files.write_csv(folder / "sweep" / "cells.csv", list(cells.columns), empty.to_numpy())
    files.write_csv(
        folder / "sweep" / "predictions.csv", list(predictions.columns), predictions.to_numpy(object)
    )
    table = pa.Table.from_pandas(curves[tables.SWEEP.names], schema=tables.SWEEP, preserve_index=False)
    files.write_parquet(folder / "sweep" / "curves.parquet", [table], tables.SWEEP)
    files.write_json(folder / "sweep.json", summary)
