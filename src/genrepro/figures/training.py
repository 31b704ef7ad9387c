"""One training and its test as pictures: learning curves and the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from genrepro.base import lettering
from genrepro.figures.plotting import save


def learning_curves(curves: pd.DataFrame, *, best_epoch: int, path: Path) -> None:
    """Loss and accuracy by epoch, training beside validation, the kept epoch marked."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for side in ("train", "validation"):
            axis.plot(curves["epoch"], curves[f"{side}_{quantity}"], label=side)
        axis.axvline(best_epoch, color="grey", linestyle=":", label="kept")
        axis.set(xlabel="epoch", ylabel=quantity)
        axis.grid(alpha=0.3)
        axis.legend()
    save(figure, path)


def confusion_matrix(predictions: pd.DataFrame, *, genres: Sequence[str], path: Path) -> None:
    """Counts of true against predicted genre over the test tracks."""
    import matplotlib.pyplot as plt
    from sklearn.metrics import ConfusionMatrixDisplay

    figure, axis = plt.subplots(figsize=(7, 6.4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        predictions["genre"],
        predictions["predicted"],
        labels=list(genres),
        display_labels=[lettering.drawable(genre) for genre in genres],
        ax=axis,
        xticks_rotation="vertical",
        colorbar=False,
        cmap="magma",
    )
    axis.set_title(f"{len(predictions)} test tracks")
    save(figure, path)
