"""Turn audio files into mono samples at one rate: decode, mix down, resample with soxr HQ.

libsndfile decodes most files. Files that it refuses go to ffmpeg's libraries (`ffmpeg`). A seed
file becomes the track that the composer makes of it (`datasets.synthesis.seeds`).
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from genrepro.spectrogram import ffmpeg, lengths

MAX_DURATION = 3600.0  # s; an hour at 96 kHz is 1.4 GB of samples, and no clip of music is longer
MAX_PEAK = 1e10  # full scale is 1, integers stored as floats reach 2^31; powers must not overflow float32
# Samples read at once, all channels together: 16 MB. A clip of 30 s is one read. A long file, or one whose
# header claims too much, cannot use more memory.
_READ = 1 << 22
_SEED = ".seed"  # `seeds.SUFFIX`; the composer is imported only where it plays
_STANDARD_ERROR = threading.Lock()
_MIX = 1 << 15  # frames mixed at once: they stay in the processor's cache


class UndecodableError(ValueError):
    """The file holds no usable audio; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """Facts that the samples tell and the spectrogram does not: the columns of `tables.LEVELS`.

    All are measured on the mean of the channels at the file's own rate, since resampling would blur clipped
    runs.
    """

    duration: float
    """s"""
    peak: float
    """Largest absolute sample, full scale 1."""
    clipped_share: float
    """Share of samples at the peak that have a neighbour at the peak. 0 if the peak is more than one 16-bit
    step below full scale. A single sample at full scale comes from normalisation, a run from clipping."""
    rms: float
    """Root mean square, full scale 1. A constant offset is removed first if it is most of the energy, since
    it cannot be heard."""
    channel_difference: float | None
    """Root mean square of the difference between the channels, divided by ``rms``. With more than two
    channels, the difference between the largest and the smallest at each moment. 0: all channels are equal;
    infinite: they cancel; None: mono."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The facts in a file's header, before it is decoded."""

    sample_rate: int
    """Hz"""
    num_channels: int
    duration: float | None
    """s. None if the header does not say it, or claims more than `MAX_DURATION`."""


def read_header(path: Path) -> Header:
    """Read the header of a file with the library that would decode it.

    Raises
    ------
    UndecodableError
        If neither library knows the format.
    """
    import soundfile

    try:
        if path.suffix == _SEED:
            return _composed(path)[0]
        if ffmpeg.comes_first(path):
            raise _Other("not a format of libsndfile's")
        with _quiet():
            info = soundfile.info(_name(lengths.mended(path)))
        _check(path, kind=info.format, num_frames=info.frames)
        found = info.samplerate, info.channels, info.frames / info.samplerate
    except (soundfile.LibsndfileError, _Other) as error:
        try:
            found = ffmpeg.header(path)
        except ffmpeg.Refused:
            raise _undecodable(error) from error
    rate, channels, duration = found
    known = duration is not None and duration <= MAX_DURATION
    return Header(sample_rate=rate, num_channels=channels, duration=duration if known else None)


def decode(path: Path | BytesIO, *, sample_rate: int) -> np.ndarray:
    """Decode a file into mono samples.

    Parameters
    ----------
    path : Path or BytesIO
        Anything that libsndfile or ffmpeg reads.
    sample_rate : int
        Hz of the result.

    Returns
    -------
    np.ndarray [shape=(num_samples,), dtype=float32]
        Full scale is 1.

    Raises
    ------
    UndecodableError
        If both libraries refuse the file, if it has no samples or a sample that is not a number, or if it is
        longer than `MAX_DURATION`.
    """
    return decode_with_levels(path, sample_rate=sample_rate)[0]


def decode_with_levels(path: Path | BytesIO, *, sample_rate: int) -> tuple[np.ndarray, Levels]:
    """Like `decode`, but also return the levels, which cannot be measured after resampling."""
    original_rate, mono, difference = _read(path)
    if not len(mono):
        raise UndecodableError("undecodable: no samples")
    measured = levels(mono, sample_rate=original_rate, difference=difference)
    if original_rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, original_rate, sample_rate, quality="HQ")
        if not len(mono):  # a handful of samples at a higher rate
            raise UndecodableError(f"undecodable: no samples at {sample_rate} Hz")
    return mono, measured


def _name(path: Path | BytesIO) -> Path | BytesIO | bytes:
    """The path as bytes on systems where file names are bytes, because soundfile only encodes Unicode."""
    return os.fsencode(path) if isinstance(path, Path) and os.name == "posix" else path


