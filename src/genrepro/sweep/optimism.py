"""Summarise a sweep: the winners, their test results with interval, and their selection optimism.

The best of many validation results is too good by construction. **Selection optimism** is the winner's
validation accuracy minus its test accuracy.
"""

from typing import Any

import pandas as pd

from genrepro.base.files import rounded
from genrepro.evaluate.intervals import wilson
from genrepro.sweep.snapshots import winner


def summary(cells: pd.DataFrame, *, num_tracks: int, leaky: int, confidence: float) -> dict[str, Any]:
    """The contents of metrics/sweep.json: both winners with their test results.

    Parameters
    ----------
    cells : DataFrame
        `snapshots.table`.
    num_tracks : int
        Test tracks.
    leaky : int
        From metrics/split.json.
    confidence : float
        Confidence of the Wilson interval of ``test_accuracy``, which ignores that the winner was selected.

    Returns
    -------
    dict
        ``num_cells``, ``num_diverged``, ``num_tracks``, ``leaky``. Under ``by_loss`` and ``by_accuracy`` the
        cell, its epoch, losses, accuracies and ``selection_optimism`` (validation minus test accuracy).
    """
    return {
        "num_cells": len(cells),
        "num_diverged": int(cells["loss_epoch"].isna().sum()),
        "num_tracks": num_tracks,
        "leaky": leaky,
        **{f"by_{by}": _described(winner(cells, by), num_tracks, confidence) for by in ("loss", "accuracy")},
    }


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
