"""Near duplicates: pairs of tracks that hold the same recording, found in the mel table, without the audio.

Two steps. Candidates: an inverted index of all landmarks, sorted by hash; pairs of tracks that share hashes
at one and the same time offset collect votes. Hashes that many tracks share tell nothing and are left out,
which bounds the work for each landmark, so the cost grows with the tracks and not with their pairs.
Verification: each candidate's sketches must correlate wherever they overlap. Votes alone would also join
different pieces over the same loop.

Finds what was coded again, cut elsewhere, shortened, made louder or mixed with noise; not what plays at
another speed or pitch, and no other performance of a piece. docs/DUPLICATES.md has what was measured.
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

MAX_POSTINGS = 50  # landmarks under one hash; more common ones are left out
MIN_VOTES = 6  # landmarks at one offset; a track has some 1400, and noise at 0 dB leaves a copy 40 in common
MAX_CANDIDATES = 10  # of a track, those with most votes: bounds verification where everything resembles
NUM_SHIFTS = 6  # best places of a candidate that are looked at closely
MIN_OVERLAP = 15.0  # s, half a usual clip; two pieces over one loop were seen to agree for 13 s
MIN_SHARE = 0.6  # of the shorter track: enough where that is less
SHORTEST_OVERLAP = 2.0  # s; below it, only equal content is a duplicate
# Share by which a copy may run faster or slower: turntables and tapes of old compilations.
MAX_DRIFT = 0.016
PROMISING = 0.3  # correlation below which a place is not looked at: other music reaches 0.1, slow copies 0.45
SEGMENT = 3.0  # s; must agree by itself
QUIET = 0.05  # share of a track's mean contrast below which a segment says nothing
_TRACKS_AT_A_TIME = 1000  # whose votes are counted together: bounds memory
# A vote is one integer: the first track (10 bits, within those whose votes are counted together), the second,
# the offset in frames.
_TRACK_BITS, _OFFSET_BITS = 28, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two tracks that hold the same recording."""

    first: str
    """`track_id`; sorts before `second`."""
    second: str
    offset: float
    """s; what `first` plays at time t, `second` plays at t - offset: it was cut so much later."""
    similarity: float
    """0..1; as `compare` defines it."""
    overlap: float
    """s that both hold."""


def near_duplicates(mel_path: Path, *, skip: Set[str], min_similarity: float, num_workers: int) -> list[Pair]:
    """Pairs of tracks that hold the same recording.

    Parameters
    ----------
    mel_path : Path
        mel.parquet. Read once, by row groups; of a track of 30 s about 35 kB are kept.
    skip : set of str
        `track_id` of tracks to leave out (silent ones); rows without a spectrogram are left out anyway.
    min_similarity : float
        0..1; a candidate below it is not a pair.
    num_workers : int
        Processes that read and fingerprint; the result does not depend on it.

    Returns
    -------
    list of Pair
        Sorted by their tracks; exact copies are among them.
    """
    rate = fingerprint.sketch_rate(read_mel_description(mel_path)["frame_rate"])
    prints = read_fingerprints(mel_path, skip=skip, num_workers=num_workers)
    return match(prints, rate=rate, min_similarity=min_similarity)


def read_fingerprints(mel_path: Path, *, skip: Set[str], num_workers: int) -> dict[str, Fingerprint]:
    """Fingerprints of all tracks but those to skip, sorted by `track_id`."""
    from joblib import Parallel, delayed

    frame_rate = read_mel_description(mel_path)["frame_rate"]
    with pq.ParquetFile(require(mel_path)) as file:
        groups = range(file.num_row_groups)
    work = (delayed(_fingerprint_group)(mel_path, group, skip, frame_rate) for group in groups)
    return dict(
        sorted((one for chunk in Parallel(n_jobs=num_workers)(work) for one in chunk), key=itemgetter(0))
    )


