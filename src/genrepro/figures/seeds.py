"""Draw several runs of one recipe: curves by epoch over seeds, and accuracy by training tracks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genrepro.evaluate.intervals import wilson_of_share
from genrepro.figures import plotting
from genrepro.figures.plotting import caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLUMNS = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
"""Columns of metrics/curves.csv."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """The runs on one share of the training tracks, one for each seed."""

    num_train: tuple[int, ...]
    """Whole artists are left out, so seeds with their own splits differ a little."""
    accuracy: tuple[float, ...]
    num_tracks: int
    """Number of test tracks of one run."""
    interval: tuple[float, float] | None = None
    """95 % interval of the mean over artists. None if it is not known which tracks were right."""


def learning_curves(runs: Sequence[pd.DataFrame], *, about: str = "") -> "Figure":
    """Loss and accuracy by epoch, means over seeds with bands from the lowest to the highest.

    Parameters
    ----------
    runs : sequence of pd.DataFrame
        metrics/curves.csv of each seed. If early stopping ended some of them earlier, the means end with the
        first, because the mean over the others would jump.
    about : str
        Opens the caption.
    """
    lengths = [len(run) for run in runs]
    together = pd.concat(runs).groupby("epoch").agg(["mean", "min", "max"]).iloc[: min(lengths)]
    figure, axes = plotting.subplots(1, 2, figsize=(10, 4.2), sharex=True)
    for axis, quantity in zip(axes.flat, ("loss", "accuracy"), strict=True):
        for colour, side in (("C0", "train"), ("C1", "validation")):
            rows = together[f"{side}_{quantity}"]
            axis.plot(rows.index, rows["mean"], colour, label=side, marker="." if len(rows) == 1 else "")
            if len(runs) > 1:
                axis.fill_between(rows.index, rows["min"], rows["max"], color=colour, alpha=0.2, linewidth=0)
        axis.set(xlabel="epoch", ylabel="cross entropy" if quantity == "loss" else "accuracy")
    axes.flat[1].yaxis.set_major_formatter(plotting.percent())
    plotting.whole_numbers(axes.flat[0])
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    several = f"Means of {len(runs)} seeds, bands from the lowest to the highest."
    stopped = f"Seeds ended after {min(lengths)} to {max(lengths)} epochs." if len(set(lengths)) > 1 else ""
    caption(figure, plotting.sentences(about, several if len(runs) > 1 else "One seed.", stopped))
    return figure


def accuracy_by_samples(lines: Mapping[str, Sequence[Point]], *, about: str = "") -> "Figure":
    """Test accuracy by number of training tracks, a line for each model: the AST report's figure 6.

    Parameters
    ----------
    lines : mapping of str to sequence of Point
        By name in the legend. If all points of all lines have an interval over artists, bands are these.
        If not, bands reach from the lowest to the highest seed, and error bars are 95 % Wilson intervals of
        the mean on the test tracks of one run.
    about : str
        Opens the caption.
    """
    figure, axes = plotting.subplots(1, 1, figsize=(7.5, 5))
    axis = axes[0, 0]
    known = all(point.interval is not None for points in lines.values() for point in points)
    for number, (name, points) in enumerate(lines.items()):
        ordered = sorted(points, key=lambda point: np.mean(point.num_train))
        across = [float(np.mean(point.num_train)) for point in ordered]
        mean = [float(np.mean(point.accuracy)) for point in ordered]
        ends = [wilson_of_share(value, point.num_tracks) for value, point in zip(mean, ordered, strict=True)]
        bars = np.abs(np.array(ends).T - mean)  # one test set of that size; a band is that of its seeds
        axis.errorbar(
            across,
            mean,
            None if known else bars,
            color=f"C{number}",
            marker="o",
            markersize=4,
            capsize=2.5,
            elinewidth=0.8,
            label=name,
        )
        ranges = [point.interval if known and point.interval else (min(point.accuracy), max(point.accuracy))
                  for point in ordered]  # fmt: skip
        lowest, highest = zip(*ranges, strict=True)
        axis.fill_between(across, lowest, highest, color=f"C{number}", alpha=0.2, linewidth=0)
    axis.set(xlabel="training tracks", ylabel="test accuracy")
    axis.set_xlim(left=0)
    axis.yaxis.set_major_formatter(plotting.percent())
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    tracks = {point.num_tracks for points in lines.values() for point in points}
    seeds = {len(point.accuracy) for points in lines.values() for point in points}
    dots = f"Dots: means of {_range(seeds)} seeds; "
    seen = f"n = {_range(tracks)} test tracks."
    if known:
        bands = f"bands: 95 % intervals of the mean over artists, {seen}"
    else:
        bands = f"bands: lowest to highest seed; bars: 95 % Wilson intervals of the mean, {seen}"
    caption(figure, plotting.sentences(about, dots + bands))
    return figure


def _range(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
