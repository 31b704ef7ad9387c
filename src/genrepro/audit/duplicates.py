"""Find near duplicates, i.e. pairs of tracks that hold the same recording, in the mel table.

There are two steps. The first finds candidates. It builds an inverted index of all landmarks, sorted by hash.
Two tracks get a vote for each hash that they share at the same time offset. Hashes that many tracks share are
left out, because they tell nothing. This bounds the work for each landmark, so the cost grows with the number
of tracks and not of pairs. The second step verifies: a candidate's sketches must correlate wherever they
overlap. With votes alone, different pieces over the same loop would be found too.

It finds recordings that were re-encoded, cut elsewhere, shortened, made louder or mixed with noise. It does
not find other speeds, other pitches or other performances of a piece. docs/DUPLICATES.md has measurements.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from genrepro.audit import fingerprint
from genrepro.audit.fingerprint import Fingerprint
from genrepro.base import tables
from genrepro.base.files import require
from genrepro.base.tables import read_mel_description

MAX_POSTINGS = 50  # most landmarks under one hash; more frequent hashes are left out
MIN_VOTES = 6  # of some 1400 landmarks of a track; a copy with noise at 0 dB still shares 40
MAX_CANDIDATES = 10  # per track, those with most votes; bounds the verification if all tracks are similar
NUM_SHIFTS = 6  # best offsets of a candidate that are verified
MIN_OVERLAP = 15.0  # s, half a usual clip; two pieces over one loop agreed for up to 13 s
MIN_SHARE = 0.6  # share of the shorter track that is enough if it is less than MIN_OVERLAP
SHORTEST_OVERLAP = 2.0  # s; shorter overlaps are duplicates only if the content is equal
# Share by which a copy may run faster or slower, as from the turntables and tapes of old compilations.
MAX_DRIFT = 0.016
PROMISING = 0.3  # least correlation of an offset to verify: other music reaches 0.1, slow copies 0.45
SEGMENT = 3.0  # s; length of the segments, each of which must agree
QUIET = 0.05  # share of a track's mean contrast below which a segment is ignored
_TRACKS_AT_A_TIME = 1000  # tracks whose votes are counted together; bounds memory
# A vote is one integer: the first track (10 bits, its number among the tracks counted together), the second
# track, and the offset in frames.
_TRACK_BITS, _OFFSET_BITS = 28, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two tracks that hold the same recording."""

    first: str
    """`track_id`; sorts before `second`."""
    second: str
    offset: float
    """s. `second` was cut this much later: it plays at t - offset what `first` plays at t."""
    similarity: float
    """0..1, as `compare` defines it."""
    overlap: float
    """Length in s of what both hold."""


def near_duplicates(mel_path: Path, *, skip: Set[str], min_similarity: float, num_workers: int) -> list[Pair]:
    """Find all pairs of tracks that hold the same recording.

    Parameters
    ----------
    mel_path : Path
        mel.parquet. It is read once, by row groups. About 35 kB are kept of a track of 30 s.
    skip : set of str
        `track_id` of tracks to leave out, e.g. silent ones. Rows without a spectrogram are always left out.
    min_similarity : float
        0..1. A candidate with a lower similarity is not a pair.
    num_workers : int
        Number of processes that read and fingerprint. The result does not depend on it.

    Returns
    -------
    list of Pair
        Sorted by their tracks. Exact copies are included.
    """
    rate = fingerprint.sketch_rate(read_mel_description(mel_path)["frame_rate"])
    prints = read_fingerprints(mel_path, skip=skip, num_workers=num_workers)
    return match(prints, rate=rate, min_similarity=min_similarity)


def read_fingerprints(mel_path: Path, *, skip: Set[str], num_workers: int) -> dict[str, Fingerprint]:
    """Fingerprint all tracks except those to skip. The result is sorted by `track_id`."""
    from joblib import Parallel, delayed

    frame_rate = read_mel_description(mel_path)["frame_rate"]
    with pq.ParquetFile(require(mel_path)) as file:
        groups = range(file.num_row_groups)
    work = (delayed(_fingerprint_group)(mel_path, group, skip, frame_rate) for group in groups)
    return dict(
        sorted((one for chunk in Parallel(n_jobs=num_workers)(work) for one in chunk), key=itemgetter(0))
    )


