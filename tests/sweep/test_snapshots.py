"""Claims about what a sweep keeps: the best epoch of every head, the best head, and what choosing cost."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from genrepro.base.errors import GenreproError
from genrepro.evaluate.intervals import clustered
from genrepro.sweep import optimism, snapshots

LABEL = np.arange(10) % 2


def make_curves(num_epochs: int = 6, *, heads: int = 5, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "seed": 0,
            "lr": 0.001 * (1 + head),
            "weight_decay": 0.01,
            "epoch": epoch,
            "validation_loss": rng.uniform(0.5, 2),
            "validation_accuracy": rng.integers(0, 5) / 5,
            "test_loss": rng.uniform(0.5, 2),
            "test_accuracy": right / 10,
            "test_predicted": np.where(np.arange(10) < right, LABEL, 1 - LABEL),
        }
        for head in range(heads)
        for epoch in range(1, num_epochs + 1)
        for right in [rng.integers(0, 11)]
    ]
    return pd.DataFrame(rows)


def predicted(curves: pd.DataFrame) -> pd.DataFrame:
    """Two genres, and two tracks of each artist."""
    tested = {
        "track_id": [f"t{number}" for number in range(10)],
        "genre": ["jazz" if label else "blues" for label in LABEL],
        "group": [f"artist {number // 2}" for number in range(10)],
    }
    genres = ["blues", "jazz"]
    return snapshots.predictions(curves, snapshots.table(curves), pd.DataFrame(tested), genres=genres)


def summarised(curves: pd.DataFrame, *, leaky: int) -> dict[str, Any]:
    return optimism.summary(snapshots.table(curves), predicted(curves), leaky=leaky, confidence=0.95)


def test_each_head_keeps_its_best_epoch_and_that_epochs_test_result() -> None:
    for seed in range(5):
        curves = make_curves(seed=seed)
        cells = snapshots.table(curves)
        for _, cell in cells.iterrows():
            own = curves[curves["lr"] == cell["lr"]]
            lowest = own.loc[own["validation_loss"].idxmin()]
            assert cell["loss_epoch"] == lowest["epoch"]
            assert cell["loss_test_accuracy"] == lowest["test_accuracy"]
            highest = own[own["validation_accuracy"] == own["validation_accuracy"].max()]
            highest = highest.loc[highest["validation_loss"].idxmin()]
            assert cell["accuracy_epoch"] == highest["epoch"]
            assert cell["accuracy_test_loss"] == round(highest["test_loss"], 6)


def test_a_test_result_never_decides() -> None:
    curves = make_curves()
    shuffled = curves.assign(
        test_loss=curves["test_loss"].to_numpy()[::-1], test_accuracy=curves["test_accuracy"].to_numpy()[::-1]
    )
    kept = ["lr", "loss_epoch", "accuracy_epoch"]
    pd.testing.assert_frame_equal(snapshots.table(curves)[kept], snapshots.table(shuffled)[kept])


def test_the_winner_is_best_by_validation_and_its_optimism_is_what_it_loses() -> None:
    curves = make_curves()
    summary = summarised(curves, leaky=1)
    lowest = curves.loc[curves["validation_loss"].idxmin()]
    best = summary["by_loss"]
    assert isinstance(best, dict)
    assert best["lr"] == lowest["lr"] and best["epoch"] == lowest["epoch"]
    assert best["selection_optimism"] == pytest.approx(
        lowest["validation_accuracy"] - lowest["test_accuracy"]
    )
    assert best["test_accuracy_low"] <= best["test_accuracy"] <= best["test_accuracy_high"]
    assert summary["num_cells"] == 5 and summary["leaky"] == 1 and summary["num_diverged"] == 0
    assert (summary["num_tracks"], summary["num_groups"]) == (10, 5)
    low, high = clustered(np.arange(10) < round(10 * best["test_accuracy"]), np.arange(10) // 2)
    assert (best["test_accuracy_low"], best["test_accuracy_high"]) == (low, high)


def test_the_winners_predictions_are_those_of_their_epoch() -> None:
    for seed in range(5):
        curves = make_curves(seed=seed)
        found = predicted(curves)
        for by in ("loss", "accuracy"):
            best = snapshots.winner(snapshots.table(curves), by)
            right = found[f"by_{by}"] == found["genre"]
            assert right.mean() == pytest.approx(best["test_accuracy"], abs=1e-6)
            assert right.is_monotonic_decreasing  # the first tracks are right in `make_curves`


def test_a_head_that_diverged_is_counted_and_never_wins() -> None:
    curves = make_curves()
    broken = curves["lr"] == 0.001
    curves.loc[broken, ["validation_loss", "test_loss"]] = np.nan
    curves.loc[broken, "validation_accuracy"] = 1.0
    curves.loc[~broken & (curves["epoch"] > 3), "validation_loss"] = np.nan
    cells = snapshots.table(curves)
    summary = summarised(curves, leaky=0)
    assert len(cells) == 5 and summary["num_diverged"] == 1
    assert snapshots.winner(cells, "accuracy")["lr"] != 0.001
    assert (cells["loss_epoch"].dropna() <= 3).all()


def test_where_all_diverged_there_is_a_sentence() -> None:
    curves = make_curves().assign(validation_loss=np.nan)
    with pytest.raises(GenreproError, match="lower the learning rates"):
        summarised(curves, leaky=0)


def test_of_equal_heads_the_first_wins() -> None:
    curves = make_curves().assign(validation_loss=1.0, validation_accuracy=0.5)
    cells = snapshots.table(curves)
    for rows in (cells, cells[::-1]):
        winner = snapshots.winner(rows, "loss")
        assert winner["lr"] == 0.001 and winner["epoch"] == 1
