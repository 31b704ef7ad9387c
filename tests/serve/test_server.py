"""Claims about `genrepro serve`: over HTTP it says what `genrepro predict` says, and it ends when told to."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.builders import GENRES, ROOT
from support.registered import CLIPS, Store, expected, make_store
from typer.testing import CliRunner

from genrepro.cli import app
from genrepro.serve import registry, server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Store]:
    with make_store(tmp_path_factory.mktemp("repository"), empty=empty_store) as found:
        yield found


@pytest.fixture(autouse=True)
def repository(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store.folder)
    return store.folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments: object, **environment: str) -> subprocess.Popen:
    """`genrepro serve`, with this checkout's code."""
    return subprocess.Popen(
        [sys.executable, "-m", "genrepro", "serve", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass(frozen=True)
class Service:
    """A running `genrepro serve`."""

    process: subprocess.Popen
    port: int

    def post(self, payload: Any) -> list[dict[str, Any]]:
        """The rows that the server answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/invocations",
            data=json.dumps(payload, default=lambda content: base64.b64encode(content).decode()).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["predictions"]

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[Service]:
    paths = ("--allow-paths", store.folder)
    started = Service(command("--version", 1, *paths, "--port", port := free_port()), port)
    try:
        deadline = time.monotonic() + 120
        while not started.listens():
            assert started.process.poll() is None and time.monotonic() < deadline, "it never listened"
            time.sleep(0.1)
        yield started
    finally:
        started.process.terminate()
        started.process.communicate(timeout=60)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: Path(clip).name)
def test_a_real_request_with_a_clips_bytes_is_answered_as_predict_does(
    service: Service, clip: str | Path, repository: Path
) -> None:
    content, wanted = Path(clip).read_bytes(), expected(clip)
    clip = shutil.copy(clip, repository / "copied") if Path(clip).is_absolute() else clip
    assert service.post({"dataframe_records": [{"audio": content}]}) == [wanted]
    assert service.post({"dataframe_split": {"columns": ["path"], "data": [[str(clip)]]}}) == [wanted]
    assert service.post({"inputs": [{"audio": content}]}) == [wanted]


def test_an_unreadable_clip_fails_none_of_the_others_over_http(service: Service) -> None:
    good, bad, last = service.post(
        {"dataframe_records": [{"path": "sound.wav"}, {"path": "absent.wav"}, {"path": "other.wav"}]}
    )
    assert (good, last) == (expected("sound.wav"), expected("other.wav"))
    assert bad == {
        "genre": None,
        **dict.fromkeys(GENRES),
        "error": "absent.wav is not a file in the folder that this server may read.",
    }


def test_requests_at_once_are_answered_as_those_one_by_one(service: Service) -> None:
    names = ["sound.wav", "other.wav"] * 6
    wanted = {name: expected(name) for name in set(names)}
    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda name: service.post({"inputs": [{"path": name}]}), names)
    assert [row for (row,) in answers] == [wanted[name] for name in names]


def test_a_port_that_is_taken_gets_a_sentence_before_anything_starts(service: Service) -> None:
    done = CliRunner().invoke(app, ["serve", "--port", str(service.port)])
    assert done.exit_code == 1
    assert done.output == (
        f"genrepro: port {service.port} of 127.0.0.1 cannot be had (address already in use): "
        "choose another --port.\n"
    )


def test_a_signal_ends_the_server_and_all_that_it_started(service: Service) -> None:
    started = psutil.Process(service.process.pid).children(recursive=True)
    assert len(started) >= 1
    service.process.send_signal(signal.SIGTERM)
    said, _ = service.process.communicate(timeout=30)
    assert service.process.returncode == 0
    assert "Traceback" not in said and "Finished server process" in said
    assert not [process for process in started if process.is_running()] and not service.listens()


def test_what_cannot_be_served_gets_a_sentence(subtests: pytest.Subtests) -> None:
    for arguments, words in [
        (["--name", "absent"], "holds no model named absent: run `genrepro register --name absent`."),
        (["--version", "99"], "genrepro has no version 99: it has 1, or say latest."),
        (["--version", "newest"], "genrepro has no version newest: it has 1, or say latest."),
        (
            ["--name", "a/b"],
            "'a/b' is not a name of a model: use letters, digits, dots, dashes, underscores.",
        ),
        (
            ["--host", "nowhere.invalid"],
            "nowhere.invalid is not an address of this machine: choose another --host.",
        ),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be had (cannot assign requested address)"),
    ]:
        with subtests.test(arguments=arguments):
            done = CliRunner().invoke(app, ["serve", "--port", str(free_port()), *arguments])
            assert done.exit_code == 1
            (line,) = done.output.splitlines()
            assert line.startswith("genrepro: ") and words in line


def test_a_store_that_cannot_be_opened_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for arguments in [["serve", "--port", "0"], ["register"]]:
        for uri in ["http://127.0.0.1:1", "sqlite:///{folder}"]:
            with subtests.test(uri=uri, arguments=arguments):
                monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
                port = [str(free_port()) if argument == "0" else argument for argument in arguments]
                done = CliRunner().invoke(app, port)
                assert done.exit_code == 1
                (line,) = done.output.splitlines()
                assert line.startswith(
                    "genrepro: the MLflow store that MLFLOW_TRACKING_URI names cannot be opened: "
                )


def test_without_allow_paths_the_server_is_told_of_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_attacks.py starts such a server directly."""
    told: dict[str, Any] = {}
    monkeypatch.setattr(server, "run", lambda version, **options: told.update(options) or version.number == 1)
    monkeypatch.setenv("GENREPRO_ALLOW_PATHS", "/")
    done = CliRunner().invoke(app, ["serve", "--port", str(port := free_port())])
    assert done.exit_code == 0, done.output
    assert told == {"host": "127.0.0.1", "port": port, "allow_paths": None}
    assert "GENREPRO_ALLOW_PATHS" not in server.environment(registry.find("genrepro", "1"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_keystroke_or_a_closed_terminal_ends_it_too(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As MLflow does, it starts the server proper as a process of its own.
    script = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', sys.argv[1]])"
    (tmp_path / "stubborn.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(server, "command", lambda *, port, **_: ["stubborn", str(port)])
    before = signal.getsignal(number)
    port = free_port()

    def end() -> None:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(end)
        assert server.run(registry.Version(name="a", number=1, tags={}), host="", port=port)
    server.check_address("127.0.0.1", port)  # it is free again
    assert signal.getsignal(number) is before


def test_a_server_that_ends_by_itself_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "command", lambda *_, **__: ["this"])  # python -m this, which ends
    found = registry.Version(name="genrepro", number=1, tags={})
    assert not server.run(found, host="127.0.0.1", port=free_port())
