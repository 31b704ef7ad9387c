"""What libsndfile does not decode, through ffmpeg's libraries (PyAV): AAC, ALAC, WMA, WebM, damaged MP3, ...

The samples are those of the program `ffmpeg`, as 32-bit floats at the file's own rate. A damaged file is
decoded as far as it goes: what cannot be read is left out, so it comes out shorter than its header says.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

# Containers that hold music. ffmpeg also finds subtitles, pictures and raw samples in files without any.
FORMATS = frozenset({
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd", "eac3",
    "flac", "flv", "latm", "loas", "matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg",
    "oma", "shn", "tak", "tta", "w64", "wav", "webm", "wsd", "wv", "xwma",
})  # fmt: skip
# Bare streams, whose duration ffmpeg guesses by the bit rate.
_GUESSED = frozenset({"aac", "ac3", "dts", "eac3", "latm", "loas"})
_BEGINNING_OF_STREAM = 2  # in the type of an Ogg page, RFC 3533 section 6


class Refused(Exception):  # noqa: N818 - a finding about a file, not yet an error
    """ffmpeg makes no music of the file either."""


def comes_first(source: Path | BytesIO) -> bool:
    """Whether libsndfile would misread the file: AAC is not MP3, and of a chained Ogg it reads one link."""
    content = source.getvalue() if isinstance(source, BytesIO) else _beginning_or_ogg(source)
    if content[:3] == b"ID3" and len(content) > 10:
        size = sum((byte & 127) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
        content = content[10 + size :]
    if content[:4] == b"OggS":
        return _is_chained(content)
    return len(content) > 1 and content[0] == 0xFF and content[1] & 0xF6 == 0xF0  # ADTS: no layer


def header(source: Path | BytesIO) -> tuple[int, int, float | None]:
    """Sample rate [Hz], channels and duration [s] as the file's header says; None where it leaves that open.

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
    """Sample rate [Hz] and samples [shape=(num_frames, num_channels), dtype=float32], piece by piece.

    All pieces have the rate and channels of the first.

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
            if resampler is None:  # links of a chained stream may differ
                resampler = av.AudioResampler("fltp", frame.layout, frame.sample_rate)
            for part in resampler.resample(frame):
                yield part.sample_rate, part.to_ndarray().T
        if num_damaged >= num_read:
            raise Refused


def _frames(container: Any, stream: Any) -> Iterator[tuple[Any, bool]]:
    """Decoded frames, and for each packet without one whether it is damaged."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:  # the container's own structure ends here
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
    """The container and its best audio stream; `Refused` where there is none."""

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
        stream.codec_context.thread_type = "NONE"  # files are the unit of parallel work
        return self._container, stream

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _beginning_or_ogg(path: Path) -> bytes:
    """The first kilobytes of a file; of an Ogg all of it, which is where its links are."""
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
