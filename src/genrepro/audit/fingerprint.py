"""An acoustic fingerprint of a log-mel spectrogram: landmarks to find copies by, a sketch to compare them by.

Landmarks are Wang's constellations (2003, "An industrial-strength audio search algorithm", ISMIR): the
loudest points of the spectrogram, joined to a few that follow and hashed by their bands and the gaps between
them, which neither a coder nor noise nor a later start changes. Three points are joined instead of Wang's
two, as by Six and Leman (2014, "Panako", ISMIR): music shares so many pairs that their index grows dense.

The sketch is what is left of the spectrogram at some ten frames a second when everything slow in time and
smooth in frequency is taken away (level, equalisation, reverberation): two sketches of one recording
correlate wherever they overlap, those of two pieces over the same loop hardly do.

Times are in seconds and bands in shares of all bands, so it works at any frame rate and number of bands.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

PEAK_TIME = 0.2  # s; a peak is the maximum this far before and after ...
PEAK_BANDS = 0.05  # ... and this share of the bands below and above: about 16 peaks a second
PEAK_DB = 20.0  # above the clip's minimum: what lies lower drowns in any noise
FAN_OUT = 3  # loudest followers that a peak is joined with, two at a time: three landmarks a peak
MIN_GAP, MAX_GAP = 0.1, 2.5  # s, from a peak to its followers
MAX_FOLLOWERS = 80  # among which the loudest are looked for: about 2.5 s of them
GAP_STEP = 0.045  # s; gaps are rounded to it: half a window, below which a peak's time is not certain
HASH_BANDS = 128  # in which a hash counts
MAX_INTERVAL = 31  # of those, between a peak and its followers: ten semitones at the top, three octaves below

SKETCH_RATE = 12.0  # Hz, at most; frames are averaged in whole groups down to it
SKETCH_BANDS = 64  # at most, likewise
SKETCH_SMOOTHING = 0.27  # s; makes up for cuts that fall between two frames
SKETCH_TIME, SKETCH_WIDTH = 2.0, 0.1  # s and share of the bands over which the local mean is taken away
# Levels are compared as power ** 0.1: between decibels, in which the noise between two notes counts as much
# as the notes, and amplitudes, in which only the bass drum counts. Of 0.1, 0.15 and 0.2 the one that parts
# copies and mere relatives furthest (docs/DUPLICATES.md).
SKETCH_EXPONENT = 0.1
_SKETCH_SCALE = 250.0  # sketch values are within +-0.5: they fit int8


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """What is kept of a track, about 35 kB for 30 s."""

    hashes: np.ndarray
    """[shape=(num_landmarks,), dtype=uint32]."""
    times: np.ndarray
    """[shape=(num_landmarks,), dtype=int32], frame of each landmark's first peak."""
    sketch: np.ndarray
    """[shape=(num_sketch_frames, at most 64), dtype=int8], as `make_sketch` returns it."""


def fingerprint(spectrogram: np.ndarray, *, frame_rate: float) -> Fingerprint:
    """The fingerprint of a track.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels)]
        dB relative to the clip's maximum. Silence and steady sound have no landmarks.
    frame_rate : float
        Hz.
    """
    spectrogram = spectrogram.astype(np.float32)
    hashes, times = landmarks(spectrogram, frame_rate=frame_rate)
    return Fingerprint(hashes=hashes, times=times, sketch=make_sketch(spectrogram, frame_rate=frame_rate))


