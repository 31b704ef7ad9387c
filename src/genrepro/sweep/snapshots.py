"""Which epoch of which head a sweep keeps, by validation.

Two snapshots of every head: its best validation accuracy and its lowest validation loss, as the ViT report's
two sweeps had them.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError

CELL = ["seed", "lr", "weight_decay"]
# For each snapshot, in what order epochs and heads are better: ties by the other quantity.
ORDERS = {
    "accuracy": (["validation_accuracy", "validation_loss"], [False, True]),
    "loss": (["validation_loss", "validation_accuracy"], [True, False]),
}
_KEPT = ("epoch", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """metrics/sweep/cells.csv: both snapshots of every head.

    Parameters
    ----------
    curves : DataFrame
        Columns of `tables.SWEEP`, and ``test_loss`` and ``test_accuracy`` of every epoch, of which only those
        of the two snapshots are kept.

    Returns
    -------
    DataFrame
        `CELL`, then ``accuracy_epoch``, ``accuracy_validation_loss``, ... and the same for ``loss``, six
        decimals; a head that never had a finite validation loss has none of them.
    """
    found = curves[CELL].drop_duplicates(ignore_index=True)
    finite = curves[curves["validation_loss"].notna()]
    for name, (keys, ascending) in ORDERS.items():
        # A stable sort: of equal epochs the first.
        ranked = finite.sort_values(keys, ascending=ascending, kind="stable")
        best = ranked.drop_duplicates(CELL)[[*CELL, *_KEPT]]
        # float32 has no six decimals to round to.
        best[list(_KEPT[1:])] = best[list(_KEPT[1:])].astype("float64").round(6)
        best = best.rename(columns={key: f"{name}_{key}" for key in _KEPT}).astype({f"{name}_epoch": "Int64"})
        found = found.merge(best, on=CELL, how="left", validate="one_to_one")
    return found


def winner(cells: pd.DataFrame, by: str) -> pd.Series:
    """The head whose snapshot ``by`` (a key of `ORDERS`) validation calls best; of equal ones the first."""
    keys, ascending = ORDERS[by]
    ranked = cells.dropna(subset=[f"{by}_epoch"])
    if ranked.empty:
        raise GenreproError("sweep: no head has a finite validation loss; lower the learning rates.")
    ranked = ranked.sort_values([f"{by}_{key}" for key in keys], ascending=ascending, kind="stable")
    best = ranked.iloc[0]
    return best[[*CELL, *(f"{by}_{key}" for key in _KEPT)]].rename(lambda key: key.removeprefix(f"{by}_"))


def write(folder: Path, cells: pd.DataFrame, curves: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Write ``sweep.json``, ``sweep/cells.csv`` and ``sweep/curves.parquet`` below ``folder``."""
    empty = cells.astype(object).where(cells.notna(), None)
    files.write_csv(folder / "sweep" / "cells.csv", list(cells.columns), empty.to_numpy())
    table = pa.Table.from_pandas(curves[tables.SWEEP.names], schema=tables.SWEEP, preserve_index=False)
    files.write_parquet(folder / "sweep" / "curves.parquet", [table], tables.SWEEP)
    files.write_json(folder / "sweep.json", summary)
