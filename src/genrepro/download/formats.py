"""Iterate over the members of a folder, a zip or a tar archive, in the order in which they lie in it.

The format is found by content. Reading ends with an error at a member that could do harm: a link, a device,
an absolute path, or a name that leads out of the folder. Errors of the formats' readers become one sentence.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase, FileIO
from pathlib import Path
from typing import IO, Any, cast

from genrepro.base.errors import GenreproError
from genrepro.download.http import is_html

CHUNK = 1 << 18  # bytes

_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_KINDS = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One entry of a source."""

    name: str
    """Name as the source spells it."""
    kind: str
    """file, folder, link or special."""
    position: int
    """Bytes of the source up to the end of this entry, for the progress bar."""
    num_bytes: int
    """Size that the header gives."""
    chunk: int = CHUNK
    """Bytes to read at a time."""
    open: Callable[[], IO[bytes]]


def members(source: Path, *, without: Path, spend: Callable[[int], None]) -> Iterator[Member]:
    """Yield the members of a folder or an archive. Open a member before you ask for the next one.

    Parameters
    ----------
    without : Path
        A folder that is skipped if it lies inside ``source``.
    spend : callable
        Called with the number of bytes that a compressed tar archive expands to, piece by piece. Members that
        the caller skips count too.

    Raises
    ------
    GenreproError
        If the source is not a folder or archive, is cut off or damaged, or has a member that could do harm.
    """
    if source.is_dir():
        return _of_folder(source, without=without.resolve())
    with reading(source), source.open("rb") as file:
        head = file.read(512)
    # Look at the first bytes: is_zipfile looks at the end, and accepts a tar whose last member is a zip.
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(source)
    if head.startswith(tuple(_COMPRESSED)) or _is_tar_header(head):
        return _of_tar(source, head, spend)
    if zipfile.is_zipfile(source) and not is_html(head):  # a zip that follows a self-extracting program
        return _of_zip(source)
    begins = "like an HTML page" if is_html(head) else f"with {head[:12]!r}"
    raise GenreproError(f"{source} is neither a folder nor a zip or tar archive: it begins {begins}.")


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn errors of the formats' readers into a GenreproError."""
    try:
        yield
    except UnicodeDecodeError as error:  # from zipfile, which cannot read an archive with such a name
        raise GenreproError(
            f"{source} holds a name that is not UTF-8, {error.object!r}: pack it anew."
        ) from error
    except RuntimeError as error:  # from zipfile: a password, or a compression that Python does not know
        raise GenreproError(
            f"{source} cannot be unpacked, {error}: unpack it and name the folder."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise GenreproError(f"{source} cannot be read, {(error.strerror or '').lower()}.") from error
        raise _damaged(source, error) from error  # from gzip and bz2, which raise plain OSErrors
    except _DAMAGED as error:
        raise _damaged(source, error) from error


def _damaged(source: Path, error: Exception) -> GenreproError:
    return GenreproError(f"{source} is cut off or damaged ({error}): download it again.")


def _of_folder(source: Path, *, without: Path) -> Iterator[Member]:
    """Yield the files below a folder, sorted by name. Links are followed, but never in a circle."""
    position = 0
    waiting = [(source, frozenset[Path]())]
    while waiting:
        folder, above = waiting.pop()
        real = folder.resolve()
        if real == without or real in above:
            continue
        with reading(source):
            paths = sorted(folder.iterdir())
        waiting += [(path, above | {real}) for path in reversed(paths) if path.is_dir()]
        for path in paths:
            if path.is_dir():
                continue
            with reading(source):
                num_bytes = path.stat().st_size if path.is_file() else 0
            position += num_bytes
            yield Member(
                name=path.relative_to(source).as_posix(),
                kind="file" if path.is_file() else "special",
                position=position,
                num_bytes=num_bytes,
                open=partial(FileIO, path),
            )


def _of_zip(source: Path) -> Iterator[Member]:
    with ExitStack() as stack:
        with reading(source):
            archive = stack.enter_context(zipfile.ZipFile(source))
        end = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            # zipfile marks folders by a slash at the end. The upper bits hold Unix's file type, 0 if unknown.
            kind = stat.S_IFMT(info.external_attr >> 16)
            member = Member(
                name=info.orig_filename,
                kind="folder" if info.filename.endswith("/") else _KINDS.get(kind, "special"),
                position=info.header_offset + info.compress_size,
                num_bytes=info.file_size,
                # zipfile expands all LZMA bytes that it reads at once, to up to 7000 times as many.
                chunk=4096 if info.compress_type == zipfile.ZIP_LZMA else CHUNK,
                open=partial(
                    partial(_Bzip2, archive) if info.compress_type == zipfile.ZIP_BZIP2 else archive.open,
                    info,
                ),
            )
            if info.header_offset < end:
                raise GenreproError(
                    f"{source}: {member.name!r} lies inside another member, as in no honest archive: "
                    "download it again from its publisher."
                )
            end = info.header_offset + 30 + info.compress_size  # 30: the shortest header before the content
            yield _safe(member, source)


class _Bzip2(bz2.BZ2File):
    """A bzip2 member of a zip that is expanded in bounded pieces.

    40 bytes can become 45 MB. zipfile would expand 4096 bytes or more at once.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        packed = copy(info)
        packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
        del packed.CRC  # it is the checksum of the expanded content
        super().__init__(archive.open(packed))
        self._sum, self._expected = 0, info.CRC

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        self._sum = zlib.crc32(data, self._sum)
        if not data and self._sum != self._expected:
            raise zipfile.BadZipFile("Bad CRC-32")
        return data


def _of_tar(source: Path, head: bytes, spend: Callable[[int], None]) -> Iterator[Member]:
    # Read in one pass: seeking back in a compressed stream would expand it again from its beginning.
    openers = [opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)]
    with ExitStack() as stack:
        with reading(source):
            file = stack.enter_context(source.open("rb"))
            stream = _Stream(stack.enter_context(openers[0](file)) if openers else file, spend)
            try:
                tar = tarfile.open(  # noqa: SIM115 - the stack closes the file
                    fileobj=cast(Any, stream),
                    mode="r|",
                    bufsize=CHUNK,
                    encoding="utf-8",
                    errors="surrogateescape",
                )
            except tarfile.ReadError as error:
                raise GenreproError(
                    f"{source} is compressed, but what it holds is not a tar archive."
                ) from error
        while True:
            with reading(source):
                info = tar.next()
            if info is None:
                break
            cast(Any, tar).members.clear()  # tarfile would keep all members in memory
            yield _safe(
                Member(
                    name=info.name,
                    kind=_tar_kind(info),
                    position=file.tell(),
                    num_bytes=info.size,
                    open=cast(Callable[[], IO[bytes]], partial(tar.extractfile, info)),
                ),
                source,
            )
        with reading(source):
            # tarfile treats a damaged header as the end of the archive. The checksum of a compressed stream
            # is at its very end, so read up to there.
            if any(stream.block(tar.offset)):
                raise tarfile.ReadError("a header is damaged")
            stream.drain()


def _is_tar_header(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "link"
    return "folder" if info.isdir() else "file" if info.isfile() else "special"


class _Stream:
    """An expanded stream for tarfile. It counts its bytes and raises an error if it ends too early."""

    def __init__(self, file: IO[bytes] | BufferedIOBase, spend: Callable[[int], None]) -> None:
        self._file, self._spend = file, spend
        self._end = 0
        self._recent = b""

    def read(self, num_bytes: int) -> bytes:
        data = self._file.read(num_bytes)
        if not data:  # tarfile reads only bytes that must be there
            raise EOFError("it ends before the mark of its end")
        self._spend(len(data))
        self._end += len(data)
        self._recent = (self._recent + data)[-2 * CHUNK :]
        return data

    def block(self, offset: int) -> bytes:
        """The 512 bytes at ``offset``, which must be among the last that were read."""
        start = len(self._recent) - (self._end - offset)
        return self._recent[start : start + 512]

    def drain(self) -> None:
        while data := self._file.read(CHUNK):
            self._spend(len(data))


def _safe(member: Member, source: Path) -> Member:
    """Return the member, or raise GenreproError if its name or kind could do harm."""
    name = member.name
    reason = None
    if not name:
        reason = "has no name"
    elif name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        reason = "has an absolute path"
    elif ".." in re.split(r"[/\\]", name):
        reason = "climbs out of the folder"
    elif "\\" in name or "\0" in name:
        reason = "has a name that systems read differently"
    elif member.kind == "link":
        reason = "is a link"
    elif member.kind == "special":
        reason = "is neither a file nor a folder"
    if reason:
        raise GenreproError(
            f"{source}: {name!r} {reason}, so nothing of the archive is taken: unpack what you trust of it "
            "and name the folder."
        )
    return member
