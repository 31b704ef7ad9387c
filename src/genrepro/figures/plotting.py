"""Tools for figures: axes, colours for ordered values, limits without outliers, captions."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genrepro.base import lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

DPI = 150
"""Resolution of figures for a page."""


def subplots(num_rows: int, num_columns: int, **options: Any) -> tuple["Figure", np.ndarray]:
    """A figure that pyplot does not manage, and its axes [shape=(num_rows, num_columns)]."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=options.pop("figsize"), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(num_rows, num_columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8.5)
    return figure, axes


def scale() -> "Colormap":
    """Viridis without the yellow end, which is hard to see on white."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256)))


def colours(count: int) -> np.ndarray:
    """Evenly spaced colours of the scale [shape=(count, 4)]."""
    return scale()(np.linspace(0, 1, count))


def colour_bar(
    figure: "Figure", axes: Sequence["Axes"], values: Sequence[float], texts: Sequence[str], *, label: str
) -> None:
    """Draw the colour scale of ``axes``, labelled at some of ``values`` with their ``texts``."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours_of = ScalarMappable(Normalize(values[0], values[-1]), scale())
    places = spread(len(values), 6)
    bar = figure.colorbar(colours_of, ax=axes, label=label, pad=0.02, aspect=20 * len(axes), fraction=0.05)
    bar.outline.set_visible(False)
    bar.set_ticks([values[place] for place in places], labels=[texts[place] for place in places])
    bar.ax.tick_params(labelsize=8.5)


def spread(count: int, most: int) -> list[int]:
    """Places of up to ``most`` of ``count`` values, evenly spread, first and last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def limits(values: np.ndarray, *, clipped: bool, margin: float = 0.04) -> tuple[float, float, int]:
    """The range to show, and how many rows lie above it. ``clipped`` cuts at Tukey's outer fence.

    A learning rate that is too high gives losses of ten in its first epochs, which would hide all others.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0, 0
    low, high = finite.min(), finite.max()
    quarter, three = np.percentile(finite, [25, 75])
    fence = three + 3 * (three - quarter)
    if clipped and low < fence < high:
        high = finite[finite <= fence].max()
    room = margin * (high - low) or (0.01 if high == low else 0.0)
    rows = values.reshape(len(values), -1)
    return float(low - room), float(high + room), int((rows > high).any(axis=1).sum())


def fit_y(axis: "Axes", values: np.ndarray, *, loss: bool, of: str = "points") -> str:
    """Fit the y axis, and those that share it, to ``values``. Returns how many are not shown, as text."""
    low, high, above = limits(values, clipped=loss)
    axis.set_ylim(low, high)
    if not loss:
        axis.yaxis.set_major_formatter(percent())
    missing = int(np.isnan(values).sum())
    return sentences(
        f"{above} of {len(values)} {of} lie above the axis." if above else "",
        f"{missing} of {len(values)} {of} have no value, since training diverged." if missing else "",
    )


def percent() -> "Formatter":
    """Writes a share in per cent, with no more decimals than it needs."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%")


def whole_numbers(axis: "Axes") -> None:
    """Put ticks at whole numbers only, for epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def sentences(*parts: str) -> str:
    """Join the parts that are not empty into one line."""
    return " ".join(filter(None, parts))


def caption(figure: "Figure", text: str) -> None:
    """Write a small grey paragraph below the axes: what is averaged, over what, and how many."""
    width = int(figure.get_figwidth() * 15)  # characters of this size that fit a line
    figure.supxlabel(textwrap.fill(text, width), x=0.01, ha="left", fontsize=8, color="0.35")


def save(figure: "Figure", path: Path, *, dpi: int = 80) -> None:
    """Write a PNG whose bytes depend on the figure alone, its texts as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lettering.literal(figure)
    figure.savefig(path, dpi=dpi, metadata={"Software": None})
