"""Claims about downloads: resumed, checked, kept, and a sentence where they cannot be had.

Everything goes over real connections to a real server on this machine.
"""

import hashlib
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from support.builders import ROOT
from support.server import WAIT, Fault, Server
from urllib3.exceptions import NameResolutionError

from genrepro.base.errors import GenreproError
from genrepro.base.places import cache_folder
from genrepro.download import disk, http
from genrepro.download.cache import Remote, fetch

CONTENT = np.random.default_rng(0).bytes(1_000_000)
PATH = "/data/music.zip"
PAGE = b"\n<!DOCTYPE HTML><html>please log in</html>"
SHA1 = f"sha1:{hashlib.sha1(CONTENT).hexdigest()}"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF", 0.0)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def remote(server: Server) -> Remote:
    return Remote(
        name="music.zip", urls=(server.serve(PATH, CONTENT),), checksum=SHA1, num_bytes=len(CONTENT)
    )


def unknown(*urls: str) -> Remote:
    """A remote of which nothing is known."""
    return Remote(name="music.zip", urls=urls)


def complaint(remote: Remote, cache: Path) -> str:
    with pytest.raises(GenreproError) as caught:
        fetch(remote, cache=cache)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def kept(cache: Path) -> list[str]:
    """Names of the files in the cache, but for empty locks."""
    return [path.name for path in sorted(cache.rglob("*")) if path.is_file() and path.stat().st_size]


def in_process(
    remote: Remote, cache: Path, *, prefix: Sequence[str] = (), **keywords: Any
) -> subprocess.Popen:
    """Another process that fetches ``remote``, says where it is, or why not."""
    script = (
        "import sys; from pathlib import Path; from genrepro.download.cache import Remote, fetch\n"
        "from genrepro.base.errors import GenreproError\n"
        "try: print(fetch(eval(sys.argv[1]), cache=Path(sys.argv[2])))\n"
        "except GenreproError as error: print(error)\n"
    )
    command = [*prefix, sys.executable, "-c", script, repr(remote), str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **keywords)


# Where a file lies --------------------------------------------------------------------------------------


def test_a_file_lies_under_its_declared_checksum(
    server: Server, cache: Path, subtests: pytest.Subtests
) -> None:
    for algorithm in ["sha1", "sha256", "md5"]:
        with subtests.test(algorithm=algorithm):
            digits = hashlib.new(algorithm, CONTENT).hexdigest()
            url = server.serve(PATH, CONTENT)
            path = fetch(Remote(name="music.zip", urls=(url,), checksum=f"{algorithm}:{digits}"), cache=cache)
            assert path == cache / algorithm / digits / "music.zip"
            assert path.read_bytes() == CONTENT
            assert {asked.encoding for asked in server.asked} == {"identity"}


def test_a_file_without_a_checksum_lies_under_its_sha256(server: Server, cache: Path) -> None:
    path = fetch(unknown(server.serve(PATH, CONTENT)), cache=cache)
    assert path == cache / "sha256" / hashlib.sha256(CONTENT).hexdigest() / "music.zip"
    assert path.read_bytes() == CONTENT


