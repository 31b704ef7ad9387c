"""Download, check, resume and keep files, so that each machine downloads an archive only once.

Complete files are kept outside the repository at ``<cache>/<algorithm>/<hex>/<name>``. The hex digits are the
file's checksum, and <cache> is ``$GENREPRO_CACHE`` or the user's cache folder. A note below
``<cache>/urls/`` records what each URL gave, so that a file without a published checksum is found again
without a network. The bytes of unfinished downloads are kept below ``<cache>/partial/``.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from genrepro.base import files, places
from genrepro.base.errors import GenreproError
from genrepro.base.places import cache_folder
from genrepro.download import disk
from genrepro.download.http import Refused, receive
from genrepro.download.partials import Partial, read_record, remove

_CHECKSUM = re.compile(r"sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file that can be downloaded: its mirrors, its checksum and its size."""

    name: str
    """Name of the file in the cache, e.g. "fma_small.zip"."""
    urls: tuple[str, ...]
    """Mirrors, tried in order."""
    checksum: str | None = None
    """"sha1:<hex>", "sha256:<hex>" or "md5:<hex>". None if none was published."""
    num_bytes: int | None = None
    """Size of the file. None if unknown."""

    def __post_init__(self) -> None:
        if (
            not re.fullmatch(r"[^/\\]{1,200}", self.name)
            or not self.name.isprintable()
            or self.name[0] == "."
        ):
            raise ValueError(f"{self.name!r} is not a name for a downloaded file")
        if not self.urls:
            raise ValueError("urls is empty: name at least one mirror")
        for url in self.urls:
            parts = urlsplit(str(url))
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
                raise ValueError(f"{url!r} is not of the form http://host/file or https://host/file")
        if self.checksum is not None and not (
            isinstance(self.checksum, str) and _CHECKSUM.fullmatch(self.checksum)
        ):
            raise ValueError(f"checksum {self.checksum!r} is not sha1:, sha256: or md5: and its digits")
        if self.num_bytes is not None and (type(self.num_bytes) is not int or self.num_bytes <= 0):
            raise ValueError(f"num_bytes {self.num_bytes!r} is not a positive number")


def fetch(remote: Remote, *, cache: Path | None = None) -> Path:
    """Download a file into the cache if it is not there yet, check it, and return its path.

    Raises
    ------
    GenreproError
        If no mirror gives the file (the message has the reason of each mirror), if the disk has no room, or
        if the cache cannot be written.
    """
    cache = (cache or cache_folder()).absolute()
    found = _cached(remote, cache)
    reasons = []
    for url in () if found else remote.urls:
        partial = cache / "partial" / _key(url)
        with _alone(partial, name=remote.name):
            found = _cached(remote, cache)  # another process may have downloaded it while this one waited
            try:
                found = found or _download(url, remote, cache, partial)
                break
            except Refused as refused:
                reasons.append(f"{_shown(url)} {refused}")
    if found is None:
        raise GenreproError(
            f"{remote.name} could not be downloaded ({'; '.join(reasons)}): try again later, or download "
            f"{remote.name} by hand and pass -S source=<path>."
        )
    return found


def declared(remotes: Mapping[str, Remote]) -> dict[str, Remote]:
    """Replace the remotes that the JSON file ``$GENREPRO_REMOTES`` has entries for; return all.

    An entry is ``{"urls": [...], "checksum": "sha1:...", "num_bytes": 123}``. If the checksum or the size is
    null or absent, it is unknown. Entries of other keys belong to other data sets.

    Raises
    ------
    GenreproError
        If the file cannot be read, is not JSON, or an entry is not of that shape.
    """
    named = os.environ.get("GENREPRO_REMOTES")
    if not named:
        return dict(remotes)
    wrong = f"$GENREPRO_REMOTES = {named!r}"
    try:
        entries = json.loads(places.find(named).read_text("utf-8"))
    except OSError as error:
        raise GenreproError(f"{wrong} cannot be read, {(error.strerror or 'an error').lower()}.") from error
    except ValueError as error:
        raise GenreproError(f"{wrong} is not a JSON file: {error}.") from error
    if not isinstance(entries, dict):
        raise GenreproError(f'{wrong} must hold an object, such as {{"fma_small": {{"urls": [...]}}}}.')
    overrides = {}
    for key, entry in entries.items():
        try:
            overrides[key] = _override(remotes.get(key), entry)
        except ValueError as error:
            raise GenreproError(f"{wrong}, entry {key!r}: {error}.") from error
    return {key: overrides.get(key, remote) for key, remote in remotes.items()}


