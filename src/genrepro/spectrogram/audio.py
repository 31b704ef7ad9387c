"""Audio files to mono samples at one rate: decode with libsndfile, mix down, resample with soxr HQ."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import soundfile

MAX_DURATION = 3600.0  # s; an hour at 96 kHz is 1.4 GB of samples, and no clip of music is longer
MAX_PEAK = 1e10  # full scale is 1; integers stored as floats reach 2^31, and powers must not overflow float32
# Samples read at once, all channels together: 16 MB. A clip of 30 s is one read, and a long file or a header
# that lies cannot ask for more.
_READ = 1 << 22
_MIX = 1 << 15  # frames mixed at once: they stay in the processor's cache


class UndecodableError(ValueError):
    """The file holds no usable audio; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """What the samples tell beside their spectrogram: the columns of `tables.LEVELS`.

    All are of the mean of the channels at the file's own rate: resampling would smear clipped runs.
    """

    duration: float
    """s"""
    peak: float
    """Largest absolute sample, full scale 1."""
    clipped_share: float
    """Share of samples that sit at the peak beside another one there, if the peak is full scale within one
    16-bit step; 0 otherwise. A single sample at full scale is normalisation, a run is clipping."""
    rms: float
    """Root mean square, full scale 1."""
    channel_difference: float | None
    """Root mean square of the difference between the channels (of several, between the outermost at each
    moment) over ``rms``: 0 for the same sound in all of them, infinite where they cancel, None for mono."""


def decode(path: Path, *, sample_rate: int) -> np.ndarray:
    """Mono audio of a file.

    Parameters
    ----------
    path : Path
        Anything libsndfile reads: WAV, AU, FLAC, OGG, MP3.
    sample_rate : int
        Hz of the result.

    Returns
    -------
    np.ndarray [shape=(num_samples,), dtype=float32]
        Full scale is 1.

    Raises
    ------
    UndecodableError
        If libsndfile refuses the file, it has no samples or a sample that is not a number, or it lasts longer
        than `MAX_DURATION`.
    """
    return decode_with_levels(path, sample_rate=sample_rate)[0]


def decode_with_levels(path: Path, *, sample_rate: int) -> tuple[np.ndarray, Levels]:
    """`decode`, and the levels that are lost by resampling."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            # soundfile would seek after each read, which fails at the end of a file whose header leaves its
            # length open or claims too much.
            file.seekable = lambda: False
            original_rate = file.samplerate
            mono, difference = _mix_down(file)
    except soundfile.LibsndfileError as error:
        raise UndecodableError(f"undecodable: {error.error_string.strip().rstrip('.')}") from error
    if not len(mono):
        raise UndecodableError("undecodable: no samples")
    measured = levels(mono, sample_rate=original_rate, difference=difference)
    if original_rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, original_rate, sample_rate, quality="HQ")
        if not len(mono):  # a handful of samples at a higher rate
            raise UndecodableError(f"undecodable: no samples at {sample_rate} Hz")
    return mono, measured


def levels(samples: np.ndarray, *, sample_rate: int, difference: float | None = None) -> Levels:
    """The levels of mono samples.

    Parameters
    ----------
    samples : np.ndarray [shape=(num_samples,), dtype=float32]
        At least one.
    sample_rate : int
        Hz.
    difference : float or None
        Root mean square of the difference between the channels that were mixed.

    Raises
    ------
    UndecodableError
        If a sample is not a number, or beyond `MAX_PEAK`.
    """
    peak = max(float(np.maximum(samples.max(), -samples.min())), 0.0)  # NumPy's maximum keeps NaN
    if not np.isfinite(peak):
        raise UndecodableError("undecodable: samples that are not numbers")
    if peak > MAX_PEAK:
        raise UndecodableError(f"undecodable: samples of {peak:.0e} times full scale")
    rms = float(np.sqrt(_energy(samples) / len(samples)))
    relative = difference
    if difference:
        relative = difference / rms if rms else np.inf
    return Levels(
        duration=len(samples) / sample_rate,
        peak=peak,
        clipped_share=_clipped_share(samples, peak),
        rms=rms,
        channel_difference=relative,
    )


def _mix_down(file: "soundfile.SoundFile") -> tuple[np.ndarray, float | None]:
    """Mean of the channels [shape=(num_frames,), dtype=float32], and the rms of their difference."""
    most = int(MAX_DURATION * file.samplerate)
    # libsndfile turns 16-bit steps into floats one by one; NumPy does the same by the vector.
    dtype = "int16" if file.subtype == "PCM_16" else "float32"
    mixed, energy, num_frames = [np.empty(0, np.float32)], 0.0, 0
    while len(block := file.read(max(1, _READ // file.channels), dtype=dtype, always_2d=True)):
        num_frames += len(block)
        if num_frames > most:
            raise UndecodableError("undecodable: longer than an hour")
        mono, block_energy = _mean_of_channels(block)
        mixed.append(mono)
        energy += block_energy
    difference = None if file.channels == 1 else float(np.sqrt(energy / max(1, num_frames)))
    return mixed[-1] if len(mixed) == 2 else np.concatenate(mixed), difference


def _mean_of_channels(block: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean over the columns, and the energy of their difference.

    Whole channels are added, piece by piece: mean(axis=1) over interleaved pairs is twenty times slower.
    """
    num_frames, num_channels = block.shape
    if num_channels == 1:
        return _as_floats(block[:, 0]), 0.0
    mono = np.empty(num_frames, np.float32)
    energy = 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # `levels` refuses NaN and infinity
        for start in range(0, num_frames, _MIX):
            channels = _as_floats(block[start : start + _MIX]).T
            total = np.add(channels[0], channels[1], out=mono[start : start + _MIX])
            for channel in channels[2:]:
                total += channel
            total /= num_channels
            if num_channels == 2:
                energy += _energy(channels[0] - channels[1])
            else:
                energy += _energy(np.ptp(channels, axis=0))
    return mono, energy


def _as_floats(samples: np.ndarray) -> np.ndarray:
    return samples * np.float32(1 / 32768) if samples.dtype == np.int16 else samples


def _energy(samples: np.ndarray) -> float:
    return float(np.dot(samples, samples))


def _clipped_share(samples: np.ndarray, peak: float) -> float:
    if peak < 1 - 2 / 32768:
        return 0.0
    neighbours = np.diff(np.flatnonzero(np.abs(samples) >= peak - 1 / 32768)) == 1
    beside = np.append(neighbours, False) | np.insert(neighbours, 0, False)
    return float(np.count_nonzero(beside) / len(samples))
