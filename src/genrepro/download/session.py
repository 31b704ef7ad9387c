"""A session of requests that trusts no server: where it may redirect to, and how long its head may take."""

import math
import time
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from socket import socket

    from requests import Response, Session


class Refused(Exception):  # noqa: N818 - a finding about a mirror, not yet an error
    """A URL does not give the file. The message completes a sentence that begins with the URL."""


def session(*, seconds_for_head: float) -> "Session":
    """A session that follows redirects to http and https alone, and never from https back to http.

    Parameters
    ----------
    seconds_for_head : float
        Time for the status line and all headers of an answer. A timeout of requests bounds the time between
        two bytes, which a server that sends a byte a minute never reaches.

    Raises
    ------
    Refused
        By the session's requests, if a server does otherwise.
    """
    import requests
    from requests.adapters import HTTPAdapter

    class Careful(requests.Session):
        def get_redirect_target(self, response: "Response") -> str | None:
            target = super().get_redirect_target(response)
            if target is not None:
                before, after = urlsplit(response.url), urlsplit(urljoin(response.url, target))
                if after.scheme not in {"http", "https"}:
                    raise Refused(f"redirects to {after.scheme}:, which is not http or https")
                if (before.scheme, after.scheme) == ("https", "http"):
                    raise Refused("redirects from https to http, where anybody on the way could change it")
            return target

    class Answer(_Answer):
        seconds = seconds_for_head

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
            pool.ConnectionCls = type("Connection", (pool.ConnectionCls,), {"response_class": Answer})
            return pool

    made = Careful()
    made.mount("http://", Adapter())
    made.mount("https://", Adapter())
    return made


class _Answer(HTTPResponse):
    """An answer whose status line and headers must come within ``seconds``."""

    seconds: float

    def __init__(self, sock: "socket", *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._timed = _Timed(sock.makefile("rb", buffering=0), seconds=self.seconds)
        self.fp = BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        self._timed.end = math.inf  # who reads the body watches over its pace


class _Timed(RawIOBase):
    """Reads ``raw`` until the time is over."""

    def __init__(self, raw: Any, *, seconds: float) -> None:
        self.raw, self.seconds, self.end = raw, seconds, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.end:
            raise Refused(f"takes more than {self.seconds:g} s to send its headers")
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()
