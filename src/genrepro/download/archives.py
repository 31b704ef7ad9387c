"""What a folder or an archive holds, copied to the places where a data set's module wants it.

An archive comes from strangers, so nothing in it is believed: not its extension, not the sizes in its
headers, and no path. A member lands only at a path that the caller composed, links and devices are refused,
and what unpacks to absurd sizes ends early. A folder is the user's own: links in it are followed.
"""

from collections.abc import Callable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path, PurePosixPath

from genrepro.base.errors import GenreproError
from genrepro.download import disk
from genrepro.download.formats import Member, members, reading

MAX_MEMBERS = 1_000_000  # ten times FMA's largest
# Archives of music unpack to 1 to 1.3 times their size, of tables to 10 times; deflate can do 1032 times.
MAX_RATIO = 200
SLACK = 100_000_000  # bytes that any archive may unpack to, however small it is


def extract(
    source: Path,
    *,
    into: Path,
    place: Callable[[PurePosixPath], str | None],
    on_litter: Callable[[PurePosixPath], object] | None = None,
) -> int:
    """Copy what ``place`` wants from a folder or an archive (zip; tar, tar.gz, tar.bz2, tar.xz).

    An error leaves ``into`` half filled: the caller makes it appear as a whole (`files.replacing`).

    Parameters
    ----------
    place : callable
        Gets the name of each file inside the source and returns its path below ``into``, in Unicode, or None
        to leave the file. What macOS adds (``__MACOSX/``, ``._*``, ``.DS_Store``) is left without asking.
    on_litter : callable, optional
        Told the name of each such file.

    Returns
    -------
    num_files : int
        How many files were copied.

    Raises
    ------
    GenreproError
        If the source is neither, is cut off, damaged or encrypted; if any member of an archive is a link, a
        device or would leave the folder; if two files go to one place; if it holds too many members or
        unpacks to too much; if the disk is full or cannot be written.
    """
    from tqdm import tqdm

    into = into.absolute()
    with disk.writing(into):
        into.mkdir(parents=True, exist_ok=True)
    with reading(source):
        packed = None if source.is_dir() else source.stat().st_size
    most = None if packed is None else MAX_RATIO * packed + SLACK
    found = members(source, without=into, spend=_Budget(source, most).spend)
    budget = _Budget(source, most, room=disk.free(into))
    num_files = 0
    with tqdm(total=packed, desc=f"unpack {source.name}", unit="B", unit_scale=True, disable=None) as bar:
        for number, member in enumerate(found, start=1):
            if number > MAX_MEMBERS:
                raise GenreproError(
                    f"{source} has more than {MAX_MEMBERS} members: it is not a data set's archive."
                )
            bar.update(member.position - bar.n)
            name = PurePosixPath(member.name)
            if member.kind == "folder":
                continue
            if _is_litter(name):
                if on_litter is not None:
                    on_litter(name)
                continue
            if (target := place(name)) is None:
                continue
            if member.kind != "file":
                raise GenreproError(f"{source}: {member.name!r} is not a regular file: remove or replace it.")
            if not target.isascii() and not _is_utf8(target):
                raise GenreproError(f"{source}: the name {member.name!r} is not UTF-8: rename that file.")
            _copy(member, source=source, into=into, target=target, budget=budget)
            num_files += 1
    return num_files


class _Budget:
    """How many bytes may still be unpacked, counted as they come, whatever the headers say."""

    def __init__(self, source: Path, most: int | None, *, room: int | None = None) -> None:
        self._source, self._most, self._room = source, most, room
        self._spent = 0

    def spend(self, num_bytes: int) -> None:
        self._spent += num_bytes
        if self._most is not None and self._spent > self._most:
            raise GenreproError(
                f"{self._source} unpacks to more than {self._most} bytes, {MAX_RATIO} times its own size: "
                "it is not an archive of music; download it again from its publisher."
            )
        if self._room is not None and self._spent > self._room:
            raise GenreproError(
                f"{self._source} unpacks to more than the {self._room / 1e9:.2f} GB that the disk can spare: "
                "free some space."
            )


def _copy(member: Member, *, source: Path, into: Path, target: str, budget: _Budget) -> None:
    path = _below(into, target)
    with disk.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = FileIO(path, "xb")
        except FileExistsError as error:  # asks the disk: on some, Blues.wav and blues.wav are one file
            raise GenreproError(f"{source} holds {target} twice: name the folder that is meant.") from error
    num_bytes = 0
    changed = GenreproError(
        f"{source / member.name} changed while it was copied: run this again when it is done."
    )
    with ExitStack() as stack:
        stack.enter_context(file)
        with reading(source):
            try:
                content = stack.enter_context(member.open())
            except FileNotFoundError as error:
                raise changed from error
        while True:
            with reading(source):
                chunk = content.read(member.chunk)
            if not chunk:
                break
            budget.spend(len(chunk))
            disk.write(file, chunk)
            num_bytes += len(chunk)
    if num_bytes != member.num_bytes:
        if source.is_dir():
            raise changed
        with reading(source):
            raise EOFError(f"{member.name!r} has {num_bytes} of {member.num_bytes} bytes")


def _below(into: Path, target: str) -> Path:
    path = PurePosixPath(target)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"place() must name a path below the folder, not {target!r}")
    return into / path


def _is_litter(name: PurePosixPath) -> bool:
    return "__MACOSX" in name.parts or name.name.startswith("._") or name.name == ".DS_Store"


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)
