"""The parameter ``source``.

A local archive or folder, found from the working tree or from the user's repository.
"""

import os
from pathlib import Path

from genrepro.errors import GenreproError


def resolve(source: str) -> Path:
    """The existing file or non-empty folder that ``source`` names.

    A relative path is looked up in the working directory and then in ``$DVC_ROOT``: a queued experiment
    runs in a temporary clone, and the folder beside the user's repository is not beside that clone.
    """
    given = Path(os.path.expanduser(source))  # noqa: PTH111 - pathlib's raises for an unknown ~user
    places = [given] if given.is_absolute() else [given, Path(os.environ.get("DVC_ROOT", ".")) / given]
    for path in places:
        if path.is_dir() and not any(path.iterdir()):
            raise GenreproError(
                f"source = {source!r} is an empty folder: name the data set's archive or folder."
            )
        if path.is_file() and path.stat().st_size == 0:
            raise GenreproError(f"source = {source!r} is an empty file: download the archive again.")
        if path.exists():
            return path.resolve()
    raise GenreproError(f"source = {source!r} does not exist: name an existing archive or folder.")
