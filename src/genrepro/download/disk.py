"""Check the free space of a disk, and turn errors of writing into sentences."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from genrepro.base.errors import GenreproError

MARGIN = 256_000_000  # bytes that stay free: a system with a completely full disk stops working

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # full disk, the user's quota, the limit of one file


def free(folder: Path) -> int:
    """Number of bytes that may be written below an existing folder, so that ``MARGIN`` stays free."""
    with writing(folder):
        return max(0, shutil.disk_usage(folder).free - MARGIN)


def require(folder: Path, num_bytes: int, *, what: str) -> None:
    """Raise GenreproError if ``what`` needs ``num_bytes`` more than are free below an existing folder."""
    if num_bytes > free(folder):
        raise GenreproError(
            f"{what} needs {num_bytes / 1e9:.2f} GB in {folder}, where {free(folder) / 1e9:.2f} GB can be "
            "spared: free some space; $GENREPRO_CACHE can move downloads to another disk."
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of writing, such as a full or read-only disk, into a GenreproError that names ``path``."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno in FULL:
            raise GenreproError(
                f"{path} cannot be written, {reason}: free some space; $GENREPRO_CACHE can move downloads to "
                "another disk."
            ) from error
        raise GenreproError(
            f"{path} cannot be written, {reason}: check the folder; $GENREPRO_CACHE names that of downloads."
        ) from error


def write(file: FileIO, data: bytes) -> None:
    """Write all of ``data`` to an unbuffered file, or raise GenreproError.

    The file is unbuffered, so that closing it writes nothing and cannot fail.
    """
    rest = memoryview(data)
    with writing(Path(str(file.name))):
        while rest:
            rest = rest[file.write(rest) :]