def match(prints: Mapping[str, Fingerprint], *, rate: float, min_similarity: float) -> list[Pair]:
    """Find the pairs among fingerprints whose sketches have ``rate`` frames a second.

    The pairs are sorted if ``prints`` are.
    """
    names, tracks = list(prints), list(prints.values())
    found = []
    for one, other in candidates(tracks):
        similarity, offset, overlap = compare(tracks[one].sketch, tracks[other].sketch, rate=rate)
        if similarity >= min_similarity:
            found.append(
                Pair(
                    first=names[one],
                    second=names[other],
                    offset=offset,
                    similarity=similarity,
                    overlap=overlap,
                )
            )
    return found


def candidates(prints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Find pairs of tracks that share landmarks at one offset.

    Parameters
    ----------
    prints : sequence of Fingerprint

    Returns
    -------
    list of (int, int)
        Positions of the two tracks, the smaller one first. Sorted.
    """
    if not prints:
        return []
    hashes = np.concatenate([track.hashes for track in prints])
    times = np.concatenate([track.times for track in prints])
    owners = np.repeat(np.arange(len(prints), dtype=np.int32), [len(track.hashes) for track in prints])
    # Tracks come in order and the sort is stable, so within a hash landmarks are sorted by track.
    order = np.argsort(hashes, kind="stable")
    hashes, times, owners = hashes[order], times[order], owners[order]
    _, count = np.unique(hashes, return_counts=True)
    telling = np.repeat((count > 1) & (count <= MAX_POSTINGS), count)
    hashes, times, owners = hashes[telling], times[telling], owners[telling]

    votes = [
        _votes(hashes, times, owners, range(begin, begin + _TRACKS_AT_A_TIME))
        for begin in range(0, len(prints), _TRACKS_AT_A_TIME)
    ]
    first, second, score = (np.concatenate(column) for column in zip(*votes, strict=True))
    kept = _strongest(first, second, score)
    return sorted(zip(first[kept].tolist(), second[kept].tolist(), strict=True))


def compare(first: np.ndarray, second: np.ndarray, *, rate: float) -> tuple[float, float, float]:
    """Compute the similarity of two sketches at the offset where they fit best.

    Votes do not show the best offset: repetitions of a loop agree at many offsets, and a copy that runs a
    little slower spreads its votes. So all offsets are tried at once with the Fourier transform.

    Parameters
    ----------
    first, second : np.ndarray [shape=(num_frames, num_bands), dtype=int8]
        As `fingerprint.make_sketch` returns them.
    rate : float
        Hz, of the sketches.

    Returns
    -------
    similarity : float
        Mean of two correlations: over the whole overlap, and over its worst `SEGMENT`. A copy agrees
        everywhere. Two pieces over one loop only agree while they play nothing but the loop. 0 if no offset
        fits.
    offset, overlap : float
        s, as in `Pair`.
    """
    best, similarity, at, overlap = 0.0, 0.0, 0, 0
    for shift in _best_shifts(first, second, rate=rate):
        one, other = first[max(0, shift) :], second[max(0, -shift) :]
        common = min(len(one), len(other))
        frames = np.arange(common)
        most = round(MAX_DRIFT * common)
        for drift in sorted(range(-most, most + 1), key=abs):  # no drift first
            # Read `other` a little faster or slower, as by a different clock. The middle stays in place.
            read = frames + np.round(drift * (frames / common - 0.5)).astype(np.int64)
            inside = (read >= 0) & (read < len(other))
            whole, worst = _correlations(one[frames[inside]], other[read[inside]], length=SEGMENT * rate)
            if whole > best:
                best, similarity, at, overlap = whole, (whole + worst) / 2, shift, common
    return max(0.0, similarity), at / rate, overlap / rate


def _fingerprint_group(
    mel_path: Path, group: int, skip: Set[str], frame_rate: float
) -> list[tuple[str, Fingerprint]]:
    with pq.ParquetFile(mel_path) as file:
        table = file.read_row_group(group, columns=["track_id", "mel", "num_mels"])
    found = []
    for track_id, data, num_mels in zip(*(column for column in table.columns), strict=True):
        if data.is_valid and num_mels.as_py() and track_id.as_py() not in skip:
            spectrogram = tables.unpack_mel(data.as_buffer(), num_mels=num_mels.as_py())
            found.append((track_id.as_py(), fingerprint.fingerprint(spectrogram, frame_rate=frame_rate)))
    return found


def _votes(
    hashes: np.ndarray, times: np.ndarray, owners: np.ndarray, tracks: range
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs whose first track is among ``tracks``, and their votes at the best offset."""
    here = np.flatnonzero((owners >= tracks.start) & (owners < tracks.stop))
    keys = [np.empty(0, np.int64)]
    for distance in range(1, MAX_POSTINGS):
        here = here[here + distance < len(hashes)]
        here = here[hashes[here + distance] == hashes[here]]  # hashes are sorted, so later ones differ too
        one = here[owners[here + distance] != owners[here]]
        other = one + distance
        pair = (owners[one] - tracks.start).astype(np.int64) << _TRACK_BITS | owners[other]
        keys.append(pair << _OFFSET_BITS | (times[one] - times[other] + (1 << _OFFSET_BITS - 1)))
    key, count = np.unique(np.concatenate(keys), return_counts=True)
    # Peaks can move by a frame, so the votes of neighbouring offsets are added.
    score = count.copy()
    beside = key[1:] == key[:-1] + 1
    score[:-1][beside] += count[1:][beside]
    score[1:][beside] += count[:-1][beside]
    key, score = key[score >= MIN_VOTES], score[score >= MIN_VOTES]
    pair, start = np.unique(key >> _OFFSET_BITS, return_index=True)
    best = np.maximum.reduceat(score, start) if len(start) else score
    return (pair >> _TRACK_BITS) + tracks.start, pair & (1 << _TRACK_BITS) - 1, best


def _strongest(first: np.ndarray, second: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positions of the pairs that are among the `MAX_CANDIDATES` strongest of one of their tracks."""
    position = np.tile(np.arange(len(first)), 2)
    track = np.concatenate([first, second])
    order = np.lexsort((position, -score[position], track))
    return np.unique(position[order][_rank(track[order]) < MAX_CANDIDATES])


def _rank(groups: np.ndarray) -> np.ndarray:
    """Position of each element within its run of equal elements, from 0."""
    start = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(start, np.diff(np.append(start, len(groups))))


def _best_shifts(first: np.ndarray, second: np.ndarray, *, rate: float) -> list[int]:
    """The shifts in frames with the highest correlation, at most `NUM_SHIFTS`, and with enough overlap."""
    from scipy import fft

    shorter = min(len(first), len(second))
    least = max(SHORTEST_OVERLAP * rate, min(MIN_OVERLAP * rate, MIN_SHARE * shorter))
    shifts = np.arange(1 - len(second), len(first))
    begin, end = np.maximum(0, shifts), np.minimum(len(first), len(second) + shifts)
    shifts, begin, end = (values[end - begin >= least] for values in (shifts, begin, end))
    if not len(shifts):
        return []
    size = fft.next_fast_len(len(first) + len(second), real=True)
    one, other = (fft.rfft(cells.T.astype(np.float32, order="C"), size) for cells in (first, second))
    # Sum over the bands before transforming back: one inverse transform instead of 64.
    product = fft.irfft(np.einsum("bf,bf->f", one, other.conj()), size)[shifts]
    energy, energy_other = (
        np.concatenate([[0.0], np.cumsum(np.square(cells, dtype=np.float64).sum(axis=1))])
        for cells in (first, second)
    )
    both = (energy[end] - energy[begin]) * (energy_other[end - shifts] - energy_other[begin - shifts])
    correlation = np.where(both > 0, product / np.sqrt(np.maximum(both, 1)), 0)
    best = np.argsort(-correlation, kind="stable")[:NUM_SHIFTS]
    return shifts[best[correlation[best] >= PROMISING]].tolist()


def _correlations(one: np.ndarray, other: np.ndarray, *, length: float) -> tuple[float, float]:
    """Correlation of all cells, and of the worst segment of ``length`` frames in which both have contrast."""
    count = max(1, round(len(one) / length))
    end = len(one) // count * count
    one, other = (cells[:end].reshape(count, -1).astype(np.float32) for cells in (one, other))
    # The sketches' local mean is 0 already, so no mean is subtracted here.
    product, energy, energy_other = (
        np.einsum("sc,sc->s", a, b) for a, b in ((one, other), (one, one), (other, other))
    )
    if not energy.any() or not energy_other.any():
        return 0.0, 0.0
    both = (energy > QUIET * energy.mean()) & (energy_other > QUIET * energy_other.mean())
    whole = product.sum() / np.sqrt(energy.sum() * energy_other.sum())
    parts = product[both] / np.sqrt(energy[both] * energy_other[both])
    return float(whole), float(parts.min(initial=whole))
