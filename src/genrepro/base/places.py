"""Where a path that a user wrote lies, also for an experiment that DVC runs in a temporary clone.

``dvc exp run --temp`` and ``--queue`` run in a clone that is deleted afterwards. A relative path means a file
of the user's own repository, whose folder DVC gives as ``$DVC_ROOT``.
"""

import os
from pathlib import Path


def repository() -> Path:
    """The user's repository, also from within a temporary clone."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def candidates(path: str | Path) -> list[Path]:
    """Where ``path`` may lie: below the working directory, then below the user's repository."""
    given = Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises for an unknown ~user
    return [given] if given.is_absolute() else [given, repository() / given]


def find(path: str | Path) -> Path:
    """The first of `candidates` that exists; the first of all where none does."""
    places = candidates(path)
    return next((place for place in places if place.exists()), places[0])


def written(path: str | Path) -> Path:
    """Where a relative ``path`` is written so that it outlives a temporary clone: the user's repository."""
    return candidates(path)[-1]
