"""Draw a sweep by epoch: the ViT report's three figures, with its own curves beside ours.

`draw` writes all figures. Every other function builds one and does not save it. Learning rates are ordered,
so they share a scale of colours. A bar beside the figure names them, or five entries above a panel.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genrepro.figures import plotting, selection
from genrepro.figures.averages import NAMED, Axis, Quantity, averaged, common, labels, number, panels
from genrepro.figures.plotting import caption, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = (
    "error_by_hyperparameter",
    "error_by_lr",
    "loss_by_lr",
    "validation_and_test",
    "grid",
    "minibatches",
)
"""The files that `draw` writes, without their endings."""

_QUANTITIES: dict[Quantity, str] = {"error": "validation error", "loss": "validation loss (cross entropy)"}


def draw(
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    folder: Path,
    log: pd.DataFrame | None = None,
    about: str = "",
) -> None:
    """Write every figure of `NAMES` as a PNG into ``folder``.

    Parameters
    ----------
    curves : pd.DataFrame
        metrics/sweep/curves.parquet: a row for each cell and epoch.
    cells : pd.DataFrame
        metrics/sweep/cells.csv: a row for each cell.
    folder : Path
    log : pd.DataFrame, optional
        A published sweep's curves (`averages.read_log`), drawn dashed beside ours.
    about : str
        The first sentence of every caption: data, split, model, numbers of tracks. With a full stop.
    """
    drawn = (
        by_hyperparameter(curves, quantity="error", about=about),
        by_lr(curves, quantity="error", log=log, about=about),
        by_lr(curves, quantity="loss", log=log, about=about),
        selection.validation_and_test(cells, about=about),
        selection.grid(cells, about=about),
        selection.minibatches(curves, cells, about=about),
    )
    for name, figure in zip(NAMES, drawn, strict=True):
        save(figure, folder / f"{name}.png", dpi=plotting.DPI)


def by_hyperparameter(curves: pd.DataFrame, *, quantity: Quantity, about: str = "") -> "Figure":
    """A line by epoch for each learning rate (left) and each weight decay (right): the report's figure 1."""
    figure, axes = plotting.subplots(1, 2, figsize=(11, 4.6), sharex=True, sharey=True)
    sides: tuple[Axis, Axis] = ("lr", "weight_decay")
    shown = []
    for axis, by in zip(axes.flat, sides, strict=True):
        means = averaged(curves, by=by, quantity=quantity)
        values = sorted(curves[by].unique())
        for value, colour in zip(values, plotting.colours(len(values)), strict=True):
            _line(axis, means.loc[[value]], colour, band=max(0.03, 0.5 / len(values)))
        axis.set_title(f"one line a {NAMED[by]}", fontsize=10)
        axis.set_xlabel("epoch")
        plotting.colour_bar(figure, [axis], values, labels(values), label=NAMED[by])
        shown.append(means["mean"])
    axes.flat[0].set_ylabel(f"mean {_QUANTITIES[quantity]}")
    plotting.whole_numbers(axes.flat[0])
    beyond = plotting.fit_y(axes.flat[0], np.concatenate(shown), loss=quantity == "loss")
    one, other = (number(curves, by) for by in sides)
    sides_in_words = f"Left: {one}, each averaged over {other}. Right: {other}, each averaged over {one}."
    caption(figure, plotting.sentences(about, sides_in_words, _seeds(curves), beyond))
    return figure


def by_lr(
    curves: pd.DataFrame, *, quantity: Quantity, log: pd.DataFrame | None = None, about: str = ""
) -> "Figure":
    """Five learning rates in each panel, averaged over weight decays: the report's figures 2 and 3.

    The black line is the mean of a panel's rates, with a dot where it is lowest. Rates that are in ``log``
    are also drawn from it, dashed, and so is their mean.
    """
    means = averaged(curves, by="lr", quantity=quantity)
    fives = panels(curves["lr"])
    names = dict(zip(curves["lr"], labels(curves["lr"]), strict=True))
    known = common(list(names), log) if log is not None else {}
    theirs = averaged(log, by="lr", quantity=quantity) if log is not None and known else None
    num_columns = ceil(sqrt(len(fives)))
    num_rows = ceil(len(fives) / num_columns)
    size = (1.5 + 3.7 * num_columns, 1.5 + 2.7 * num_rows)
    figure, axes = plotting.subplots(num_rows, num_columns, figsize=size, sharex=True, sharey=True)
    for axis, values in zip(axes.flat, fives, strict=False):
        colours = dict(zip(values, plotting.colours(len(values)), strict=True))
        for value in values:
            _line(axis, means.loc[[value]], colours[value], band=0.12, label=names[value])
        lowest = f"lowest mean {_mark_lowest(axis, means.loc[values], quantity)}"
        matched = [value for value in values if value in known]
        if theirs is not None and matched:
            for value in matched:
                _line(axis, theirs.loc[[known[value]]], colours[value], style="--")
            part = "" if matched == values else f" ({len(matched)} of {len(values)} rates)"
            rows = theirs.loc[[known[value] for value in matched]]
            lowest += f"\nreport{part} {_mark_lowest(axis, rows, quantity, style='--')}"
        _legend_above(axis, title=lowest, num_columns=len(values))
    for axis in axes.flat[len(fives) :]:
        axis.set_axis_off()
    for axis in axes.flat[max(0, len(fives) - num_columns) : len(fives)]:
        axis.set_xlabel("epoch")
        axis.tick_params(labelbottom=True)
    figure.supylabel(f"mean {_QUANTITIES[quantity]}", fontsize=10)
    _styles(figure, dashed=theirs is not None, num_columns=4 if num_columns > 1 else 2)
    plotting.whole_numbers(axes.flat[0])
    shown = [means["mean"]] if theirs is None else [means["mean"], theirs.loc[list(known.values()), "mean"]]
    beyond = plotting.fit_y(axes.flat[0], np.concatenate(shown), loss=quantity == "loss")
    each = f"Each line: one learning rate, averaged over {number(curves, 'weight_decay')}."
    words = (about, each, _seeds(curves), _last_panel(fives), _about_log(log, known), beyond)
    caption(figure, plotting.sentences(*words))
    return figure


