"""The parameter ``source``: what the data set declares, a URL, or an archive or folder on this machine."""

from collections.abc import Iterable
from pathlib import Path

from genrepro.base import places
from genrepro.base.errors import GenreproError
from genrepro.download.cache import Remote, fetch, remote_of


def is_url(source: str) -> bool:
    """Whether ``source`` is fetched over the network."""
    return source.startswith(("http://", "https://"))


def obtain(source: str, remotes: Iterable[Remote]) -> Path:
    """The one archive or folder that a data set is read from.

    Parameters
    ----------
    source : str
        ``auto``, a URL, or a path.
    remotes : iterable of Remote
        What ``auto`` means: honest copies of one collection, the first that can be fetched is taken.

    Raises
    ------
    GenreproError
        If it does not exist, or no copy can be fetched: one sentence with the reason of each.
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
    """The existing file or non-empty folder that ``source`` names.

    A relative path is looked up in the working directory and then in ``$DVC_ROOT``: a queued experiment
    runs in a temporary clone, and the folder beside the user's repository is not beside that clone.
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
