"""Draw accuracies of several models one above the other, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genrepro.figures import plotting
from genrepro.figures.plotting import caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One row."""

    label: str
    accuracy: float
    low: float
    high: float
    """Bounds of the interval."""
    leaky: bool
    """Whether the split lets artists, duplicates or tracks stand on both sides."""


def accuracies(bars: Sequence[Bar], *, about: str = "") -> "Figure":
    """A dot for each accuracy and a line for its interval, leaky splits in another colour, in that order.

    Parameters
    ----------
    bars : sequence of Bar
        From top to bottom.
    about : str
        The caption.
    """
    figure, axes = plotting.subplots(1, 1, figsize=(8, 1.3 + 0.32 * len(bars)))
    axis = axes[0, 0]
    for leaky, colour, marker, name in (
        (False, "C0", "o", "no artist on both sides"),
        (True, "C3", "D", "leaky: artists on both sides"),
    ):
        rows = [(place, bar) for place, bar in enumerate(bars) if bar.leaky == leaky]
        if not rows:
            continue
        places, chosen = zip(*rows, strict=True)
        values = [bar.accuracy for bar in chosen]
        ends = [
            [bar.accuracy - bar.low for bar in chosen],
            [bar.high - bar.accuracy for bar in chosen],
        ]
        axis.errorbar(
            values, places, xerr=ends, fmt=marker, color=colour, markersize=5, capsize=3, label=name
        )
    axis.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axis.invert_yaxis()
    axis.set(xlabel="accuracy on test tracks", xlim=(0, 1))
    axis.xaxis.set_major_formatter(plotting.percent())
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    caption(figure, about)
    return figure