# ----------------------------------------------------------------------------------------------------
# Lines, scales and words


def _line(
    axis: "Axes", rows: pd.DataFrame, colour: Any, *, band: float = 0.0, style: str = "-", label: str = ""
) -> None:
    """Draw means by epoch, and a faint band from the lowest to the highest seed."""
    epoch, marker = rows.index.get_level_values("epoch"), "." if len(rows) == 1 else ""
    axis.plot(epoch, rows["mean"], style, color=colour, linewidth=1.1, marker=marker, label=label or None)
    if band and (rows["highest"] > rows["lowest"]).any():
        axis.fill_between(epoch, rows["lowest"], rows["highest"], color=colour, alpha=band, linewidth=0)


def _mark_lowest(axis: "Axes", rows: pd.DataFrame, quantity: Quantity, *, style: str = "-") -> str:
    """Draw the mean of several lines, with a dot where it is lowest. Returns that value and epoch as text."""
    lines = rows["mean"].unstack("epoch")
    mean = lines.mean(skipna=False)
    if len(lines) > 1:
        axis.plot(mean.index, mean, style, color="black", linewidth=1.3, zorder=3)
    if mean.isna().all():
        return "none"
    fill: Any = "full" if style == "-" else "none"
    lowest = mean[mean == mean.min()].iloc[:1]
    axis.plot(lowest.index, lowest, "o", color="black", markersize=5, zorder=4, fillstyle=fill)
    value = f"{lowest.iloc[0]:.1%}" if quantity == "error" else f"{lowest.iloc[0]:.3f}"
    return f"{value} at epoch {lowest.index[0]}"


def _legend_above(axis: "Axes", *, title: str, num_columns: int) -> None:
    """Put a legend in one row above the panel, where there are no curves."""
    legend = axis.legend(
        title=title,
        title_fontsize=8.5,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.99),
        ncols=num_columns,
        frameon=False,
        fontsize=7.5,
        handlelength=1.0,
        handletextpad=0.3,
        columnspacing=0.8,
        borderpad=0.1,
    )
    legend.get_title().set_multialignment("center")


def _styles(figure: "Figure", *, dashed: bool, num_columns: int) -> None:
    """Explain solid, dashed and black lines above all panels."""
    from matplotlib.lines import Line2D

    def sample(**style: Any) -> Line2D:
        return Line2D([], [], markersize=5, linewidth=1.2, **style)

    entries = {
        "measured here": sample(color="C0"),
        "the report's own log": sample(color="C0", linestyle="--"),
        "mean of the panel's rates": sample(color="black", marker="o"),
        "mean of those in its log": sample(color="black", marker="o", fillstyle="none", linestyle="--"),
    }
    if not dashed:
        entries = {name: entry for name, entry in entries.items() if "log" not in name}
    columns = min(num_columns, len(entries))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize=9,
    )


def _seeds(curves: pd.DataFrame) -> str:
    count = curves["seed"].nunique()
    return "One seed." if count == 1 else f"Means of {count} seeds, bands from the lowest to the highest."


def _last_panel(fives: Sequence[Sequence[float]]) -> str:
    if len(fives) > 1 and len(fives[-1]) > len(fives[0]):
        return f"The last panel has {len(fives[-1])} rates, so that none stands alone."
    return ""


def _about_log(log: pd.DataFrame | None, known: Mapping[float, float]) -> str:
    if log is None:
        return ""
    if not known:
        return "The report's log has no learning rate of this grid."
    return (
        f"Dashed: the report's log, {len(known)} of its {number(log, 'lr')}, "
        f"averaged over {number(log, 'weight_decay')}."
    )
