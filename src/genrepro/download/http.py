"""Download one file from one URL, and continue after broken connections.

After a broken connection, or in a new process after a kill, it asks for the rest of the file with ``Range``
and ``If-Range`` (RFC 9110, sections 13.1.5 and 14.2). If the file changed meanwhile, the server sends all of
it, so that halves of different versions are never joined.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from io import FileIO
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from genrepro.download import disk
from genrepro.download.partials import Partial
from genrepro.download.session import Refused, session

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 17  # bytes: small enough for smooth progress on a slow line, large enough for a fast one
CONNECT_TIMEOUT = 15.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte: servers that read archives from tape are slow
PATIENCE = 120.0  # seconds for the whole head of an answer, and over which the pace of its body is measured
SLOWEST = 500.0  # bytes a second; at this pace a gigabyte takes three weeks, and another mirror is better
ATTEMPTS = 5  # attempts in a row without a new byte, after which it gives up
BACKOFF = 0.5  # seconds before the first repetition, doubled with each failure
LONGEST_WAIT = 60.0  # seconds; if a server asks for more, the next mirror is tried

AGAIN = {408, 425, 429, 500, 502, 503, 504}  # statuses that may be gone a moment later


class _Broken(Exception):  # noqa: N818 - a reason to try again
    """A failure that the next attempt may not have."""

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for


def receive(url: str, partial: Partial, *, num_bytes: int | None, name: str) -> None:
    """Download until ``partial`` holds the whole file.

    Parameters
    ----------
    num_bytes : int or None
        Size of the file, if known.
    name : str
        Label of the progress bar.

    Raises
    ------
    Refused
        If the URL gives another file, or no new byte in ``ATTEMPTS`` attempts in a row.
    GenreproError
        If the disk has no room or cannot be written.
    """
    if num_bytes is not None and partial.total not in (None, num_bytes):
        partial.discard()
    most, failures = partial.size, 0
    while True:
        try:
            _attempt(url, partial, num_bytes=num_bytes, name=name)
            return
        except _Broken as broken:
            failures = 0 if partial.size > most else failures + 1
            most = max(most, partial.size)
            if partial.validator is None:
                partial.discard()
            if failures >= ATTEMPTS:
                raise Refused(str(broken)) from broken
            time.sleep(max(broken.wait, pause(failures)))


def pause(failures: int) -> float:
    """Seconds before the next attempt, doubled with each failure and random, so that clients spread out."""
    return random.uniform(0.5, 1.0) * min(LONGEST_WAIT, BACKOFF * 2**failures)


def asked_wait(retry_after: str | None, *, now: datetime | None = None) -> float:
    """Seconds that a ``Retry-After`` header asks for (a number or a date). 0 if absent or not readable."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def is_html(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a web page, such as a login or an error."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))


def _attempt(url: str, partial: Partial, *, num_bytes: int | None, name: str) -> None:
    import requests
    import urllib3

    if partial.size and partial.size == partial.total:
        return  # an earlier process was killed after the last byte and before it finished
    # identity: if a server compressed the file for transport, byte ranges would be wrong.
    headers = {"Accept-Encoding": "identity"}
    if partial.size and partial.validator:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.validator}
        partial.patched = True
    try:
        with (
            session(seconds_for_head=PATIENCE) as asking,
            asking.get(
                url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)
            ) as response,
        ):
            _take(response, partial, num_bytes=num_bytes, name=name)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Broken(_reason(error)) from error


def _pieces(response: "Response") -> Iterator[bytes]:
    """The body in pieces of about `CHUNK` bytes; a mirror that is too slow is refused.

    ``read`` would wait for `CHUNK` bytes, which a mirror that sends a byte a minute gives in three months.
    ``read1`` returns what has arrived.
    """
    began, count, waiting = time.monotonic(), 0, bytearray()
    try:
        while piece := response.raw.read1(CHUNK, decode_content=False):
            waiting += piece
            count += len(piece)
            now = time.monotonic()
            if now - began >= PATIENCE:
                if count < SLOWEST * (now - began):
                    raise Refused(f"sends fewer than {SLOWEST:g} bytes a second")
                began, count = now, 0
            if len(waiting) >= CHUNK:
                yield bytes(waiting)
                waiting.clear()
    except (OSError, HTTPException, HTTPError):  # what came before the line broke is kept
        if waiting:
            yield bytes(waiting)
        raise
    if waiting:
        yield bytes(waiting)


