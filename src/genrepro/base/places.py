"""Find the file that a user's path means, also in an experiment that DVC runs in a temporary clone.

``dvc exp run --temp`` and ``--queue`` run in a clone that is deleted afterwards. A relative path means a file
of the user's own repository, whose folder DVC gives as ``$DVC_ROOT``.
"""

import os
from pathlib import Path


def repository() -> Path:
    """The folder of the user's repository, also if called in a temporary clone."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def candidates(path: str | Path) -> list[Path]:
    """The places to look for ``path``: the working directory first, then the user's repository."""
    given = Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises for an unknown ~user
    return [given] if given.is_absolute() else [given, repository() / given]


def find(path: str | Path) -> Path:
    """The first of `candidates` that exists. If none exists, the first one."""
    places = candidates(path)
    return next((place for place in places if place.exists()), places[0])


def written(path: str | Path) -> Path:
    """The place to write a relative ``path``: the user's repository, since a temporary clone is deleted."""
    return candidates(path)[-1]


def cache_folder() -> Path:
    """What a machine keeps for all its repositories: ``$GENREPRO_CACHE``, or the user's cache folder."""
    import platformdirs

    named = os.environ.get("GENREPRO_CACHE")
    return written(named) if named else Path(platformdirs.user_cache_dir("genrepro"))
