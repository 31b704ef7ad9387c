"""Draw one training and its test: learning curves and the confusion matrix.

Tables are mappings from column names to values, so that pandas is not needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from genrepro.base import lettering
from genrepro.figures.plotting import save


def learning_curves(curves: Mapping[str, Sequence[float]], *, best_epoch: int, path: Path) -> None:
    """Draw loss and accuracy by epoch for training and validation, and mark the kept epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for side in ("train", "validation"):
            axis.plot(curves["epoch"], curves[f"{side}_{quantity}"], label=side)
        axis.axvline(best_epoch, color="grey", linestyle=":", label="kept")
        axis.set(xlabel="epoch", ylabel=quantity)
        axis.grid(alpha=0.3)
        axis.legend()
    save(figure, path)


def confusion_matrix(predictions: Mapping[str, Sequence[str]], *, genres: Sequence[str], path: Path) -> None:
    """Draw the counts of true and predicted genre over the test tracks."""
    from matplotlib.figure import Figure

    place = {genre: number for number, genre in enumerate(genres)}
    true, predicted = ([place[genre] for genre in predictions[key]] for key in ("genre", "predicted"))
    counts = np.zeros((len(genres), len(genres)), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    axis = figure.subplots()
    axis.imshow(counts, cmap="magma")
    for (row, column), count in np.ndenumerate(counts):
        bright = count > counts.max() / 2
        axis.text(column, row, str(count), ha="center", va="center", color="black" if bright else "white")
    names = [lettering.drawable(genre) for genre in genres]
    axis.set_xticks(range(len(genres)), names, rotation="vertical")
    axis.set_yticks(range(len(genres)), names)
    axis.set(xlabel="predicted genre", ylabel="true genre", title=f"{len(true)} test tracks")
    save(figure, path)
