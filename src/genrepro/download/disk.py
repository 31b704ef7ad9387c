"""Room on a disk, and a sentence for what the operating system says when there is none."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from genrepro.base.errors import GenreproError

MARGIN = 256_000_000  # bytes left to everybody else: a system whose disk is full to the brim stops working

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the user's share of it, one file's limit


def free(folder: Path) -> int:
    """Bytes that may be written below an existing folder, ``MARGIN`` left aside."""
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
    """Turn a disk that is full, read-only or in the way into a GenreproError that names ``path``."""
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

    Unbuffered, so that closing the file has nothing left to write and nothing left to fail with.
    """
    rest = memoryview(data)
    with writing(Path(str(file.name))):
        while rest:
            rest = rest[file.write(rest) :]
