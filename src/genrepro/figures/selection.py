"""Draw how well validation selects a winner: validation against test, the grid, and a few trainings.

A cell has two snapshots, and a sweep two winners: by validation accuracy and by validation loss.
"""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genrepro.figures import plotting
from genrepro.figures.averages import NAMED, Snapshot, labels, winners
from genrepro.figures.plotting import caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SNAPSHOTS: dict[Snapshot, str] = {
    "accuracy": "epoch of the best validation accuracy",
    "loss": "epoch of the lowest validation loss",
}
_STAR: dict[str, Any] = {
    "marker": "*",
    "s": 170,
    "facecolor": "white",
    "edgecolor": "black",
    "linewidth": 1.0,
    "zorder": 5,
}


def validation_and_test(cells: pd.DataFrame, *, about: str = "") -> "Figure":
    """Validation (x) against test (y) of every cell's two snapshots, with the winners."""
    several = " of each seed" if cells["seed"].nunique() > 1 else ""
    figure, axes = plotting.subplots(2, 2, figsize=(9.4, 9.2))
    for row, quantity in enumerate(("accuracy", "loss")):
        pairs = {
            kind: [f"{kind}_{side}_{quantity}" for side in ("validation", "test")] for kind in _SNAPSHOTS
        }
        both = cells[[column for pair in pairs.values() for column in pair]].to_numpy(float)
        low, high, _ = plotting.limits(both, clipped=quantity == "loss")
        for axis, (snapshot, pair) in zip(axes[row], pairs.items(), strict=True):
            points, best = cells[pair].to_numpy(float), winners(cells, snapshot)
            axis.scatter(*points.T, c=cells["lr"], cmap=plotting.scale(), s=14, alpha=0.65, linewidth=0)
            axis.scatter(*best[pair].to_numpy(float).T, **_STAR)
            axis.axline((low, low), slope=1, color="0.5", linewidth=0.9, linestyle=":")
            axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            axis.set(xlabel=f"validation {quantity}", ylabel=f"test {quantity}")
            title = f"test - validation: {_gap(cells, pair)}, winner {_gap(best, pair)}"
            if above := int((points > high).any(axis=1).sum()):
                title += f"; {above} cells beyond"
            axis.set_title(title if row else f"{_SNAPSHOTS[snapshot]}\n{title}", fontsize=9)
            axis.locator_params(nbins=6)
            if quantity == "accuracy":
                axis.xaxis.set_major_formatter(plotting.percent())
                axis.yaxis.set_major_formatter(plotting.percent())
    rates = sorted(cells["lr"].unique())
    plotting.colour_bar(figure, list(axes.flat), rates, labels(rates), label=NAMED["lr"])
    what = f"{len(cells)} cells{_diverged(cells)}; star: the winner by validation{several}"
    titles = "Each title: the difference of all cells on average, then of the winner."
    caption(figure, plotting.sentences(about, f"{what}; dotted: test equals validation.", titles))
    return figure


def grid(cells: pd.DataFrame, *, about: str = "") -> "Figure":
    """Validation loss and test accuracy of both snapshots, by learning rate (x) and weight decay (y)."""
    rates, decays = (sorted(cells[by].unique()) for by in ("lr", "weight_decay"))
    size = (8.5 + 0.12 * min(46, len(rates)), 3 + 0.36 * min(20, max(6, len(decays))))
    figure, axes = plotting.subplots(2, 2, figsize=size, sharex=True, sharey=True)
    for column, quantity in enumerate(("validation_loss", "test_accuracy")):
        loss = quantity == "validation_loss"
        columns = [f"{kind}_{quantity}" for kind in _SNAPSHOTS]
        means = cells.groupby(["weight_decay", "lr"])[columns].mean(skipna=False)
        low, high, above = plotting.limits(means.to_numpy(), clipped=loss, margin=0.0)
        for axis, (snapshot, chosen_by) in zip(axes[:, column], _SNAPSHOTS.items(), strict=True):
            square = means[f"{snapshot}_{quantity}"].unstack().reindex(index=decays, columns=rates)
            picture = axis.pcolormesh(
                square.to_numpy(), cmap="viridis_r" if loss else "viridis", vmin=low, vmax=high
            )
            best = winners(cells, snapshot)
            across = [rates.index(value) + 0.5 for value in best["lr"]]
            axis.scatter(across, [decays.index(value) + 0.5 for value in best["weight_decay"]], **_STAR)
            axis.set_title(f"{quantity.replace('_', ' ')}, {chosen_by}", fontsize=9)
            axis.set_facecolor("0.85")  # shows where a cell diverged
            bar = figure.colorbar(picture, ax=axis, extend="max" if above else "neither", pad=0.01)
            bar.outline.set_visible(False)
            if not loss:
                bar.ax.yaxis.set_major_formatter(plotting.percent())
            _ticks(axis, rates, decays)
    for axis in axes[1]:
        axis.set_xlabel("learning rate")
    for axis in axes[:, 0]:
        axis.set_ylabel("weight decay")
    count = cells["seed"].nunique()
    means_of, each = (f", means of {count} seeds", " of each seed") if count > 1 else ("", "")
    what = f"{len(rates)} x {len(decays)} cells{_diverged(cells)}{means_of}, the brighter the better"
    caption(figure, plotting.sentences(about, f"{what}; star: the winner by validation{each}."))
    return figure


