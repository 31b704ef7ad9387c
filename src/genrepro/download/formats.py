"""The members of a folder, a zip or a tar archive, one after another, as they lie in it.

The format is found by content. A member of an archive whose name or kind could do harm, where a path is
followed, ends the reading: links, devices, absolute paths, names that climb out of the folder. What the
readers of the formats raise becomes one sentence.
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
    """As the source spells it."""
    kind: str
    """file, folder, link or special."""
    position: int
    """Bytes of the source up to and including it: for the progress."""
    num_bytes: int
    """As the header says."""
    chunk: int = CHUNK
    """Bytes to read at a time."""
    open: Callable[[], IO[bytes]]


def members(source: Path, *, without: Path, spend: Callable[[int], None]) -> Iterator[Member]:
    """The members of a folder or an archive; each is opened before the next one is asked for, or never.

    Parameters
    ----------
    without : Path
        A folder that is passed over if it lies inside ``source``.
    spend : callable
        Told how many bytes a compressed tar archive expands to, wanted or not, as they come.

    Raises
    ------
    GenreproError
        If the source is neither, is cut off or damaged, or a member of an archive could do harm.
    """
    if source.is_dir():
        return _of_folder(source, without=without.resolve())
    with reading(source), source.open("rb") as file:
        head = file.read(512)
    # By the first bytes: is_zipfile looks at the end, and takes a tar archive whose last member is a zip.
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(source)
    if head.startswith(tuple(_COMPRESSED)) or _is_tar_header(head):
        return _of_tar(source, head, spend)
    if zipfile.is_zipfile(source) and not is_html(head):  # behind a program that unpacks it
        return _of_zip(source)
    begins = "like an HTML page" if is_html(head) else f"with {head[:12]!r}"
    raise GenreproError(f"{source} is neither a folder nor a zip or tar archive: it begins {begins}.")


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn what the readers of the formats raise into a GenreproError."""
    try:
        yield
    except UnicodeDecodeError as error:  # of zipfile, which reads no archive with such a name
        raise GenreproError(
            f"{source} holds a name that is not UTF-8, {error.object!r}: pack it anew."
        ) from error
    except RuntimeError as error:  # of zipfile: a password, or a compression that Python does not know
        raise GenreproError(
            f"{source} cannot be unpacked, {error}: unpack it and name the folder."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise GenreproError(f"{source} cannot be read, {(error.strerror or '').lower()}.") from error
        raise _damaged(source, error) from error  # of gzip and bz2, which have no errors of their own
    except _DAMAGED as error:
        raise _damaged(source, error) from error


def _damaged(source: Path, error: Exception) -> GenreproError:
    return GenreproError(f"{source} is cut off or damaged ({error}): download it again.")


def _of_folder(source: Path, *, without: Path) -> Iterator[Member]:
    """Files below a folder in the order of their names, through links, but round no circle twice."""
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
            # zipfile names folders by a slash at the end; the type in the upper bits is Unix's, 0 if unknown.
            kind = stat.S_IFMT(info.external_attr >> 16)
            member = Member(
                name=info.orig_filename,
                kind="folder" if info.filename.endswith("/") else _KINDS.get(kind, "special"),
                position=info.header_offset + info.compress_size,
                num_bytes=info.file_size,
                # zipfile expands at once what it reads of LZMA, up to 7000 times as much.
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
    """A member of a zip, expanded in bounded pieces.

    40 bytes can become 45 MB, and zipfile would expand 4096 or more at once.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        packed = copy(info)
        packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
        del packed.CRC  # is that of the expanded content
        super().__init__(archive.open(packed))
        self._sum, self._expected = 0, info.CRC

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        self._sum = zlib.crc32(data, self._sum)
        if not data and self._sum != self._expected:
            raise zipfile.BadZipFile("Bad CRC-32")
        return data


def _of_tar(source: Path, head: bytes, spend: Callable[[int], None]) -> Iterator[Member]:
    # One pass: seeking back in a compressed stream would expand it again from its beginning.
    openers = [opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)]
    with ExitStack() as stack:
        with reading(source):
            file = stack.enter_context(source.open("rb"))
            stream = _Stream(stack.enter_context(openers[0](file)) if openers else file, spend)
            try:
                tar = tarfile.open(  # noqa: SIM115 - of a file that the stack closes
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
            cast(Any, tar).members.clear()  # it would keep a million of them
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
            # tarfile takes a damaged header for the end, and the compressed stream's sum is at its very end.
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
    """What tarfile reads: an expanded stream that is counted, and whose early end is an error."""

    def __init__(self, file: IO[bytes] | BufferedIOBase, spend: Callable[[int], None]) -> None:
        self._file, self._spend = file, spend
        self._end = 0
        self._recent = b""

    def read(self, num_bytes: int) -> bytes:
        data = self._file.read(num_bytes)
        if not data:  # tarfile reads only what must be there
            raise EOFError("it ends before the mark of its end")
        self._spend(len(data))
        self._end += len(data)
        self._recent = (self._recent + data)[-2 * CHUNK :]
        return data

    def block(self, offset: int) -> bytes:
        """The 512 bytes at ``offset``, which were read not long ago."""
        start = len(self._recent) - (self._end - offset)
        return self._recent[start : start + 512]

    def drain(self) -> None:
        while data := self._file.read(CHUNK):
            self._spend(len(data))


def _safe(member: Member, source: Path) -> Member:
    """The member, if it could not do harm even where a path is followed."""
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
