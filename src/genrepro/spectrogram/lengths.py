"""Find the music that a header does not count.

A recorder that died leaves a length of zero, or the last one that it noted. `cat` joins two MP3 files under
the tag of the first. libsndfile stops where the header says so, and would lose the rest without a word.
"""

import struct
from io import BytesIO
from pathlib import Path
from typing import IO

from genrepro.spectrogram import ffmpeg

# An MP3's tag may tell decoders to drop samples at both ends: two numbers of 12 bits.
_TRIMMED = 2 * 4095
_LARGEST = 1 << 30  # bytes that are copied into memory; an hour of CD audio has 0.6 GB
_SHORTEST = 8192  # bytes after the counted samples that may be music; less is a tag or padding
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # as players append them to any file
_OPEN = 0xFFFFFFFF  # "until the end of the file", in WAV and AU
_CHUNKS = {
    b"RIFF": ("<", b"data"),
    b"FORM": (">", b"SSND"),
}  # WAV, AIFF: order of bytes, where the samples are


def mended(source: Path | BytesIO) -> Path | BytesIO:
    """The source itself, or a copy in memory whose header counts all of its samples.

    A WAV, AIFF or AU of at most 1 GiB is copied if its header counts less than is there. What follows the
    counted samples is music unless it is a chunk, a tag, zeros, or short.
    """
    with source.open("rb") if isinstance(source, Path) else BytesIO(source.getvalue()) as file:
        size = file.seek(0, 2)
        file.seek(0)
        begin = file.read(24)
        if begin[:4] in _CHUNKS:
            order, name = _CHUNKS[begin[:4]]
            written_at = _chunk(file, size, name, order)
            start, even = written_at + 4, True
        elif begin[:4] == b".snd" and len(begin) == 24:
            order, written_at, start, even = ">", 8, int.from_bytes(begin[4:8], "big"), False
        else:
            return source
        file.seek(written_at)
        claim = int.from_bytes(file.read(4), "little" if order == "<" else "big")
        end = start + claim + (claim % 2 if even else 0)
        if not written_at or claim == _OPEN or not end < size <= _LARGEST:
            return source
        file.seek(end)
        if not _is_music(file.read(1 << 16), size - end, order):
            return source
        file.seek(0)
        content = BytesIO(file.read())
    content.seek(written_at)
    content.write(struct.pack(order + "I", size - start))
    content.seek(0)
    return content


def hides_music(source: Path | BytesIO, *, kind: str, num_frames: int) -> bool:
    """Whether a FLAC or MP3 has more frames than libsndfile finds in its header.

    Parameters
    ----------
    kind : str
        The format, as libsndfile calls it.
    num_frames : int
        What the header counts.
    """
    if kind not in ("FLAC", "MP3"):
        return False
    try:
        return ffmpeg.num_frames(source) > num_frames + _TRIMMED
    except ffmpeg.Refused:
        return False


def _chunk(file: IO[bytes], size: int, wanted: bytes, order: str) -> int:
    """Where the length of a chunk is written; 0 if there is no such chunk."""
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(order + "4sI", file.read(8))
        if name == wanted:
            return position + 4
        position += 8 + length + length % 2
    return 0


def _is_music(begin: bytes, num_left: int, order: str) -> bool:
    name, length = begin[:4], int.from_bytes(begin[4:8], "little" if order == "<" else "big")
    is_chunk = name.isascii() and name.decode().isprintable() and length + 8 <= num_left + 1
    return num_left >= _SHORTEST and not is_chunk and not begin.startswith(_TAGS) and any(begin)
