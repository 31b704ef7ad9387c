"""Claims about the figure of the results page: each accuracy stands beside its interval and its split."""

import numpy as np
import pytest

from genrepro.figures.forest import Bar, accuracies

BARS = [
    Bar(label="one", accuracy=0.6, low=0.5, high=0.65, leaky=False),
    Bar(label="two", accuracy=0.8, low=0.7, high=0.9, leaky=True),
    Bar(label="three", accuracy=0.4, low=0.1, high=0.45, leaky=False),
]


def test_a_bar_reaches_from_one_bound_to_the_other_and_rows_stand_in_their_order() -> None:
    figure = accuracies(BARS)
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["one", "two", "three"]
    assert axis.yaxis_inverted()
    found = {}
    for container in axis.containers:
        dots, _, (lines,) = container.lines
        for x, y, segment in zip(dots.get_xdata(), dots.get_ydata(), lines.get_segments(), strict=True):
            found[int(y)] = (x, *np.sort(segment[:, 0]))
    assert [found[place] for place in range(3)] == [
        pytest.approx((bar.accuracy, bar.low, bar.high)) for bar in BARS
    ]


def test_leaky_splits_have_a_colour_and_a_line_of_the_legend_of_their_own() -> None:
    figure = accuracies(BARS)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["no artist on both sides", "leaky: artists on both sides"]
    clean, leaky = (container.lines[0] for container in figure.axes[0].containers)
    assert clean.get_color() != leaky.get_color() and list(leaky.get_xdata()) == [0.8]
    assert len(accuracies(BARS[:1]).legends[0].get_texts()) == 1
