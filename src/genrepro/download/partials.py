"""Keep partly downloaded files, so that a later attempt or process can continue them.

Beside the bytes lies a JSON record of the file's version: its validator (a strong ETag, or Last-Modified) and
its size. With it the next process can continue after this one was killed.
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
    """A partly downloaded file at ``path``.

    Attributes
    ----------
    size, total : int, int or None
        Number of bytes that have arrived, and of the whole file if the server says so.
    validator : str or None
        Version that the bytes belong to. Without it the download cannot be continued.
    patched : bool
        Whether the bytes came over more than one connection.
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
        """``algorithm:hex`` of the bytes that have arrived."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def start(self, *, validator: str | None, total: int | None) -> None:
        """Begin to download a version of the file."""
        self.discard()
        self.validator, self.total = validator, total
        with disk.writing(self.path):
            if validator is not None:  # before the first byte, so that there are never bytes without a record
                files.write_json(self._record, {"validator": validator, "num_bytes": total})

    def append(self, file: FileIO, chunk: bytes) -> None:
        disk.write(file, chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def discard(self) -> None:
        """Delete all bytes and start from zero."""
        self._forget()
        remove(self.path)

    def move(self, target: Path) -> None:
        """Rename the complete file to ``target``, after it was flushed to the disk."""
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
        # FIPS builds refuse MD5 and SHA-1 for security. Here they only detect broken files.
        self._hash = hashlib.new(self.algorithm, usedforsecurity=False)
        self.size, self.total, self.validator, self.patched = 0, None, None, False


def remove(path: Path) -> None:
    """Delete a partial file and its record."""
    with disk.writing(path):
        _record(path).unlink(missing_ok=True)  # the record first: bytes without it are never continued
        path.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """Read the JSON object at ``path``. Empty if the file is missing or damaged: records only save work."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".json")