def match(prints: Mapping[str, Fingerprint], *, rate: float, min_similarity: float) -> list[Pair]:
    """Pairs among fingerprints, whose sketches have ``rate`` frames a second; sorted if ``prints`` are."""
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
    """Pairs of tracks that share landmarks at one offset.

    Parameters
    ----------
    prints : sequence of Fingerprint

    Returns
    -------
    list of (int, int)
        Positions of the two tracks, the smaller one first; sorted.
    """
    if not prints:
        return []
    hashes = np.concatenate([track.hashes for track in prints])
    times = np.concatenate([track.times for track in prints])
    owners = np.repeat(np.arange(len(prints), dtype=np.int32), [len(track.hashes) for track in prints])
    # A stable sort of tracks that come in order: within a hash, landmarks are sorted by track.
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
    """Similarity of two sketches where they fit best.

    Where that is, votes cannot say: a loop's copies agree at many offsets, and a copy that runs a little
    slower spreads its votes. So all offsets are tried at once, by the Fourier transform.

    Parameters
    ----------
    first, second : np.ndarray [shape=(num_frames, num_bands), dtype=int8]
        As `fingerprint.make_sketch` returns them.
    rate : float
        Hz, of the sketches.

    Returns
    -------
    similarity : float
        Mean of the correlation over the whole overlap and over its worst `SEGMENT`: a copy agrees everywhere,
        two pieces over one loop only as long as they play no more than the loop. 0 where nothing fits.
    offset, overlap : float
        s; as in `Pair`.
    """
    best, similarity, at, overlap = 0.0, 0.0, 0, 0
    for shift in _best_shifts(first, second, rate=rate):
        one, other = first[max(0, shift) :], second[max(0, -shift) :]
        common = min(len(one), len(other))
        frames = np.arange(common)
        most = round(MAX_DRIFT * common)
        for drift in sorted(range(-most, most + 1), key=abs):  # none first
            # A clock that runs otherwise: `other` is read a little faster or slower, true in the middle.
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
    """Pairs whose first track is among ``tracks``, and the votes at their best offset."""
    here = np.flatnonzero((owners >= tracks.start) & (owners < tracks.stop))
    keys = [np.empty(0, np.int64)]
    for distance in range(1, MAX_POSTINGS):
        here = here[here + distance < len(hashes)]
        here = here[hashes[here + distance] == hashes[here]]  # hashes are sorted: an end is an end for good
        one = here[owners[here + distance] != owners[here]]
        other = one + distance
        pair = (owners[one] - tracks.start).astype(np.int64) << _TRACK_BITS | owners[other]
        keys.append(pair << _OFFSET_BITS | (times[one] - times[other] + (1 << _OFFSET_BITS - 1)))
    key, count = np.unique(np.concatenate(keys), return_counts=True)
    # Peaks move by a frame: neighbouring offsets vote together.
    score = count.copy()
    beside = key[1:] == key[:-1] + 1
    score[:-1][beside] += count[1:][beside]
    score[1:][beside] += count[:-1][beside]
    key, score = key[score >= MIN_VOTES], score[score >= MIN_VOTES]
    pair, start = np.unique(key >> _OFFSET_BITS, return_index=True)
    best = np.maximum.reduceat(score, start) if len(start) else score
    return (pair >> _TRACK_BITS) + tracks.start, pair & (1 << _TRACK_BITS) - 1, best


def _strongest(first: np.ndarray, second: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positions of what is among the `MAX_CANDIDATES` strongest of either of its tracks."""
    position = np.tile(np.arange(len(first)), 2)
    track = np.concatenate([first, second])
    order = np.lexsort((position, -score[position], track))
    return np.unique(position[order][_rank(track[order]) < MAX_CANDIDATES])


def _rank(groups: np.ndarray) -> np.ndarray:
    """Place of each element within its run of equal ones: 0 for the first."""
    start = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(start, np.diff(np.append(start, len(groups))))


def _best_shifts(first: np.ndarray, second: np.ndarray, *, rate: float) -> list[int]:
    """Shifts in frames, `NUM_SHIFTS` at most, at which enough of both overlaps and most of it correlates."""
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
    # Summed over the bands before the transform back: one inverse transform instead of 64.
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
    """Correlation of all cells, and the lowest of segments of ``length`` frames where both have contrast."""
    count = max(1, round(len(one) / length))
    end = len(one) // count * count
    one, other = (cells[:end].reshape(count, -1).astype(np.float32) for cells in (one, other))
    # The local mean is gone already, so there is none to take away.
    product, energy, energy_other = (
        np.einsum("sc,sc->s", a, b) for a, b in ((one, other), (one, one), (other, other))
    )
    if not energy.any() or not energy_other.any():
        return 0.0, 0.0
    both = (energy > QUIET * energy.mean()) & (energy_other > QUIET * energy_other.mean())
    whole = product.sum() / np.sqrt(energy.sum() * energy_other.sum())
    parts = product[both] / np.sqrt(energy[both] * energy_other[both])
    return float(whole), float(parts.min(initial=whole))