def levels(samples: np.ndarray, *, sample_rate: int, difference: float | None = None) -> Levels:
    """Measure the levels of mono samples.

    Parameters
    ----------
    samples : np.ndarray [shape=(num_samples,), dtype=float32]
        At least one.
    sample_rate : int
        Hz.
    difference : float or None
        Root mean square of the difference between the channels before they were mixed.

    Raises
    ------
    UndecodableError
        If a sample is not a number, or is larger than `MAX_PEAK`.
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
        rms=_audible(samples, rms),
        channel_difference=relative,
    )


class _Other(Exception):  # noqa: N818 - a reason to ask the other library
    """libsndfile would not read the file correctly."""


def _read(source: Path | BytesIO) -> tuple[int, np.ndarray, float | None]:
    """Read a file's rate [Hz], the mean of its channels, and the rms of their difference."""
    import soundfile

    try:
        if isinstance(source, Path) and source.suffix == _SEED:
            return _mix_down(_composed(source)[1])
        if ffmpeg.comes_first(source):
            raise _Other("not a format of libsndfile's")
        return _mix_down(_blocks(source))
    except (soundfile.LibsndfileError, _Other) as error:
        if isinstance(source, BytesIO):
            source.seek(0)
        try:
            return _mix_down(ffmpeg.blocks(source))
        except ffmpeg.Refused:
            raise _undecodable(error) from error


def _composed(path: Path) -> tuple[Header, Iterator[tuple[int, np.ndarray]]]:
    """The header of what a seed file would become, and that, in one block."""
    from genrepro.datasets.synthesis import seeds
    from genrepro.datasets.synthesis.signals import SAMPLE_RATE

    try:
        seed = seeds.read(path)
    except ValueError as error:
        raise UndecodableError(f"undecodable: {error}") from error
    if seed.duration > MAX_DURATION:
        raise UndecodableError("undecodable: longer than an hour")
    header = Header(sample_rate=SAMPLE_RATE, num_channels=1, duration=seed.duration)
    return header, ((SAMPLE_RATE, block[:, None]) for block in map(seeds.play, [seed]))


def _check(source: Path | BytesIO, *, kind: str, num_frames: int) -> None:
    """Raise `_Other` if libsndfile guesses by the name alone, or would stop before the end."""
    if kind == "RAW":  # anything that is called .au, .snd, .gsm or .vox
        raise _Other("Format not recognised")
    if lengths.hides_music(source, kind=kind, num_frames=num_frames):
        raise _Other("its header counts less than it holds")


def _undecodable(error: Exception) -> UndecodableError:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    if reason.startswith("File does not exist"):  # libsndfile says so if a file looks like MP3 but is not
        reason = "Format not recognised"
    return UndecodableError(f"undecodable: {reason}")


def _blocks(source: Path | BytesIO) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the sample rate [Hz] and pieces of samples [shape=(num_frames, num_channels)], by libsndfile."""
    import soundfile

    with _quiet():
        file = soundfile.SoundFile(_name(lengths.mended(source)))
    with file:
        _check(source, kind=file.format, num_frames=file.frames)
        # soundfile would seek after each read. That fails at the end of a file whose header gives no length
        # or too large a length.
        file.seekable = lambda: False
        # libsndfile converts 16-bit samples to floats one by one. NumPy does the same with vectors.
        dtype = "int16" if file.subtype == "PCM_16" else "float32"
        while True:
            with _quiet():
                block = file.read(max(1, _READ // file.channels), dtype=dtype, always_2d=True)
            if not len(block):
                return
            yield file.samplerate, block


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide libmpg123's messages on standard error: they do not name the file, and ffmpeg tries next."""
    with _STANDARD_ERROR:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _mix_down(blocks: Iterable[tuple[int, np.ndarray]]) -> tuple[int, np.ndarray, float | None]:
    """Return rate, mean of the channels [shape=(num_frames,), dtype=float32], rms of their difference."""
    mixed, energy, num_frames, rate, num_channels = [np.empty(0, np.float32)], 0.0, 0, 1, 1
    for rate, block in blocks:
        num_frames, num_channels = num_frames + len(block), block.shape[1]
        if num_frames > MAX_DURATION * rate:
            raise UndecodableError("undecodable: longer than an hour")
        mono, block_energy = _mean_of_channels(block)
        mixed.append(mono)
        energy += block_energy
    difference = None if num_channels == 1 else float(np.sqrt(energy / max(1, num_frames)))
    return rate, mixed[-1] if len(mixed) == 2 else np.concatenate(mixed), difference


def _mean_of_channels(block: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean over the columns, and the energy of their difference.

    It adds whole channels, piece by piece. mean(axis=1) over interleaved pairs is twenty times slower.
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


def _audible(samples: np.ndarray, rms: float) -> float:
    """``rms``, or the standard deviation if a constant offset has nine tenths of the energy."""
    mean = float(samples.mean(dtype=np.float64))
    if mean * mean < 0.9 * rms * rms or not rms or len(samples) == 1:
        return rms
    rest = samples - np.float32(mean)
    return float(np.sqrt(_energy(rest) / len(rest)))


def _clipped_share(samples: np.ndarray, peak: float) -> float:
    if peak < 1 - 2 / 32768:
        return 0.0
    neighbours = np.diff(np.flatnonzero(np.abs(samples) >= peak - 1 / 32768)) == 1
    beside = np.append(neighbours, False) | np.insert(neighbours, 0, False)
    return float(np.count_nonzero(beside) / len(samples))