def minibatches(curves: pd.DataFrame, cells: pd.DataFrame, *, about: str = "") -> "Figure":
    """Training loss by minibatch of up to four cells of a seed: both winners, lowest and highest rate."""
    seed = winners(cells, "loss")["seed"].iloc[0]
    of_seed = cells[cells["seed"] == seed]
    chosen = _handful(of_seed)
    figure, axes = plotting.subplots(
        1, len(chosen), figsize=(1.2 + 3.1 * len(chosen), 3.9), sharex=True, sharey=True
    )
    names = {by: dict(zip(of_seed[by], labels(of_seed[by]), strict=True)) for by in ("lr", "weight_decay")}
    shown = []
    for axis, ((rate, decay), titles) in zip(axes.flat, chosen.items(), strict=True):
        # A CSV reader may change a number's last bit.
        same = np.isclose(curves["lr"], rate, atol=0) & np.isclose(curves["weight_decay"], decay, atol=0)
        cell = curves[same & (curves["seed"] == seed)].sort_values("epoch")
        batches = cell[["epoch", "batch_loss"]].explode("batch_loss", ignore_index=True).astype(float)
        of_epoch = batches.groupby("epoch")
        # A minibatch is drawn where it ended (the last of epoch 3 at 3.0), an epoch's mean at its middle.
        ended = batches["epoch"] - 1 + (of_epoch.cumcount() + 1) / of_epoch["epoch"].transform("size")
        axis.plot(
            ended, batches["batch_loss"], "C0", linewidth=0.7, alpha=0.55, label="training, a minibatch"
        )
        marker = "." if len(cell) == 1 else ""
        axis.plot(
            cell["epoch"] - 0.5, cell["train_loss"], "C0", marker=marker, label="training, mean of the epoch"
        )
        axis.plot(cell["epoch"], cell["validation_loss"], "C1", marker=marker, label="validation")
        name = f"rate {names['lr'][rate]}, decay {names['weight_decay'][decay]}"
        axis.set_title(f"{textwrap.fill(', '.join(titles), 42)}\n{name}", fontsize=9)
        axis.set_xlabel("epoch")
        shown += [batches["batch_loss"], cell["validation_loss"]]
    axes.flat[0].set_ylabel("cross entropy")
    plotting.whole_numbers(axes.flat[0])
    beyond = plotting.fit_y(axes.flat[0], np.concatenate(shown), loss=True, of="losses")
    entries = axes.flat[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper center", ncols=3 if len(chosen) > 1 else 1, frameon=False)
    several = f" of seed {seed}" if cells["seed"].nunique() > 1 else ""
    each = f"Each panel: a cell{several}, {len(batches)} minibatches in all."
    caption(figure, plotting.sentences(about, each, beyond))
    return figure


def _handful(cells: pd.DataFrame) -> dict[tuple[float, float], list[str]]:
    """Learning rate and weight decay of the cells to show of one seed, each with its titles."""
    by_loss, by_accuracy = (winners(cells, snapshot).iloc[0] for snapshot in ("loss", "accuracy"))
    near = (cells["weight_decay"] - by_loss["weight_decay"]).abs()

    def neighbour(rate: float) -> pd.Series:
        return cells.loc[near[cells["lr"] == rate].idxmin()]

    found: dict[tuple[float, float], list[str]] = {}
    for title, cell in (
        ("lowest rate", neighbour(cells["lr"].min())),
        ("winner by loss", by_loss),
        ("winner by accuracy", by_accuracy),
        ("highest rate", neighbour(cells["lr"].max())),
    ):
        found.setdefault((float(cell["lr"]), float(cell["weight_decay"])), []).append(title)
    return found


def _diverged(cells: pd.DataFrame) -> str:
    count = int(cells["loss_epoch"].isna().sum())
    return f", {count} of which diverged" if count else ""


def _ticks(axis: "Axes", rates: Sequence[float], decays: Sequence[float]) -> None:
    across, up = plotting.spread(len(rates), 6), plotting.spread(len(decays), 11)
    axis.set_xticks([place + 0.5 for place in across], [labels(rates)[place] for place in across])
    axis.set_yticks([place + 0.5 for place in up], [labels(decays)[place] for place in up])
    axis.grid(visible=False)


def _gap(rows: pd.DataFrame, pair: Sequence[str]) -> str:
    """Test minus validation on average, in points of accuracy or in loss."""
    gap = float((rows[pair[1]] - rows[pair[0]]).mean())
    return f"{100 * gap:+.1f} points" if pair[0].endswith("accuracy") else f"{gap:+.3f}"
