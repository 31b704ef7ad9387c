"""Claims about the figures of a training: the data alone decide their bytes."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from genrepro.figures import training

CURVES = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [2.0, 1.5, 1.0],
        "validation_loss": [2.1, 1.7, 1.8],
        "train_accuracy": [0.2, 0.4, 0.6],
        "validation_accuracy": [0.1, 0.3, 0.4],
    }
)
PREDICTIONS = pd.DataFrame(
    {"genre": ["jazz", "jazz", "rock", "rock"], "predicted": ["jazz", "rock", "rock", "rock"]}
)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: training.learning_curves(CURVES, best_epoch=2, path=path),
        lambda path: training.confusion_matrix(PREDICTIONS, genres=["jazz", "pop", "rock"], path=path),
    ],
    ids=["learning curves", "confusion matrix"],
)
def test_a_figure_drawn_twice_is_the_same_bytes(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    draw(tmp_path / "one.png")
    draw(tmp_path / "a" / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "a" / "other.png").read_bytes()


def test_other_data_is_another_figure(tmp_path: Path) -> None:
    training.learning_curves(CURVES, best_epoch=2, path=tmp_path / "one.png")
    training.learning_curves(CURVES, best_epoch=3, path=tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()


def test_no_figure_stays_open(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    training.learning_curves(CURVES, best_epoch=2, path=tmp_path / "a.png")
    assert plt.get_fignums() == []
