"""What a source on this machine holds, by names, sizes and times: cheap enough to ask before every run.

A file whose content changed has another size or another time of its last change. Nothing is opened.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genrepro.base.errors import GenreproError
from genrepro.download.source import is_url, resolve

NOTHING: dict[str, Any] = {"num_files": 0, "num_bytes": 0, "sha256": None}
"""The listing of a source that is not a file or folder: what a data set declares, or a URL."""

_BESIDE = ("fma_metadata", "fma_metadata.zip")  # which may lie beside FMA's audio: `datasets.fma`


def of_source(source: str) -> dict[str, Any] | None:
    """Number of files, their bytes, and a hash of their names, sizes and times.

    Returns
    -------
    dict or None
        Equal for equal files, wherever the folder lies. `NOTHING` where `source` is ``auto`` or a URL; None
        where it does not exist or is empty.
    """
    if source == "auto" or is_url(source):
        return NOTHING
    try:
        given = resolve(source)
    except GenreproError:
        return None
    beside = (given.parent / name for name in _BESIDE)
    lines = [
        (os.fsencode(path.name) + b"/" + name if path != given else name, num_bytes, time)
        for path in (given, *beside)
        if path.exists()
        for name, num_bytes, time in _lines(path)
    ]
    digest = hashlib.sha256()
    for name, num_bytes, time in sorted(lines):
        digest.update(b"%b\0%d\0%d\n" % (name, num_bytes, time))
    return {
        "num_files": len(lines),
        "num_bytes": sum(num_bytes for _, num_bytes, _ in lines),
        "sha256": digest.hexdigest(),
    }


def _lines(top: Path) -> Iterator[tuple[bytes, int, int]]:
    """Name, bytes and time of change [ns] of each file.

    Links are followed, each folder is listed once. Hidden ones, where programs keep notes, are left out, and
    so is this repository.
    """
    if not top.is_dir():
        yield _line(top, b"")
    seen = {os.path.realpath(path) for path in (".", os.environ.get("DVC_ROOT", "."))}
    for folder, folders, names in os.walk(top, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        # In order: of two ways to one folder it is always the same one that counts.
        folders[:] = sorted(name for name in folders if not name.startswith(".") or name.startswith(".."))
        for name in names:
            path = Path(folder, name)
            yield _line(path, os.fsencode(path.relative_to(top)))


def _line(path: Path, name: bytes) -> tuple[bytes, int, int]:
    try:
        found = path.stat()
    except OSError:  # a link to nowhere
        return name, 0, 0
    return name, found.st_size, found.st_mtime_ns
