"""Decode what libsndfile cannot, with ffmpeg's libraries (PyAV): AAC, ALAC, WMA, WebM, damaged MP3, ...

The samples equal those of the program `ffmpeg`, as 32-bit floats at the file's own rate. Unreadable parts of
a damaged file are left out, so its audio is shorter than its header says.
"""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

# Containers that hold music. ffmpeg also accepts other formats, such as subtitles, pictures and raw samples.
FORMATS = frozenset({
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd", "eac3",
    "flac", "flv", "latm", "loas", "matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg",
    "oma", "shn", "tak", "tta", "w64", "wav", "webm", "wsd", "wv", "xwma",
})  # fmt: skip
# Streams without a container. ffmpeg guesses their duration from the bit rate.
_GUESSED = frozenset({"aac", "ac3", "dts", "eac3", "latm", "loas"})
# Containers whose header may count less than they hold.
_COUNTED = frozenset({"flac", "mp3"})
_BEGINNING_OF_STREAM = 2  # flag in the type of an Ogg page, RFC 3533 section 6


class Refused(Exception):  # noqa: N818 - a finding about a file, not yet an error
    """ffmpeg cannot decode the file either."""


def comes_first(source: Path | BytesIO) -> bool:
    """Whether libsndfile would misread the file: it takes AAC for MP3, and reads part of a chained Ogg."""
    content = source.getvalue() if isinstance(source, BytesIO) else _beginning_or_ogg(source)
    if content[:3] == b"ID3" and len(content) > 10:
        size = sum((byte & 127) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
        content = content[10 + size :]
    if content[:4] == b"OggS":
        return len(_starts_of_links(content)) > 1
    return len(content) > 1 and content[0] == 0xFF and content[1] & 0xF6 == 0xF0  # ADTS: no layer


def header(source: Path | BytesIO) -> tuple[int, int, float | None]:
    """Read sample rate [Hz], channels and duration [s] from the header. None: the duration is not given.

    The links of a chained Ogg are added up. A FLAC or MP3 is at least as long as what is in it.

    Raises
    ------
    Refused
        If the file holds no audio that ffmpeg knows.
    """
    links = []
    for link in _links(source):
        with suppress(Refused):
            links.append(_header(link))
    if not links:
        raise Refused
    rate, num_channels, duration, kind = links[0]
    if kind in _COUNTED and duration is not None:
        duration = max(duration, num_frames(source) / rate)
    durations = [duration, *(link[2] for link in links[1:])]
    known = [duration for duration in durations if duration is not None]
    return rate, num_channels, sum(known) if len(known) == len(durations) else None


def num_frames(source: Path | BytesIO) -> int:
    """Count the samples of a channel by the sizes of the packets, which takes a tenth of decoding them.

    Raises
    ------
    Refused
        If the file holds no audio that ffmpeg knows.
    """
    from av.error import FFmpegError

    with _open(source) as (container, stream):
        total = 0
        with suppress(FFmpegError):  # damaged from there on
            for packet in container.demux(stream):
                total += packet.duration or 0
        return round(total * stream.time_base * stream.codec_context.sample_rate)


def _header(source: Path | BytesIO) -> tuple[int, int, float | None, str]:
    with _open(source) as (container, stream):
        duration = None
        if container.format.name in _GUESSED:
            pass
        elif stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6  # av.time_base
        context = stream.codec_context
        return context.sample_rate, context.channels, duration, container.format.name


def blocks(source: Path | BytesIO) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the sample rate [Hz] and pieces of samples [shape=(num_frames, num_channels), dtype=float32].

    All pieces have the rate and the number of channels of the first.

    Raises
    ------
    Refused
        If the file holds no audio that ffmpeg knows, or most of it is damaged.
    """
    import av

    first, num_read, num_damaged = None, 0, 0
    for link in _links(source):
        resampler = None
        with suppress(Refused), _open(link) as (container, stream):
            for frame, damaged in _frames(container, stream):
                num_read, num_damaged = num_read + (not damaged), num_damaged + damaged
                if frame is None:
                    continue
                if resampler is None:  # links may have different rates and channels
                    first = first or (frame.layout, frame.sample_rate)
                    resampler = av.AudioResampler("fltp", *first)
                for part in resampler.resample(frame):
                    yield part.sample_rate, part.to_ndarray().T
            for part in resampler.resample(None) if resampler else ():
                yield part.sample_rate, part.to_ndarray().T
    if num_damaged >= num_read:
        raise Refused


def _frames(container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
    """Yield decoded frames. A packet without frames yields None and whether the packet is damaged."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:  # the container is damaged from here on
            return
        try:
            frames = packet.decode()
        except FFmpegError:
            yield None, True
            continue
        if not frames:
            yield None, False
        for frame in frames:
            yield frame, False


class _open:  # noqa: N801 - a context manager that reads as a function
    """Open the container and its best audio stream. Raise `Refused` if it has no audio."""

    def __init__(self, source: Path | BytesIO) -> None:
        self._source = source

    def __enter__(self) -> "tuple[Any, Any]":
        import av
        from av.error import FFmpegError

        av.logging.set_level(None)  # ffmpeg's own lines name no file
        try:
            self._container = av.open(
                self._source if isinstance(self._source, BytesIO) else str(self._source),
                metadata_errors="replace",
            )
        except (FFmpegError, OSError, ValueError) as error:
            raise Refused from error
        stream = self._container.streams.best("audio")
        if stream is None or not FORMATS & set(self._container.format.name.split(",")):
            self._container.close()
            raise Refused
        stream.codec_context.thread_type = "NONE"  # work is already parallel over files
        return self._container, stream

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _beginning_or_ogg(path: Path) -> bytes:
    """Read the first kilobytes of a file, or all of an Ogg, whose links may begin anywhere."""
    with path.open("rb") as file:
        begin = file.read(1 << 16)
        return begin + file.read() if begin[:4] == b"OggS" else begin


def _links(source: Path | BytesIO) -> list[Path | BytesIO]:
    """The links of a chained Ogg, each as a file of its own; any other file as it is.

    ffmpeg reads a chain through one decoder, which adds or loses samples at each seam.
    """
    content = source.getvalue() if isinstance(source, BytesIO) else _beginning_or_ogg(source)
    if content[:4] != b"OggS" or len(starts := _starts_of_links(content)) < 2:
        return [source]
    return [BytesIO(content[start:end]) for start, end in pairwise([*starts, len(content)])]


def _starts_of_links(ogg: bytes) -> list[int]:
    """Where streams begin after another one's first pages of music (RFC 3533, section 4), and 0."""
    starts, position, music = [0], 0, False
    while (position := ogg.find(b"OggS\0", position)) >= 0 and position + 27 <= len(ogg):
        begins = bool(ogg[position + 5] & _BEGINNING_OF_STREAM)
        if begins and music:
            starts.append(position)
        music = not begins
        lengths = ogg[position + 27 : position + 27 + ogg[position + 26]]
        position += 27 + len(lengths) + sum(lengths)
    return starts
