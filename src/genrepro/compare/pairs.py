"""Compare two runs, paired over the tracks that both were tested on.

Only tracks on which the two differ count, and tracks of one artist change together. So differences get an
interval and a test over groups (`evaluate.intervals.difference`). Two runs cannot show the chance in
training: see `seeds`.
"""

from dataclasses import dataclass

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.compare.revisions import Predictions
from genrepro.evaluate.intervals import Difference, clustered, difference

SIGNIFICANCE = 0.05
NUM_BINS = 15  # of the calibration error, as in params.yaml
_SMALLEST = 5e-5  # half of the last of predictions.csv's four decimals


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two runs."""

    name: str
    num_correct: int
    accuracy: float
    low: float
    high: float
    """Bounds of the 95 % interval over groups."""
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, kw_only=True)
class GenreChange:
    """One genre's test tracks."""

    genre: str
    num_tracks: int
    correct_a: int
    correct_b: int
    gained: int
    lost: int


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A track that one of the two gets right and the other wrong."""

    track_id: str
    genre: str
    predicted_a: str
    predicted_b: str
    true_a: float
    true_b: float
    """Probability of the true genre."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on one test set. A is the baseline, B the candidate."""

    a: Side
    b: Side
    num_tracks: int
    num_groups: int | None
    """None if neither table names groups. Each track then counts by itself."""
    accuracy: Difference
    log_loss: Difference
    genres: tuple[GenreChange, ...]
    gained: tuple[Flip, ...]
    """Wrong in A, right in B. First those whose true genre rose most."""
    lost: tuple[Flip, ...]
    """Right in A, wrong in B. First those whose true genre fell most."""
    num_otherwise_wrong: int
    """Number of tracks that both get wrong with different genres."""
    identical: bool
    """Whether all probabilities are equal."""

    @property
    def beyond_noise(self) -> bool:
        """Whether the accuracies differ by more than chance: test and interval always agree."""
        return self.accuracy.p_value <= SIGNIFICANCE


def compare(a: Predictions, b: Predictions) -> Comparison:
    """Compare candidate ``b`` with baseline ``a``, track by track.

    Raises
    ------
    GenreproError
        If their test tracks or true genres differ. The message says how.
    """
    differs = how_test_sets_differ(a, b)
    if differs:
        raise GenreproError(
            f"{a.name} and {b.name} cannot be paired, since their test sets differ: {differs}; "
            "compare runs of one data set, split and seed of the split."
        )
    losses_a, losses_b = _log_losses(a), _log_losses(b)
    group = groups_of(a, b)
    gained, lost = ~a.correct & b.correct, a.correct & ~b.correct
    return Comparison(
        a=_side(a, losses_a, group),
        b=_side(b, losses_b, group),
        num_tracks=len(a.label),
        num_groups=None if a.group is b.group is None else len(set(group)),
        accuracy=difference(b.correct.astype(float) - a.correct, group),
        log_loss=difference(losses_b - losses_a, group),
        genres=_by_genre(a, b),
        gained=_flips(a, b, gained),
        lost=_flips(a, b, lost),
        num_otherwise_wrong=int((~a.correct & ~b.correct & (a.predicted != b.predicted)).sum()),
        identical=bool((a.predicted == b.predicted).all() and (a.probabilities == b.probabilities).all()),
    )


def how_test_sets_differ(a: Predictions, b: Predictions) -> str:
    """How the test sets differ, in words. Empty if tracks, true genres and genres are equal."""
    said = []
    tracks_a, tracks_b = set(a.track_ids), set(b.track_ids)
    for name, only in (("A", tracks_a - tracks_b), ("B", tracks_b - tracks_a)):
        if only:
            said.append(f"{_count(len(only), 'track')} only in {name} (such as {min(only)})")
    genre_b = dict(zip(b.track_ids, (b.genres[label] for label in b.label), strict=True))
    other = [
        track_id
        for track_id, label in zip(a.track_ids, a.label, strict=True)
        if track_id in genre_b and a.genres[label] != genre_b[track_id]
    ]
    if other:
        said.append(f"{_count(len(other), 'track')} with another true genre (such as {other[0]})")
    for name, only in (("A", set(a.genres) - set(b.genres)), ("B", set(b.genres) - set(a.genres))):
        if only:
            said.append(f"{_count(len(only), 'genre')} only in {name} ({', '.join(sorted(only)[:5])})")
    return ", ".join(said)


def groups_of(a: Predictions, b: Predictions) -> np.ndarray:
    """The groups of the tracks: those of ``b``, else those of ``a``, else each track by itself."""
    for run in (b, a):
        if run.group is not None:
            return run.group
    return a.track_ids


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)


def _side(run: Predictions, losses: np.ndarray, group: np.ndarray) -> Side:
    from genrepro.evaluate.scores import calibration_error

    num_correct = int(run.correct.sum())
    low, high = clustered(run.correct, group)
    confidence = run.probabilities[np.arange(len(run.label)), run.predicted]
    return Side(
        name=run.name,
        num_correct=num_correct,
        accuracy=float(run.correct.mean()),
        low=low,
        high=high,
        log_loss=float(losses.mean()),
        calibration_error=calibration_error(confidence, run.correct, num_bins=NUM_BINS),
    )


def _log_losses(run: Predictions) -> np.ndarray:
    """Negative natural logarithm of the true genre's probability [shape=(num_tracks,)]."""
    return -np.log(np.maximum(run.probabilities[np.arange(len(run.label)), run.label], _SMALLEST))


def _by_genre(a: Predictions, b: Predictions) -> tuple[GenreChange, ...]:
    changes = []
    for position, genre in enumerate(a.genres):
        right_a, right_b = a.correct[a.label == position], b.correct[a.label == position]
        changes.append(
            GenreChange(
                genre=genre,
                num_tracks=len(right_a),
                correct_a=int(right_a.sum()),
                correct_b=int(right_b.sum()),
                gained=int((~right_a & right_b).sum()),
                lost=int((right_a & ~right_b).sum()),
            )
        )
    return tuple(changes)


def _flips(a: Predictions, b: Predictions, which: np.ndarray) -> tuple[Flip, ...]:
    flips = [
        Flip(
            track_id=a.track_ids[row],
            genre=a.genres[a.label[row]],
            predicted_a=a.genres[a.predicted[row]],
            predicted_b=a.genres[b.predicted[row]],
            true_a=float(a.probabilities[row, a.label[row]]),
            true_b=float(b.probabilities[row, a.label[row]]),
        )
        for row in np.flatnonzero(which)
    ]
    return tuple(sorted(flips, key=lambda flip: (-abs(flip.true_b - flip.true_a), flip.track_id)))