def remote_of(url: str) -> Remote:
    """The remote of a URL in ``source``. Its name is the URL's last path component; it has no checksum.

    A file that the URL gave once is kept. Nobody looks for a newer file at the same URL.

    Raises
    ------
    GenreproError
        If the URL names no file, or is neither http nor https.
    """
    try:
        return Remote(name=unquote(urlsplit(url).path).rpartition("/")[2], urls=(url,))
    except ValueError as error:
        raise GenreproError(f"source = {url!r} names no file to download: {error}.") from error


def _override(remote: Remote | None, entry: Any) -> Remote:
    if not isinstance(entry, dict) or not isinstance(entry.get("urls"), list):
        raise ValueError("it must be an object with a list of urls")
    if unknown := set(entry) - {"urls", "checksum", "num_bytes"}:
        raise ValueError(f"{min(unknown)!r} is not one of urls, checksum, num_bytes")
    return replace(
        remote or Remote(name="unknown", urls=("http://unknown",)),
        urls=tuple(entry["urls"]),
        checksum=entry.get("checksum"),
        num_bytes=entry.get("num_bytes"),
    )


def _cached(remote: Remote, cache: Path) -> Path | None:
    """The path of a file in the cache. None if it is not there, or is not what was downloaded.

    Its size is compared first, then its checksum: somebody may have changed it in place.
    """
    for url in remote.urls:
        note = read_record(_note(cache, url))
        checksum = remote.checksum or note.get("checksum")
        if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
            continue
        sizes = {remote.num_bytes, note.get("num_bytes") if note.get("checksum") == checksum else None}
        path = _place(cache, checksum, remote.name)
        if path.is_file() and sizes <= {path.stat().st_size, None} and _hashes_to(path, checksum):
            return path
    return None


def _hashes_to(path: Path, checksum: str) -> bool:
    algorithm, _, digits = checksum.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digits


def _download(url: str, remote: Remote, cache: Path, path: Path) -> Path:
    partial = Partial(path, algorithm=(remote.checksum or "sha256").partition(":")[0])
    receive(url, partial, num_bytes=remote.num_bytes, name=remote.name)
    if remote.checksum not in (None, partial.checksum) and partial.patched:
        # A power cut can leave zeros at the end of a partial file. Download all before blaming the mirror.
        partial.discard()
        receive(url, partial, num_bytes=remote.num_bytes, name=remote.name)
    if remote.num_bytes not in (None, partial.size):
        partial.discard()
        raise Refused(f"has {partial.size} bytes instead of {remote.num_bytes}")
    if remote.checksum not in (None, partial.checksum):
        gives = partial.checksum
        partial.discard()
        raise Refused(f"gives another file, {gives} instead of {remote.checksum}")
    target = _place(cache, partial.checksum, remote.name)
    note = {
        "url": _shown(url),
        "checksum": partial.checksum,
        "num_bytes": partial.size,
        "validator": partial.validator,
    }
    partial.move(target)
    with disk.writing(cache):
        files.write_json(_note(cache, url), note)
        for mirror in remote.urls:  # delete the partial files of other mirrors, which may be large
            if mirror != url:
                _forget(cache / "partial" / _key(mirror))
    return target


@contextmanager
def _alone(partial: Path, *, name: str) -> Iterator[None]:
    """Let only one of the processes that share the cache download to ``partial``. The others wait."""
    from filelock import FileLock, Timeout
    from tqdm import tqdm

    lock = FileLock(partial.with_name(partial.name + ".lock"))
    with disk.writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with tqdm(
                desc=f"{name}: another process downloads it, waiting", bar_format="{desc}", disable=None
            ):
                lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _forget(partial: Path) -> None:
    from filelock import FileLock, Timeout

    try:
        with FileLock(partial.with_name(partial.name + ".lock"), timeout=0):
            remove(partial)
    except Timeout:
        return  # another process is using it


def _place(cache: Path, checksum: str, name: str) -> Path:
    algorithm, _, digits = checksum.partition(":")
    return cache / algorithm / digits / name


def _note(cache: Path, url: str) -> Path:
    return cache / "urls" / f"{_key(url)}.json"


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _shown(url: str) -> str:
    """The URL without secrets, i.e. without user, password and the query of a signed link."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