def test_a_file_that_is_there_needs_no_network(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for known in [True, False]:
        with subtests.test(known=known):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            remote = remote if known else unknown(*remote.urls)
            paths = {fetch(remote, cache=cache) for _ in range(3)}
            assert len(paths) == 1 and len(server.asked) == 1


def test_a_cached_file_of_the_wrong_size_is_brought_again(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for known in [True, False]:
        with subtests.test(known=known):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            remote = Remote(name=remote.name, urls=remote.urls, checksum=SHA1 if known else None)
            fetch(remote, cache=cache).write_bytes(CONTENT[:-1])
            assert fetch(remote, cache=cache).read_bytes() == CONTENT
            assert len(server.asked) == 2


def test_a_compressed_file_stays_compressed_whatever_the_server_calls_it(server: Server, cache: Path) -> None:
    import gzip

    packed = gzip.compress(CONTENT[:5000])
    url = server.serve(PATH, packed, validators={"Content-Encoding": "gzip"})
    assert fetch(unknown(url), cache=cache).read_bytes() == packed


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("GENREPRO_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


# Connections that break ---------------------------------------------------------------------------------


def test_a_broken_connection_is_continued_where_it_broke(remote: Remote, server: Server, cache: Path) -> None:
    server.queue(PATH, Fault(drop_after=300_000), Fault(drop_after=200_000))
    assert fetch(remote, cache=cache).read_bytes() == CONTENT
    assert server.ranges(PATH) == [None, "bytes=300000-", "bytes=500000-"]
    assert len({asked.if_range for asked in server.asked[1:]}) == 1 and server.asked[1].if_range
    assert kept(cache / "partial") == []


def test_a_version_is_told_by_a_strong_etag_or_by_its_date(
    server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for validators, used in [
        ({"ETag": '"v1"', "Last-Modified": "yesterday"}, '"v1"'),
        ({"ETag": 'W/"v1"', "Last-Modified": "yesterday"}, "yesterday"),
        ({"Last-Modified": "yesterday"}, "yesterday"),
    ]:
        with subtests.test(validators=validators):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            url = server.serve(PATH, CONTENT, validators=validators)
            server.queue(PATH, Fault(drop_after=1000))
            assert fetch(unknown(url), cache=cache).read_bytes() == CONTENT
            assert [asked.if_range for asked in server.asked] == [None, used]


def test_without_a_version_a_broken_download_starts_over(
    server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for validators in [{}, {"ETag": 'W/"v1"'}]:
        with subtests.test(validators=validators):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            url = server.serve(PATH, CONTENT, validators=validators)
            server.queue(PATH, Fault(drop_after=1000))
            assert fetch(unknown(url), cache=cache).read_bytes() == CONTENT
            assert server.ranges(PATH) == [None, None]


def test_another_part_than_the_asked_one_is_never_appended(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for fault in [
        Fault(ignore_range=True),
        Fault(shift=1),
        Fault(shift=-1),
        Fault(headers={"ETag": '"another"'}),
        Fault(headers={"Content-Range": None}),
        Fault(headers={"Content-Range": f"bytes 1000-{len(CONTENT)}/{len(CONTENT) + 1}"}),
        Fault(status=416, headers={"Content-Range": "bytes */500"}),
    ]:
        for known in [True, False]:
            with subtests.test(fault=fault, known=known):
                server.asked.clear()
                cache = tmp_path_factory.mktemp("cache")
                server.queue(PATH, Fault(drop_after=1000), fault)
                assert fetch(remote if known else unknown(*remote.urls), cache=cache).read_bytes() == CONTENT
                over = [] if fault.ignore_range else [None]  # the whole file was just sent
                assert server.ranges(PATH) == [None, "bytes=1000-", *over]


def test_a_file_that_changes_between_two_processes_comes_whole(server: Server, cache: Path) -> None:
    remote = unknown(server.serve(PATH, CONTENT))
    leave_partial(remote, server, cache)
    server.serve(PATH, CONTENT[::-1])
    assert fetch(remote, cache=cache).read_bytes() == CONTENT[::-1]
    assert server.ranges(PATH)[-1] == "bytes=1000-"


def test_what_a_mirror_gave_before_it_went_down_is_continued_later(
    remote: Remote, server: Server, cache: Path
) -> None:
    leave_partial(remote, server, cache)
    assert fetch(remote, cache=cache).read_bytes() == CONTENT
    assert server.ranges(PATH)[-1] == "bytes=1000-"


def test_a_server_that_falls_silent_is_asked_again(
    remote: Remote, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.2)
    server.queue(PATH, Fault(hold_after=3 * http.CHUNK))
    assert fetch(remote, cache=cache).read_bytes() == CONTENT
    assert server.ranges(PATH) == [None, f"bytes={3 * http.CHUNK}-"]


def test_a_mirror_that_stays_silent_is_called_so(
    remote: Remote, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.1)
    monkeypatch.setattr(http, "ATTEMPTS", 1)
    server.always[PATH] = Fault(hold_after=0)
    assert "sends nothing for 0.1 s" in complaint(remote, cache)


def test_as_long_as_bytes_come_it_goes_on(remote: Remote, server: Server, cache: Path) -> None:
    server.queue(PATH, *[Fault(drop_after=10_000)] * (3 * http.ATTEMPTS))
    assert fetch(remote, cache=cache).read_bytes() == CONTENT


def test_a_server_that_breaks_off_at_the_same_byte_each_time_is_given_up(
    remote: Remote, server: Server, cache: Path
) -> None:
    server.always[PATH] = Fault(drop_after=10_000, ignore_range=True)
    assert "breaks off the connection" in complaint(remote, cache)
    assert len(server.asked) == 1 + http.ATTEMPTS
    assert kept(cache) == []


def test_a_server_in_trouble_is_asked_again(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for status in [408, 429, 500, 502, 503]:
        with subtests.test(status=status):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            server.queue(PATH, *[Fault(status=status, headers={"Retry-After": "0"})] * (http.ATTEMPTS - 1))
            assert fetch(remote, cache=cache).read_bytes() == CONTENT


@pytest.mark.parametrize(("known", "more"), [(True, 300_000), (False, 0)])
def test_a_killed_download_is_continued_by_the_next_process(
    remote: Remote, server: Server, cache: Path, known: bool, more: int
) -> None:
    remote = remote if known else unknown(*remote.urls)
    server.queue(PATH, Fault(drop_after=600_000), Fault(hold_after=more))
    with in_process(remote, cache) as process:
        server.wait_until_held()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    server.release()
    assert fetch(remote, cache=cache).read_bytes() == CONTENT
    first, second, third = server.ranges(PATH)
    assert first is None and second == "bytes=600000-"
    assert third is not None and 600_000 <= int(third.strip("bytes=-")) <= 600_000 + more


def test_after_the_last_byte_nothing_is_asked_for(remote: Remote, server: Server, cache: Path) -> None:
    leave_partial(remote, server, cache).write_bytes(CONTENT)
    num_asked = len(server.asked)
    assert fetch(remote, cache=cache).read_bytes() == CONTENT
    assert len(server.asked) == num_asked


def test_a_damaged_partial_file_costs_a_download_and_not_the_mirror(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for left in [bytes(1000), CONTENT[:500] + bytes(500), bytes(len(CONTENT)), CONTENT + b"more"]:
        with subtests.test(num_bytes=len(left)):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            leave_partial(remote, server, cache).write_bytes(left)
            assert fetch(remote, cache=cache).read_bytes() == CONTENT


def test_a_partial_file_without_a_readable_record_is_not_continued(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for record in ["", "{}", "[1]", '{"validator": 1, "num_bytes": "many"}']:
        with subtests.test(record=record):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            partial = leave_partial(remote, server, cache)
            partial.with_name(partial.name + ".json").write_text(record)
            assert fetch(remote, cache=cache).read_bytes() == CONTENT
            assert server.ranges(PATH)[-1] is None


def leave_partial(remote: Remote, server: Server, cache: Path) -> Path:
    """What is left when the mirror breaks off after 1000 bytes, and then is down."""
    server.queue(PATH, Fault(drop_after=1000))
    server.always[PATH] = Fault(status=500)
    assert "answers 500 Internal Server Error" in complaint(remote, cache)
    server.always.clear()
    return next(path for path in (cache / "partial").iterdir() if path.suffix == "")


@pytest.mark.parametrize("known", [True, False])
def test_two_processes_download_a_file_once(remote: Remote, server: Server, cache: Path, known: bool) -> None:
    remote = remote if known else unknown(*remote.urls)
    server.queue(PATH, Fault(hold_after=1000))
    terminal, stderr = pty.openpty()  # on which the second one says that it waits
    termios.tcsetwinsize(terminal, (25, 110))
    with in_process(remote, cache) as first:
        server.wait_until_held()
        with in_process(remote, cache, stderr=stderr) as second:
            said = b""
            while b"another process downloads it" not in said:
                assert select.select([terminal], [], [], WAIT)[0], "it does not wait"
                said += os.read(terminal, 1000)
            server.release()
            paths = {process.communicate()[0].strip() for process in (first, second)}
    os.close(terminal)
    os.close(stderr)
    assert len(paths) == 1 and Path(paths.pop()).read_bytes() == CONTENT
    assert server.ranges(PATH) == [None]


# Mirrors ------------------------------------------------------------------------------------------------

WRONG = {
    "answers 404 Not Found": Fault(status=404),
    "answers 403 Forbidden": Fault(status=403),
    "answers 503 Service Unavailable and asks to wait 3600 s": Fault(
        status=503, headers={"Retry-After": "3600"}
    ),
    "gives a web page": Fault(body=PAGE),
    "instead of the file": Fault(headers={"Content-Type": "text/html; charset=utf-8"}),
    "has 5 bytes instead of 1000000": Fault(body=b"short"),
    "has 999999 bytes instead of 1000000": Fault(num_announced=len(CONTENT) - 1),
    "has 1000001 bytes instead of 1000000": Fault(num_announced=len(CONTENT) + 1),
    "gives another file, sha1:": Fault(body=CONTENT[::-1]),
    "gives more than 1000000 bytes": Fault(body=CONTENT + b"more", headers={"Content-Length": None}),
    "breaks off the connection": Fault(drop_after=0),
}


def test_a_mirror_that_gives_something_else_is_left_for_the_next(
    remote: Remote, server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for reason in WRONG:
        with subtests.test(reason=reason):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            server.serve("/bad.zip", CONTENT)
            server.always["/bad.zip"] = WRONG[reason]
            bad = server.url("/bad.zip")
            both = Remote(name="music.zip", urls=(bad, *remote.urls), checksum=SHA1, num_bytes=len(CONTENT))
            assert fetch(both, cache=cache).read_bytes() == CONTENT
            alone = Remote(name="music.zip", urls=(bad,), checksum=SHA1, num_bytes=len(CONTENT))
            assert f"{bad} " in complaint(alone, cache / "other") and reason in complaint(
                alone, cache / "other"
            )
            assert kept(cache / "other") == []


def test_what_is_wrong_shows_where_nothing_was_declared(
    server: Server, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for fault, reason in [
        (Fault(num_announced=len(CONTENT) + 1), "has 1000000 bytes instead of 1000001"),
        (Fault(body=PAGE), "gives a web page instead of the file"),
        (Fault(body=b""), "gives an empty file"),
    ]:
        with subtests.test(reason=reason):
            server.asked.clear()
            cache = tmp_path_factory.mktemp("cache")
            url = server.serve(PATH, CONTENT)
            server.always[PATH] = fault
            assert reason in complaint(unknown(url), cache)
            assert kept(cache) == []


def test_when_all_mirrors_fail_each_is_named_with_its_reason_and_the_way_out(
    server: Server, cache: Path
) -> None:
    server.always["/down.zip"] = Fault(status=500)
    urls = (server.url("/gone.zip"), server.url("/down.zip"), f"http://127.0.0.1:{free_port()}/a/music.zip")
    message = complaint(unknown(*urls), cache)
    assert f"{urls[0]} answers 404 Not Found" in message
    assert f"{urls[1]} answers 500 Internal Server Error" in message
    assert f"{urls[2]} cannot be reached (is there a network?)" in message
    assert "download music.zip by hand and pass -S source=<path>" in message


def test_what_a_mirror_left_unfinished_goes_when_another_gives_the_file(
    remote: Remote, server: Server, cache: Path
) -> None:
    server.serve("/weak.zip", CONTENT)
    server.queue("/weak.zip", Fault(drop_after=1000))
    server.always["/weak.zip"] = Fault(status=500)
    both = Remote(name="music.zip", urls=(server.url("/weak.zip"), *remote.urls), checksum=SHA1)
    assert fetch(both, cache=cache).read_bytes() == CONTENT
    assert kept(cache / "partial") == []


def test_a_secret_in_a_url_is_not_shown_or_kept(server: Server, cache: Path) -> None:
    url = server.serve(PATH, CONTENT).replace("http://", "http://me:password@") + "?signature=secret"
    fetch(unknown(url), cache=cache)
    notes = "".join(path.read_text() for path in (cache / "urls").iterdir())
    server.always["/gone.zip"] = Fault(status=404)
    shown = complaint(unknown(url.replace(PATH, "/gone.zip")), cache) + notes
    assert "/gone.zip" in shown and PATH in shown
    assert "password" not in shown and "secret" not in shown


def test_a_redirect_to_another_scheme_is_refused(
    server: Server, cache: Path, subtests: pytest.Subtests
) -> None:
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"):
        with subtests.test(target=target):
            asked = len(server.asked)
            server.always["/away.zip"] = Fault(status=302, headers={"Location": target})
            said = complaint(unknown(server.url("/away.zip")), cache)
            assert f"redirects to {target.partition(':')[0]}:, which is not http or https" in said
            assert len(server.asked) == asked + 1 and kept(cache) == []


def test_a_redirect_from_https_to_http_is_refused() -> None:
    response = requests.Response()
    response.url, response.status_code = "https://example.org/a.zip", 302
    response.headers["Location"] = "http://example.org/a.zip"
    with http.session(seconds_for_head=1) as asking, pytest.raises(http.Refused, match="from https to http"):
        asking.get_redirect_target(response)
    response.headers["Location"] = "/b.zip"
    with http.session(seconds_for_head=1) as asking:
        assert asking.get_redirect_target(response) == "/b.zip"


def test_a_redirect_to_another_host_is_followed_without_the_password(server: Server, cache: Path) -> None:
    with Server() as other:
        target = other.serve("/b.zip", CONTENT).replace("127.0.0.1", "localhost")
        server.always[PATH] = Fault(status=302, headers={"Location": target})
        url = server.url(PATH).replace("http://", "http://me:password@")
        assert fetch(unknown(url), cache=cache).read_bytes() == CONTENT
    assert [asked.authorization is None for asked in (*server.asked, *other.asked)] == [False, True]


def test_redirects_in_a_circle_end(server: Server, cache: Path) -> None:
    server.always[PATH] = Fault(status=302, headers={"Location": server.url(PATH)})
    assert "TooManyRedirects" in complaint(unknown(server.url(PATH)), cache)


def test_a_mirror_that_trickles_is_left_for_the_next(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    slow = server.serve("/slow.zip", CONTENT)
    server.always["/slow.zip"] = Fault(pace=0.02)
    both = Remote(name="music.zip", urls=(slow, server.serve(PATH, CONTENT)), checksum=SHA1)
    assert fetch(both, cache=cache).read_bytes() == CONTENT
    alone = Remote(name="other.zip", urls=(server.serve("/crawl.zip", CONTENT[::-1]),))
    server.always["/crawl.zip"] = Fault(pace=0.02)
    assert "sends fewer than 500 bytes a second" in complaint(alone, cache)


def test_a_mirror_whose_headers_trickle_is_left_for_the_next(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    slow = server.serve("/slow.zip", CONTENT)
    server.always["/slow.zip"] = Fault(head_pace=0.05)  # a head of 200 bytes takes 10 s
    both = Remote(name="music.zip", urls=(slow, server.serve(PATH, CONTENT)), checksum=SHA1)
    begun = time.monotonic()
    assert fetch(both, cache=cache).read_bytes() == CONTENT
    assert time.monotonic() - begun < 5
    assert "takes more than 0.3 s to send its headers" in complaint(unknown(slow), cache)


def test_a_file_that_somebody_changed_in_the_cache_is_downloaded_again(
    remote: Remote, server: Server, cache: Path
) -> None:
    for known in (remote, unknown(*remote.urls)):
        path = fetch(known, cache=cache)
        changed = bytearray(CONTENT)
        changed[500_000] ^= 1  # of the same size
        path.chmod(0o644)
        path.write_bytes(changed)
        assert fetch(known, cache=cache).read_bytes() == CONTENT
    assert len(server.asked) == 3  # once, and again after each change


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return candidate.getsockname()[1]


def test_an_unknown_host_is_called_so() -> None:
    import requests
    from urllib3.exceptions import MaxRetryError

    error = NameResolutionError("nowhere", None, socket.gaierror(-2, "unknown"))  # type: ignore[arg-type]
    wrapped = requests.ConnectionError(MaxRetryError(None, "/", error))  # type: ignore[arg-type]
    assert "names a host that is not found" in http._reason(wrapped)


def test_a_server_may_ask_to_wait_in_seconds_or_until_a_date() -> None:
    for header, seconds in [
        (None, 0),
        ("7", 7),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("soon", 0),
        ("-7", 0),
    ]:
        assert http.asked_wait(header, now=datetime(2026, 1, 1, tzinfo=UTC)) == seconds


def test_pauses_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF", 1.0)
    assert 0.5 <= http.pause(0) <= 1.0
    assert 4.0 <= http.pause(3) <= 8.0
    assert http.pause(50) <= http.LONGEST_WAIT


# The disk -----------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_free_space_is_not_begun(remote: Remote, server: Server, cache: Path) -> None:
    server.queue(PATH, Fault(num_announced=10**16))
    message = complaint(unknown(*remote.urls), cache)
    assert "music.zip needs 10000000.00 GB" in message and "GENREPRO_CACHE" in message
    assert [name for name in kept(cache) if not name.endswith(".json")] == []


# A process may write files of 100 000 bytes, or sees a file system of its own with as many.
LIMITS = {
    "quota": ["bash", "-c", 'ulimit -f 100; exec "${@:2}"'],
    "disk": ["unshare", "-rm", "bash", "-c", 'mount -t tmpfs -o size=100k none "$1" && exec "${@:2}"'],
}


def is_possible(limit: str) -> bool:
    command = [*LIMITS[limit], "bash", "/mnt", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("limit", [limit for limit in LIMITS if limit == "quota" or is_possible(limit)])
def test_a_disk_that_fills_up_while_writing_ends_in_a_sentence(
    remote: Remote, server: Server, cache: Path, limit: str
) -> None:
    server.always[PATH] = Fault(headers={"Content-Length": None})  # or the free space would be checked before
    cache.mkdir()
    with in_process(unknown(*remote.urls), cache, prefix=[*LIMITS[limit], "bash", str(cache)]) as process:
        message = process.communicate()[0]
    reason = {"quota": "file too large", "disk": "no space left on device"}[limit]
    assert f"cannot be written, {reason}: free some space; $GENREPRO_CACHE" in message
    assert process.returncode == 0 and message.count("\n") == 1


def test_a_cache_that_cannot_be_made_ends_in_a_sentence(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = complaint(remote, tmp_path / "file" / "cache")
    assert "cannot be written, not a directory" in message and "$GENREPRO_CACHE" in message


def test_room_is_what_the_disk_has_less_a_margin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MARGIN", 0)
    disk.require(tmp_path, 0, what="nothing")
    monkeypatch.setattr(disk, "MARGIN", 10**18)
    assert disk.free(tmp_path) == 0