def _take(response: "Response", partial: Partial, *, num_bytes: int | None, name: str) -> None:
    from tqdm import tqdm

    _check_status(response, partial)
    pieces = _pieces(response)
    chunk = next(pieces, b"")
    if response.headers.get("Content-Type", "").lower().startswith("text/html") or (
        response.status_code == 200 and is_html(chunk)
    ):
        raise Refused("gives a web page instead of the file")
    if response.status_code == 200:
        announced = _number(response.headers.get("Content-Length"))
        if None not in (num_bytes, announced) and num_bytes != announced:
            raise Refused(f"has {announced} bytes instead of {num_bytes}")
        validator = _validator(response.headers)
        if partial.size and validator == partial.validator:
            validator = None  # the server ignored Range, so this download cannot be continued either
        partial.start(validator=validator, total=num_bytes or announced)
    if partial.total is not None:
        disk.require(partial.path.parent, partial.total - partial.size, what=name)
    with disk.writing(partial.path):
        file = FileIO(partial.path, "ab")
    with (
        file,
        tqdm(
            total=partial.total,
            initial=partial.size,
            desc=name,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        while chunk:
            partial.append(file, chunk)
            bar.update(len(chunk))
            if partial.total is not None and partial.size > partial.total:
                total = partial.total
                partial.discard()
                raise Refused(f"gives more than {total} bytes")
            chunk = next(pieces, b"")
    if partial.total is not None and partial.size < partial.total:
        raise _Broken(f"ends after {partial.size} of {partial.total} bytes")
    if not partial.size:
        partial.discard()
        raise Refused("gives an empty file")


def _check_status(response: "Response", partial: Partial) -> None:
    """Return if the body is the whole file (200) or the requested rest (206). Raise otherwise."""
    status = response.status_code
    span = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "").strip().lower()
    )
    if status == 200:
        return
    if status == 206:
        continues = span and _number(span[1]) == partial.size
        same = span and _number(span[2]) in (None, partial.total)
        validator = _validator(response.headers)
        if partial.size and continues and same and validator in (None, partial.validator):
            return
        partial.discard()
        raise _Broken("changes, or continues at another byte, while it is downloaded")
    if status == 416:
        size, total = partial.size, partial.total
        partial.discard()
        if span and _number(span[2]) == size and total is not None:
            raise Refused(f"has {size} bytes instead of {total}")
        raise _Broken(f"does not continue at byte {size}")
    said = f"answers {status} {response.reason or ''}".rstrip()
    if status not in AGAIN:
        raise Refused(said)
    wait = asked_wait(response.headers.get("Retry-After"))
    if wait > LONGEST_WAIT:
        raise Refused(f"{said} and asks to wait {wait:.0f} s")
    raise _Broken(said, wait=wait)


def _validator(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag", "")
    # A weak ETag (W/"...") promises equal meaning but not equal bytes: RFC 9110 forbids it in If-Range.
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _reason(error: Exception) -> str:
    """Say in words what happened. The libraries' own messages are nested representations of objects."""
    from urllib3 import exceptions

    causes = [error, *error.args]
    causes += [getattr(cause, "reason", None) for cause in causes]
    words = {
        exceptions.NameResolutionError: "names a host that is not found (is there a network?)",
        exceptions.NewConnectionError: "cannot be reached (is there a network?)",
        exceptions.ConnectTimeoutError: f"does not answer within {CONNECT_TIMEOUT:g} s",
        exceptions.ReadTimeoutError: f"sends nothing for {READ_TIMEOUT:g} s",
        exceptions.SSLError: "has no certificate that is trusted here",
        exceptions.ProxyError: "cannot be reached through the proxy",
    }
    for kind, text in words.items():
        if any(isinstance(cause, kind) for cause in causes):
            return text
    return f"breaks off the connection ({type(error).__name__})"
