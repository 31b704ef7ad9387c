"""Compute the acoustic fingerprint of a log-mel spectrogram: landmarks to find copies, a sketch to compare.

Landmarks are Wang's constellations (2003, "An industrial-strength audio search algorithm", ISMIR). The
loudest points of the spectrogram are joined with a few that follow them, and hashed by their bands and the
gaps between them. Re-encoding, noise or a later start do not change these. Wang joins two points. Here it is
three, as in Six and Leman (2014, "Panako", ISMIR), because different music shares too many pairs.

The sketch is a spectrogram with some ten frames a second, from which everything slow in time and smooth in
frequency is removed (level, equalisation, reverberation). Two sketches of one recording correlate wherever
they overlap. Sketches of two pieces over the same loop hardly do.

Times are in seconds and bands in shares of all bands, so it works at any frame rate and number of bands.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

PEAK_TIME = 0.2  # s; a peak is the maximum of this time before and after it ...
PEAK_BANDS = 0.05  # ... and of this share of the bands below and above it: about 16 peaks a second
PEAK_DB = 20.0  # dB that a peak must be above the clip's minimum; noise hides lower ones
FAN_OUT = 3  # a peak is joined with pairs of its three loudest followers: three landmarks per peak
MIN_GAP, MAX_GAP = 0.1, 2.5  # s, from a peak to its followers
MAX_FOLLOWERS = 80  # followers among which the loudest are chosen: about 2.5 s of peaks
GAP_STEP = 0.045  # s; gaps are rounded to it. It is half a window: the time of a peak is no more exact
HASH_BANDS = 128  # number of bands that a hash distinguishes
MAX_INTERVAL = 31  # largest distance of followers in these bands: ten semitones at the top, more below

SKETCH_RATE = 12.0  # Hz at most; frames are averaged in whole groups
SKETCH_BANDS = 64  # at most; bands are averaged in whole groups
SKETCH_SMOOTHING = 0.27  # s; compensates for cuts that fall between two frames
SKETCH_TIME, SKETCH_WIDTH = 2.0, 0.1  # s and share of the bands over which the local mean is subtracted
# Levels are compared as power ** 0.1. This is between decibels, where the noise between two notes counts as
# much as the notes, and amplitudes, where only the bass drum counts. Of 0.1, 0.15 and 0.2, it separates
# copies from similar music best (docs/DUPLICATES.md).
SKETCH_EXPONENT = 0.1
_SKETCH_SCALE = 250.0  # sketch values are within +-0.5, so scaled values fit int8


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """The fingerprint of a track, about 35 kB for 30 s."""

    hashes: np.ndarray
    """[shape=(num_landmarks,), dtype=uint32]."""
    times: np.ndarray
    """[shape=(num_landmarks,), dtype=int32], frame of each landmark's first peak."""
    sketch: np.ndarray
    """[shape=(num_sketch_frames, at most 64), dtype=int8], as `make_sketch` returns it."""


def fingerprint(spectrogram: np.ndarray, *, frame_rate: float) -> Fingerprint:
    """Compute the fingerprint of a track.

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
    """Compute the hashes of triples of peaks, and the frame where each begins.

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
        )  # followers fill up from the left, so `one` exists too
        pair = followers[first][:, [one, other]]
        parts = [*(band[pair] - band[first, None] + 32).T, *((frame[pair] - frame[first, None]) // step).T]
        packed = band[first].astype(np.uint32)
        for part in parts:
            packed = packed << np.uint32(6) | part.astype(np.uint32)
        hashes.append(packed)
        times.append(frame[first].astype(np.int32))
    return np.concatenate(hashes), np.concatenate(times)


def make_sketch(spectrogram: np.ndarray, *, frame_rate: float) -> np.ndarray:
    """Reduce the spectrogram and subtract its local mean.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels), dtype=float32]
        dB.
    frame_rate : float
        Hz.

    Returns
    -------
    np.ndarray [shape=(num_frames // sketch_step(frame_rate), num_bands), dtype=int8]
        ``power ** 0.1`` minus its local mean, scaled.
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
    """Number of spectrogram frames in one frame of the sketch."""
    return max(1, int(np.ceil(frame_rate / SKETCH_RATE)))


def sketch_rate(frame_rate: float) -> float:
    """Frame rate of the sketch in Hz."""
    return frame_rate / sketch_step(frame_rate)


def _peaks(spectrogram: np.ndarray, *, frame_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames and bands of the local maxima, in order of time and band."""
    if not spectrogram.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    reach = max(1, round(PEAK_TIME * frame_rate)), max(1, round(PEAK_BANDS * spectrogram.shape[1]))
    highest = _highest(np.ascontiguousarray(_highest(spectrogram, reach[0]).T), reach[1]).T
    peak = (spectrogram == highest) & (spectrogram > spectrogram.min() + PEAK_DB)
    # A plateau (from float16, or a picture's 256 levels) counts as one peak, at its first corner.
    single = peak.copy()
    single[1:] &= ~peak[:-1]
    single[:, 1:] &= ~peak[:, :-1]
    frame, band = np.nonzero(single)
    return frame, band


def _followers(
    frame: np.ndarray, band: np.ndarray, level: np.ndarray, *, step: int, frame_rate: float
) -> np.ndarray:
    """Each peak's loudest followers in order of time, [shape=(num_peaks, FAN_OUT)]. -1: no follower."""
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
    """Means of whole groups of rows. Rows left over at the end are cut off."""
    end = len(values) // group * group
    # Add whole rows: a mean over such a short axis is many times slower.
    total = values[0:end:group].copy()
    for position in range(1, group):
        total += values[position:end:group]
    return total / group


def _highest(values: np.ndarray, reach: int) -> np.ndarray:
    """Maximum of each row and its ``reach`` neighbours on either side, by doubling."""
    # This takes log2 passes over whole rows. scipy.ndimage's filter goes by column and is six times slower.
    highest = np.pad(values, ((reach, reach), (0, 0)), constant_values=-np.inf)
    length, width = 1, 2 * reach + 1
    while length < width:
        step = min(length, width - length)
        highest = np.maximum(highest[:-step], highest[step:])
        length += step
    return highest


def _odd(length: float) -> int:
    """Round a filter's length to an odd number of samples, so that the filter stays centred."""
    return max(1, int(length)) | 1
