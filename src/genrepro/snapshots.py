"""Which epoch of which head a sweep keeps, by validation, and what the choice is worth on the test tracks.

Two snapshots of every head: its best validation accuracy and its lowest validation loss, as the ViT report's
two sweeps had them. The best of many validation results is too good by construction: **selection optimism**
is what the winner loses between validation and test.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from genrepro import files, schema
from genrepro.errors import GenreproError
from genrepro.evaluation import wilson
from genrepro.files import rounded

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
        Columns of `schema.SWEEP`, and ``test_loss`` and ``test_accuracy`` of every epoch, of which only those
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


def summary(cells: pd.DataFrame, *, num_tracks: int, leaky: int, confidence: float) -> dict[str, Any]:
    """Of metrics/sweep.json: both winners with their test results.

    Parameters
    ----------
    cells : DataFrame
        `table`.
    num_tracks : int
        Test tracks.
    leaky : int
        Of metrics/split.json.
    confidence : float
        Of the Wilson interval of ``test_accuracy``, which ignores that the winner was chosen.

    Returns
    -------
    dict
        ``num_cells``, ``num_diverged``, ``num_tracks``, ``leaky``; under ``by_loss`` and ``by_accuracy`` the
        cell, its epoch, losses, accuracies and ``selection_optimism``: validation minus test accuracy.
    """
    return {
        "num_cells": len(cells),
        "num_diverged": int(cells["loss_epoch"].isna().sum()),
        "num_tracks": num_tracks,
        "leaky": leaky,
        **{f"by_{by}": _described(winner(cells, by), num_tracks, confidence) for by in ("loss", "accuracy")},
    }


def write(folder: Path, cells: pd.DataFrame, curves: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Write ``sweep.json``, ``sweep/cells.csv`` and ``sweep/curves.parquet`` below ``folder``."""
    empty = cells.astype(object).where(cells.notna(), None)
    files.write_csv(folder / "sweep" / "cells.csv", list(cells.columns), empty.to_numpy())
    table = pa.Table.from_pandas(curves[schema.SWEEP.names], schema=schema.SWEEP, preserve_index=False)
    files.write_parquet(folder / "sweep" / "curves.parquet", [table], schema.SWEEP)
    files.write_json(folder / "sweep.json", summary)


def _described(best: pd.Series, num_tracks: int, confidence: float) -> dict[str, Any]:
    accuracy = float(best["test_accuracy"])
    low, high = wilson(round(accuracy * num_tracks), num_tracks, confidence=confidence)
    return {
        "lr": float(best["lr"]),
        "weight_decay": float(best["weight_decay"]),
        "seed": int(best["seed"]),
        "epoch": int(best["epoch"]),
        "validation_loss": rounded(best["validation_loss"]),
        "validation_accuracy": rounded(best["validation_accuracy"]),
        "test_loss": rounded(best["test_loss"]),
        "test_accuracy": rounded(accuracy),
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "selection_optimism": rounded(float(best["validation_accuracy"]) - accuracy),
    }
