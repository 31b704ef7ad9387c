"""Find what the parameter ``source`` names: the declared remotes, a URL, an archive or a folder."""

from collections.abc import Iterable
from pathlib import Path

from genrepro.base import places
from genrepro.base.errors import GenreproError
from genrepro.download.cache import Remote, fetch, remote_of


def is_url(source: str) -> bool:
    """Whether ``source`` is an http or https URL."""
    return source.startswith(("http://", "https://"))


def obtain(source: str, remotes: Iterable[Remote]) -> Path:
    """Return the path of the archive or folder that ``source`` names, downloading it if necessary.

    Parameters
    ----------
    source : str
        ``auto``, a URL, or a path.
    remotes : iterable of Remote
        Copies of the same collection. ``auto`` takes the first one that can be downloaded.

    Raises
    ------
    GenreproError
        If the path does not exist, or no copy can be downloaded. The message has the reason of each copy.
    """
    if is_url(source):
        return fetch(remote_of(source))
    if source != "auto":
        return resolve(source)
    reasons = []
    for remote in remotes:
        try:
            return fetch(remote)
        except GenreproError as error:
            reasons.append(str(error).rstrip("."))
    raise GenreproError("; ".join(reasons) + ".")


def resolve(source: str) -> Path:
    """Return the existing file or non-empty folder that ``source`` names.

    A relative path is looked up in the working directory and then in ``$DVC_ROOT``. A queued experiment runs
    in a temporary clone, so a path such as ``../music`` only exists relative to the user's repository.
    """
    for path in places.candidates(source):
        if path.is_dir() and not any(path.iterdir()):
            raise GenreproError(
                f"source = {source!r} is an empty folder: name the data set's archive or folder."
            )
        if path.is_file() and path.stat().st_size == 0:
            raise GenreproError(f"source = {source!r} is an empty file: download the archive again.")
        if path.exists():
            return path.resolve()
    raise GenreproError(f"source = {source!r} does not exist: name an existing archive or folder.")
