"""Confidence intervals of an accuracy over independent tracks, and of the difference of two accuracies."""

import math

from genrepro.base.files import rounded

CONFIDENCE = 0.95
"""Confidence of every interval that has no parameter for it."""


def wilson(num_correct: int, num_tracks: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share (E. B. Wilson, JASA 1927), rounded."""
    from scipy.stats import binomtest

    interval = binomtest(num_correct, num_tracks).proportion_ci(confidence_level=confidence, method="wilson")
    return rounded(interval.low), rounded(interval.high)


def wilson_of_share(share: float, num_tracks: int) -> tuple[float, float]:
    """Wilson's interval of a share of tracks. A mean over seeds counts as the nearest number of tracks."""
    return wilson(round(share * num_tracks), num_tracks)


def newcombe(first: float, num_first: int, second: float, num_second: int) -> tuple[float, float]:
    """Newcombe's interval of ``second - first``, two shares of different tracks (1998, method 10)."""
    low, high = wilson_of_share(first, num_first)
    other_low, other_high = wilson_of_share(second, num_second)
    difference = second - first
    return (
        difference - math.hypot(second - other_low, high - first),
        difference + math.hypot(other_high - second, first - low),
    )
