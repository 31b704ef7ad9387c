"""Files that have arrived in part.

Beside the bytes lies a record of the version that they belong to: its validator (a strong ETag, or
Last-Modified) and its size. It is what allows the next process to continue after this one was killed.
"""

import hashlib
import json
import os
from io import FileIO
from pathlib import Path
from typing import Any

from genrepro.base import files
from genrepro.download import disk


class Partial:
    """What has arrived of one URL, kept at ``path`` for the next attempt and for the next process.

    Attributes
    ----------
    size, total : int, int or None
        Bytes that are here, and bytes of the whole file as far as the server says.
    validator : str or None
        The version that the bytes belong to; without one they cannot be continued.
    patched : bool
        Whether the bytes came by more than one connection.
    """

    size: int
    total: int | None
    validator: str | None
    patched: bool

    def __init__(self, path: Path, *, algorithm: str) -> None:
        self.path = path
        self.algorithm = algorithm
        self._record = _record(path)
        self._forget()
        match read_record(self._record):
            case {"validator": str(validator), "num_bytes": int() | None as total} if path.is_file():
                self.validator, self.total, self.patched = validator, total, True
                self._hash_file()
        if self.total is not None and self.size > self.total:
            self.discard()

    @property
    def checksum(self) -> str:
        """``algorithm:hex`` of the bytes that are here."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def start(self, *, validator: str | None, total: int | None) -> None:
        """Begin anew with a version of the file."""
        self.discard()
        self.validator, self.total = validator, total
        with disk.writing(self.path):
            if validator is not None:  # written before the first byte: a killed process finds both or neither
                files.write_json(self._record, {"validator": validator, "num_bytes": total})

    def append(self, file: FileIO, chunk: bytes) -> None:
        disk.write(file, chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def discard(self) -> None:
        """Begin from nothing."""
        self._forget()
        remove(self.path)

    def move(self, target: Path) -> None:
        """Make the whole file appear at ``target``, at once and only after the disk has it."""
        with disk.writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            self.path.replace(target)
            self._record.unlink(missing_ok=True)

    def _hash_file(self) -> None:
        with disk.writing(self.path), self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                self._hash.update(chunk)
                self.size += len(chunk)

    def _forget(self) -> None:
        # FIPS builds refuse MD5 and SHA-1 as security; here they tell a whole file from a broken one.
        self._hash = hashlib.new(self.algorithm, usedforsecurity=False)
        self.size, self.total, self.validator, self.patched = 0, None, None, False


def remove(path: Path) -> None:
    """Delete what has arrived at a partial's ``path``."""
    with disk.writing(path):
        _record(path).unlink(missing_ok=True)  # first: bytes without a record are never continued
        path.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object at ``path``; an empty one if there is none or it is damaged: it only saves work."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".json")
