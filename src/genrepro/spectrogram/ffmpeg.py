"""Decode what libsndfile cannot, with ffmpeg's libraries (PyAV): AAC, ALAC, WMA, WebM, damaged MP3, ...

The samples equal those of the program `ffmpeg`, as 32-bit floats at the file's own rate. Unreadable parts of
a damaged file are left out, so its audio is shorter than its header says.
"""

from collections.abc import Iterator
from io import BytesIO
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
        return _is_chained(content)
    return len(content) > 1 and content[0] == 0xFF and content[1] & 0xF6 == 0xF0  # ADTS: no layer


def header(source: Path | BytesIO) -> tuple[int, int, float | None]:
    """Read sample rate [Hz], channels and duration [s] from the header. None: the duration is not given.

    Raises
    ------
    Refused
        If the file holds no audio that ffmpeg knows.
    """
    with _open(source) as (container, stream):
        duration = None
        if container.format.name in _GUESSED:
            pass
        elif stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6  # av.time_base
        return stream.codec_context.sample_rate, stream.codec_context.channels, duration


def blocks(source: Path | BytesIO) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the sample rate [Hz] and pieces of samples [shape=(num_frames, num_channels), dtype=float32].

    All pieces have the rate and the number of channels of the first.

    Raises
    ------
    Refused
        If the file holds no audio that ffmpeg knows, or most of it is damaged.
    """
    import av

    with _open(source) as (container, stream):
        resampler, num_read, num_damaged = None, 0, 0
        for frame, damaged in _frames(container, stream):
            num_read, num_damaged = num_read + (not damaged), num_damaged + damaged
            if frame is None:
                continue
            if resampler is None:  # the links of a chained stream may have different rates
                resampler = av.AudioResampler("fltp", frame.layout, frame.sample_rate)
            for part in resampler.resample(frame):
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


def _is_chained(ogg: bytes) -> bool:
    """Whether a stream begins after another one's first pages of music (RFC 3533, section 4)."""
    position, music = 0, False
    while (position := ogg.find(b"OggS\0", position)) >= 0 and position + 5 < len(ogg):
        begins = bool(ogg[position + 5] & _BEGINNING_OF_STREAM)
        if begins and music:
            return True
        music |= not begins
        position += 5
    return False