def landmarks(spectrogram: np.ndarray, *, frame_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of triples of peaks, and the frame where each begins.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels), dtype=float32]
        dB.
    frame_rate : float
        Hz.

    Returns
    -------
    hashes : np.ndarray [shape=(num_landmarks,), dtype=uint32]
        7 bits of the first peak's band, then 6 bits each of two intervals (bands) and two gaps (time).
    times : np.ndarray [shape=(num_landmarks,), dtype=int32]
        Frames.
    """
    frame, band = _peaks(spectrogram, frame_rate=frame_rate)
    level = spectrogram[frame, band]
    band = band * HASH_BANDS // spectrogram.shape[1]
    step = max(1, round(GAP_STEP * frame_rate))
    followers = _followers(frame, band, level, step=step, frame_rate=frame_rate)
    hashes, times = [], []
    for one, other in combinations(range(FAN_OUT), 2):
        first = np.flatnonzero(
            followers[:, other] >= 0
        )  # they fill up from the left: then `one` is there, too
        pair = followers[first][:, [one, other]]
        parts = [*(band[pair] - band[first, None] + 32).T, *((frame[pair] - frame[first, None]) // step).T]
        packed = band[first].astype(np.uint32)
        for part in parts:
            packed = packed << np.uint32(6) | part.astype(np.uint32)
        hashes.append(packed)
        times.append(frame[first].astype(np.int32))
    return np.concatenate(hashes), np.concatenate(times)


def make_sketch(spectrogram: np.ndarray, *, frame_rate: float) -> np.ndarray:
    """The reduced, locally normalised spectrogram.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels), dtype=float32]
        dB.
    frame_rate : float
        Hz.

    Returns
    -------
    np.ndarray [shape=(num_frames // sketch_step(frame_rate), num_bands), dtype=int8]
        What of ``power ** 0.1`` exceeds its local mean.
    """
    in_time = sketch_step(frame_rate)
    in_bands = -(-spectrogram.shape[1] // SKETCH_BANDS)
    power = np.exp(np.float32(SKETCH_EXPONENT / 10 * np.log(10)) * spectrogram)
    level = np.ascontiguousarray(_averaged(_averaged(power, in_time).T, in_bands).T)
    if not level.size:
        return np.empty((0, level.shape[1]), np.int8)
    rate = sketch_rate(frame_rate)
    level = ndimage.uniform_filter1d(level, _odd(SKETCH_SMOOTHING * rate), axis=0)
    level -= ndimage.uniform_filter1d(level, _odd(SKETCH_WIDTH * level.shape[1]), axis=1)
    level -= ndimage.uniform_filter1d(level, _odd(SKETCH_TIME * rate), axis=0)
    return np.clip(np.round(level * _SKETCH_SCALE), -127, 127).astype(np.int8)


def sketch_step(frame_rate: float) -> int:
    """Frames of the spectrogram in one of the sketch."""
    return max(1, int(np.ceil(frame_rate / SKETCH_RATE)))


def sketch_rate(frame_rate: float) -> float:
    """Hz of the sketch."""
    return frame_rate / sketch_step(frame_rate)


def _peaks(spectrogram: np.ndarray, *, frame_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames and bands of the local maxima, in order of time and band."""
    if not spectrogram.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    reach = max(1, round(PEAK_TIME * frame_rate)), max(1, round(PEAK_BANDS * spectrogram.shape[1]))
    highest = _highest(np.ascontiguousarray(_highest(spectrogram, reach[0]).T), reach[1]).T
    peak = (spectrogram == highest) & (spectrogram > spectrogram.min() + PEAK_DB)
    # Of a plateau (float16, or a picture's 256 levels) only the first corner counts.
    single = peak.copy()
    single[1:] &= ~peak[:-1]
    single[:, 1:] &= ~peak[:, :-1]
    frame, band = np.nonzero(single)
    return frame, band


def _followers(
    frame: np.ndarray, band: np.ndarray, level: np.ndarray, *, step: int, frame_rate: float
) -> np.ndarray:
    """Each peak's loudest followers in order of time, [shape=(num_peaks, FAN_OUT)]; -1: no more of them."""
    num_peaks = len(frame)
    here = np.arange(num_peaks)[:, None]
    ahead = here + np.arange(1, MAX_FOLLOWERS)
    inside = ahead < num_peaks
    ahead = np.minimum(ahead, num_peaks - 1)
    gap = frame[ahead] - frame[here]
    inside &= (gap >= MIN_GAP * frame_rate) & (gap <= MAX_GAP * frame_rate) & (gap // step < 64)
    inside &= np.abs(band[ahead] - band[here]) <= MAX_INTERVAL
    loudest = np.argsort(np.where(inside, -level[ahead], np.inf), axis=1, kind="stable")[:, :FAN_OUT]
    nowhere = num_peaks
    chosen = np.where(
        np.take_along_axis(inside, loudest, axis=1), np.take_along_axis(ahead, loudest, axis=1), nowhere
    )
    chosen.sort(axis=1)
    return np.where(chosen == nowhere, -1, chosen)


def _averaged(values: np.ndarray, group: int) -> np.ndarray:
    """Means of whole groups of rows; what is left at the end is cut off."""
    end = len(values) // group * group
    # Whole rows are added: a mean over an axis as short as this one is many times slower.
    total = values[0:end:group].copy()
    for position in range(1, group):
        total += values[position:end:group]
    return total / group


def _highest(values: np.ndarray, reach: int) -> np.ndarray:
    """Maximum of each row and its ``reach`` neighbours on either side, by doubling."""
    # log2 passes over whole rows: scipy.ndimage's filter, column by column, takes six times as long.
    highest = np.pad(values, ((reach, reach), (0, 0)), constant_values=-np.inf)
    length, width = 1, 2 * reach + 1
    while length < width:
        step = min(length, width - length)
        highest = np.maximum(highest[:-step], highest[step:])
        length += step
    return highest


def _odd(length: float) -> int:
    """A filter's length in samples: odd, so that it stays centred."""
    return max(1, int(length)) | 1
