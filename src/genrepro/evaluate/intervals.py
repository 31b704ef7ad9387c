"""Confidence intervals of an accuracy and of the difference of two, over groups of dependent tracks.

Tracks of one artist share a voice and a studio, so a model gets them right or wrong together: 79 tracks of 16
artists say less than 79 independent tracks. The unit is therefore the *group*, which must not cross a split:
an artist joined with duplicate clusters (`exact.identity.groups`). `benchmarks/intervals.py` measures how
often each method covers the truth. docs/decisions/2026-11-26-intervals-over-artists.md says why these two
were chosen.

With fewer than ten groups no method is exact. Intervals are then too wide rather than too narrow.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from genrepro.base.files import rounded
from genrepro.exact.streams import generator

CONFIDENCE = 0.95
"""Confidence of every interval that has no parameter for it."""
NUM_FLIPS = 10_000
"""Sign flips in the test of a difference. At 5 % they give the p value to about 0.002."""
POWER = 0.8
"""Probability with which a difference of `Difference.smallest` would have been detected."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A mean of paired differences over tracks, B minus A, with its uncertainty over groups."""

    value: float
    low: float
    high: float
    """Bounds of the interval. Infinite if there are too few groups (five or fewer)."""
    p_value: float
    """Two-sided. It is at most 1 - confidence exactly if the interval excludes 0."""
    smallest: float | None
    """The difference that would have been detected with probability `POWER`. None if nothing differs."""

    @property
    def includes_zero(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


def clustered(
    correct: np.ndarray, group: np.ndarray, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Wilson's interval with the effective number of independent tracks.

    The intra-class correlation of the hits (analysis of variance) gives Kish's design effect. Wilson's
    interval then uses the effective number of tracks and Student's quantile for the number of groups. If all
    hits are equal, nothing shows how much groups matter, so a group counts as one track.

    Parameters
    ----------
    correct : np.ndarray [shape=(num_tracks,)]
        Whether each track is right, or the share of several runs that are right on it (0 .. 1). Such means
        vary less from track to track, so they count as more tracks.
    group : np.ndarray [shape=(num_tracks,)]
        Any labels.
    confidence : float

    Returns
    -------
    tuple of float
        Low and high, rounded; 0 and 1 with fewer than two groups.

    References
    ----------
    Kish 1965; Dean and Pagano, Journal of Survey Statistics and Methodology 2015 (Wilson at the effective n).
    """
    from scipy.special import stdtrit  # Student's quantiles; scipy.stats takes half a second to import

    squares = np.asarray(correct, dtype=np.float64) ** 2
    size, hits, squares = _sums(group, np.ones(len(correct)), correct, squares)
    num_groups, num_tracks = len(size), size.sum()
    if num_groups < 2:
        return 0.0, 1.0
    share = hits.sum() / num_tracks
    worst = (size**2).sum() / num_tracks  # the design effect where each group is all right or all wrong
    effective = num_tracks / (1 + (worst - 1) * _correlation(size, hits, squares))
    variance = squares.sum() / num_tracks - share**2
    if (squares != hits).any() and variance > 1e-12:  # means over runs
        effective *= share * (1 - share) / variance
    low, high = _wilson(share, effective, float(stdtrit(num_groups - 1, (1 + confidence) / 2)))
    return rounded(max(0.0, low)), rounded(min(1.0, high))


def difference(change: np.ndarray, group: np.ndarray, *, confidence: float = CONFIDENCE) -> Difference:
    """The mean of ``change`` over tracks, with an interval and a test over groups.

    The test flips the signs of whole groups: if neither run is better, a group could as well have lost what
    it gained. It is exact for any number of groups and of changes, whereas McNemar's test assumes independent
    tracks. The interval contains the differences that this test would not reject, so both always agree.

    Parameters
    ----------
    change : np.ndarray [shape=(num_tracks,)]
        B minus A of each track: -1, 0 or 1 for hits, any number for losses.
    group : np.ndarray [shape=(num_tracks,)]
    confidence : float

    References
    ----------
    Fisher 1935, section 21 (the test); Ernst, Statistical Science 2004 (its interval).
    """
    from scipy.special import ndtri  # the normal distribution's quantiles

    size, moved = _sums(group, np.ones(len(change)), change)
    value = moved.sum() / size.sum()
    if not moved.any():
        return Difference(value=0.0, low=0.0, high=0.0, p_value=1.0, smallest=None)
    flips = _flips(len(size))
    level = 1 - confidence

    def bound(side: int) -> float:
        """Where the test begins to reject, by bisection. Infinite if it never does."""
        if _flip_test(size, flips) > level:
            return side * math.inf
        step = 1.0
        while _flip_test(moved - (value + side * step) * size, flips) > level:
            step *= 2
        inside, outside = (0.0, step)
        for _ in range(50):
            middle = (inside + outside) / 2
            rejected = _flip_test(moved - (value + side * middle) * size, flips) <= level
            inside, outside = (inside, middle) if rejected else (middle, outside)
        return value + side * inside

    low, high = sorted((bound(-1), bound(1)))
    spread = math.sqrt(((moved - size * value) ** 2).sum()) / size.sum()
    reach = float(ndtri((1 + confidence) / 2) + ndtri(POWER))
    return Difference(
        # Sums of thirds may miss 0 by a rounding error, but a bound at zero must be zero.
        value=round(float(value), 12),
        low=round(low, 9),
        high=round(high, 9),
        p_value=_flip_test(moved, flips),
        smallest=reach * spread if spread else None,
    )


def unpaired(
    first: np.ndarray,
    first_group: np.ndarray,
    second: np.ndarray,
    second_group: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
) -> Difference:
    """The difference of two accuracies on different tracks, second minus first.

    The interval joins the `clustered` intervals of both by the rule that Newcombe applied to Wilson's. The p
    value is the level at which it begins to exclude 0. Groups that occur on both sides make both too large,
    never too small, because their hits rise and fall together.

    Parameters
    ----------
    first, second : np.ndarray [shape=(num_tracks,)]
        As in `clustered`. The two lengths may differ.
    first_group, second_group : np.ndarray [shape=(num_tracks,)]
    confidence : float

    References
    ----------
    Newcombe, Statistics in Medicine 1998, method 10; Zou and Donner, Statistics in Medicine 2008.
    """
    from scipy.special import ndtri

    shares = float(np.mean(first)), float(np.mean(second))
    value = shares[1] - shares[0]

    def bounds(level: float) -> tuple[float, float]:
        low, high = clustered(first, first_group, confidence=level)
        other_low, other_high = clustered(second, second_group, confidence=level)
        return (
            value - math.hypot(shares[1] - other_low, high - shares[0]),
            value + math.hypot(other_high - shares[1], shares[0] - low),
        )

    inside, outside = 0.0, 1.0  # confidences at which the interval excludes and includes 0
    for _ in range(30):
        middle = (inside + outside) / 2
        low, high = bounds(middle)
        inside, outside = (inside, middle) if low <= 0 <= high else (middle, outside)
    low, high = bounds(confidence)
    reach = float(ndtri((1 + confidence) / 2))
    return Difference(
        value=round(value, 12),
        low=round(low, 9),
        high=round(high, 9),
        p_value=round(1 - inside, 6),
        smallest=(high - low) / 2 * (1 + float(ndtri(POWER)) / reach),
    )


def sign_flip_test(change: np.ndarray, group: np.ndarray) -> float:
    """The p value of `difference` alone."""
    (moved,) = _sums(group, change)
    return _flip_test(moved, _flips(len(moved)))


def wilson(num_correct: int, num_tracks: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share of independent tracks (E. B. Wilson, JASA 1927), rounded.

    For published figures, whose artists are unknown. It is too narrow where groups matter.
    """
    from scipy.special import ndtri  # the normal distribution's quantiles

    low, high = _wilson(num_correct / num_tracks, num_tracks, float(ndtri((1 + confidence) / 2)))
    return rounded(max(0.0, low)), rounded(min(1.0, high))


def wilson_of_share(share: float, num_tracks: int) -> tuple[float, float]:
    """Wilson's interval of a share of tracks. A mean over seeds counts as the nearest number of tracks."""
    return wilson(round(share * num_tracks), num_tracks)


def _wilson(share: float, number: float, quantile: float) -> tuple[float, float]:
    square = quantile**2 / number
    middle = (share + square / 2) / (1 + square)
    half = quantile / (1 + square) * math.sqrt(share * (1 - share) / number + square / (4 * number))
    return middle - half, middle + half


def _correlation(size: np.ndarray, hits: np.ndarray, squares: np.ndarray) -> float:
    """Intra-class correlation of hits, 0 .. 1, by analysis of variance. 1 if all hits are equal."""
    num_groups, num_tracks = len(size), size.sum()
    share = hits.sum() / num_tracks
    if squares.sum() / num_tracks - share**2 <= 1e-12:
        return 1.0
    if num_groups == num_tracks:
        return 0.0
    between = (size * (hits / size - share) ** 2).sum() / (num_groups - 1)
    within = (squares - hits**2 / size).sum() / (num_tracks - num_groups)
    usual = (num_tracks - (size**2).sum() / num_tracks) / (num_groups - 1)
    return float(np.clip((between - within) / (between + (usual - 1) * within), 0, 1))


@lru_cache(maxsize=1)
def _flips(num_groups: int) -> np.ndarray:
    """Signs of groups [shape=(num_flips, num_groups)]: all combinations, or `NUM_FLIPS` fixed random ones.

    They are float64, since a product with integers would convert them each time.
    """
    if 2**num_groups <= NUM_FLIPS:
        drawn = (np.arange(2**num_groups)[:, None] >> np.arange(num_groups)) & 1
    else:
        drawn = generator(0, "intervals.flips").integers(2, size=(NUM_FLIPS, num_groups), dtype=np.int8)
        drawn[0] = 0  # the pair as it is
    return 1.0 - 2.0 * drawn


def _flip_test(moved: np.ndarray, flips: np.ndarray) -> float:
    """The share of sign flips whose sum is at least as far from 0 as that of ``moved``."""
    sums = np.abs(flips @ moved)
    return float((sums >= abs(moved.sum()) * (1 - 1e-9)).mean())


def _sums(group: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Each array's sums by group [shape=(num_groups,), dtype=float64]."""
    _, number = np.unique(group, return_inverse=True)
    return [np.bincount(number, weights=value) for value in values]
