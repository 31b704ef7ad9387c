"""Read a file that a request names, from one folder and nothing outside it.

Every part of the path is opened below the part before it, and no part may be a link (``O_NOFOLLOW``). So
nobody can swap a folder for a link between a check and the reading, and a link out of the folder is refused
like an absent file. All refusals are one sentence, which does not tell whether a file exists elsewhere.
"""

import os
import stat
from pathlib import Path

from genrepro.base.errors import GenreproError

VARIABLE = "GENREPRO_ALLOW_PATHS"
"""Environment variable with the folder that the server may read. `genrepro serve --allow-paths` sets it."""
MAX_BYTES = 256 << 20  # an hour of FLAC; a server must not be filled by one request


def folder() -> Path | None:
    """The folder that this process may read files from, or None: it takes bytes alone."""
    named = os.environ.get(VARIABLE)
    return Path(named).resolve() if named else None


def read(name: str, *, inside: Path) -> bytes:
    """The contents of a regular file in a folder.

    Parameters
    ----------
    name : str
        Relative to the folder, or absolute and in it. Links and ``..`` are refused.
    inside : Path
        The folder, absolute and without links.

    Raises
    ------
    GenreproError
        If there is no such regular file in the folder, or it has more than `MAX_BYTES`.
    """
    try:
        path = Path(name)
        parts = (path.relative_to(inside) if path.is_absolute() else path).parts
        if not parts or ".." in parts:
            raise ValueError
        descriptor = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
        for number, part in enumerate(parts):
            kind = os.O_DIRECTORY if number < len(parts) - 1 else os.O_NONBLOCK  # a fifo must not wait
            above = descriptor
            try:
                descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=above)
            finally:
                os.close(above)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError
            if found.st_size > MAX_BYTES:
                raise GenreproError(f"{name} has more than {MAX_BYTES >> 20} MB: cut it.")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_BYTES)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise GenreproError(f"{name} is not a file in the folder that this server may read.") from error
