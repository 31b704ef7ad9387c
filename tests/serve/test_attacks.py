"""Attacks on a running `genrepro serve` over loopback. docs/decisions/2026-11-26-security.md has a table."""

import base64
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from serve.test_server import Service, free_port
from support.builders import ROOT
from support.registered import Store, expected, make_store

from genrepro.serve import server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Store]:
    with make_store(tmp_path_factory.mktemp("repository"), empty=empty_store) as found:
        yield found


@pytest.fixture(scope="module")
def service(store: Store, warm: Path) -> Iterator[Service]:
    """The default: bytes alone. `genrepro serve` itself is started in test_server.py; this is its server."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(store.folder)
        environment = server.environment(store.first)
        environment |= {"PYTHONPATH": str(ROOT / "src"), "GENREPRO_WORKERS": "1"}
    started = Service(
        subprocess.Popen(
            [warm / "python", "-m", *server.command(host="127.0.0.1", port=port)],
            env=environment,
            cwd=store.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ),
        port,
    )
    deadline = time.monotonic() + 120
    while not started.listens():
        assert started.process.poll() is None and time.monotonic() < deadline, "it never listened"
        time.sleep(0.1)
    yield started
    started.process.terminate()
    started.process.communicate(timeout=60)


@pytest.fixture(autouse=True)
def repository(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store.folder)
    return store.folder


def server_process(service: Service) -> psutil.Process:
    """The server, by the number that it prints: it is a fork of `warm`, and no child of this process."""
    assert service.process.stdout is not None
    for line in iter(service.process.stdout.readline, ""):
        if found := re.search(r"Started server process \[(\d+)\]", line):
            return psutil.Process(int(found[1]))
    raise AssertionError("it has not said its number")


def ask(service: Service, body: bytes, kind: str = "application/json") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_no_path_is_read_by_default(service: Service, subtests: pytest.Subtests) -> None:
    for path in ("sound.wav", "/etc/passwd", "/dev/zero", "../models/model.json", "file:///etc/passwd"):
        with subtests.test(path=path):
            (row,) = service.post({"dataframe_records": [{"path": path}]})
            assert row["genre"] is None and row["error"].startswith("this server reads no paths")


def test_fifty_requests_at_once_get_the_right_answers(service: Service) -> None:
    names = ["sound.wav", "other.wav"] * 25
    wanted = {name: expected(name) for name in set(names)}
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda name: service.post({"inputs": [{"audio": Path(name).read_bytes()}]}), names)
        )
    assert [row for (row,) in answers] == [wanted[name] for name in names]


def test_what_is_malformed_gets_a_sentence_without_a_traceback(
    service: Service, subtests: pytest.Subtests
) -> None:
    for body, kind in [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'{"dataframe_records": 7}', "application/json"),
        (b'{"dataframe_records": [{"audio": "not base64!"}]}', "application/json"),
        (b'{"dataframe_records": [{"file": "x"}]}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "application/json"),
        (b"\xff\xfe", "text/csv"),
        (b"PAR1 and no more", "application/vnd.apache.parquet"),
        (b"<a/>", "text/xml"),
    ]:
        with subtests.test(body=body[:50], kind=kind):
            status, said = ask(service, body, kind)
            assert 400 <= status < 600
            assert set(said) == {"error"} and said["error"] and "\n" not in said["error"]
            assert not any(word in said["error"] for word in ("Traceback", "site-packages", str(Path.cwd())))


def test_a_body_of_two_gigabytes_is_refused_before_it_is_read(service: Service) -> None:
    process = server_process(service)
    family = [process, *process.children(recursive=True)]
    before = sum(one.memory_info().rss for one in family)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as line:
        line.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2147483648\r\n\r\n" + b'{"inputs": [{"audio": "' + base64.b64encode(b"x" * 3000)
        )
        said = ""
        while not said.endswith("}"):  # the answer may come in pieces
            piece = line.recv(65536).decode()
            assert piece, said
            said += piece
    assert said.startswith("HTTP/1.1 413 ") and "a request may have 384 MB at most." in said
    assert sum(one.memory_info().rss for one in family) - before < 50e6
    assert service.post({"inputs": [{"audio": Path("sound.wav").read_bytes()}]}) == [expected("sound.wav")]
