"""Summarise a sweep: the winners, their test results with interval, and their selection optimism.

The best of many validation results is too good by construction. **Selection optimism** is the winner's
validation accuracy minus its test accuracy.
"""

from typing import Any

import pandas as pd

from genrepro.base.files import rounded
from genrepro.evaluate.intervals import clustered
from genrepro.sweep.snapshots import winner


def summary(
    cells: pd.DataFrame, predictions: pd.DataFrame, *, leaky: int, confidence: float
) -> dict[str, Any]:
    """The contents of metrics/sweep.json: both winners with their test results.

    Parameters
    ----------
    cells : DataFrame
        `snapshots.table`.
    predictions : DataFrame
        `snapshots.predictions`.
    leaky : int
        From metrics/split.json.
    confidence : float
        Of the interval of ``test_accuracy`` over groups (`intervals.clustered`), which ignores that the
        winner was selected.

    Returns
    -------
    dict
        ``num_cells``, ``num_diverged``, ``num_tracks``, ``num_groups``, ``leaky``. Under ``by_loss`` and
        ``by_accuracy`` the cell, its epoch, losses, accuracies and ``selection_optimism`` (validation minus
        test accuracy).
    """
    return {
        "num_cells": len(cells),
        "num_diverged": int(cells["loss_epoch"].isna().sum()),
        "num_tracks": len(predictions),
        "num_groups": predictions["group"].nunique(),
        "leaky": leaky,
        **{
            f"by_{by}": _described(winner(cells, by), predictions, by, confidence)
            for by in ("loss", "accuracy")
        },
    }


def _described(best: pd.Series, predictions: pd.DataFrame, by: str, confidence: float) -> dict[str, Any]:
    accuracy = float(best["test_accuracy"])
    correct = (predictions[f"by_{by}"] == predictions["genre"]).to_numpy()
    low, high = clustered(correct, predictions["group"].to_numpy(), confidence=confidence)
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
