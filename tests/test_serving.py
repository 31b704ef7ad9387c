"""Claims about a registered model: it says what `genrepro predict` says, over HTTP too, on any machine."""

import base64
import hashlib
import json
import os
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

import mlflow
import pandas as pd
import psutil
import pytest
import soundfile
import torch
from builders import GENRES, ROOT, make_inputs, make_mel_params, make_music, make_params
from typer.testing import CliRunner

from genrepro import checkpoint, files, mel, models, registry, serving, tracking
from genrepro.cli import app
from genrepro.errors import GenreproError
from genrepro.prediction import Predictor

REAL_DATA = os.environ.get("GENREPRO_TEST_DATA")  # read before conftest.py clears what a person has set

RATE = 8000  # Hz
OGG = sorted(Path(REAL_DATA, "audio").glob("*.ogg"))[:1] if REAL_DATA else []
CLIPS = ["sound.wav", *OGG]


def make_model(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """A small network of sounds with random weights in ``folder``; its description."""
    torch.manual_seed(seed)
    section = {"channels": [4, 8], "dropout": 0.0}
    inputs = make_inputs(mel=mel.describe(make_mel_params()), pooling={"frames": 6, "bands": 1}, num_bands=16)
    model = models.build("cnn", section, num_genres=3, inputs=inputs)
    model(torch.randn(8, 1, 16, 20))  # so that the batch statistics are not those of the start
    description = checkpoint.describe(
        model="cnn",
        section=section,
        features={**inputs, "genres": GENRES, "sha256": "of features"},
        split_sha256="of split",
    )
    checkpoint.save(folder, model.state_dict(), description)
    return description


def write_lock(folder: Path) -> None:
    """dvc.lock and metrics/test.json as DVC leaves them after evaluating the model in ``folder``."""

    def entry(path: Path, content: Path) -> dict[str, str]:
        return {"path": path.as_posix(), "md5": hashlib.md5(content.read_bytes()).hexdigest()}

    test, weights = Path("metrics", "test.json"), Path("models", "model.safetensors")
    scores = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.9}
    files.write_json(test, {**scores, "log_loss": 0.6, "num_tracks": 20, "leaky": 0})
    split = {"path": "data/synthetic/split.csv", "md5": "of split"}
    stages = {
        "split": {"params": {"params.yaml": {"split": {"strategy": "artist"}}}, "outs": [split]},
        "evaluate": {
            "params": {"params.yaml": {"dataset": "synthetic"}},
            "deps": [split, entry(weights, folder / weights.name)],
            "outs": [entry(test, test)],
        },
    }
    files.write_json(Path("dvc.lock"), {"schema": "2.0", "stages": stages})  # JSON is YAML


@dataclass(frozen=True)
class Store:
    """A repository with a model that is registered as `genrepro`."""

    folder: Path
    first: registry.Version

    @property
    def logged(self) -> Path:
        """What MLflow keeps of the first version."""
        (found,) = (path.parent for path in self.folder.glob("mlartifacts/models/*/artifacts/MLmodel"))
        return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        make_model(folder / "models")
        for seed, name in enumerate(["sound.wav", "other.wav"]):
            soundfile.write(name, make_music(duration=3.0, sample_rate=RATE, seed=seed), RATE)
        version = registry.register(Path("models"), name="genrepro")
        yield Store(folder, version)
    mlflow.set_tracking_uri(None)


@pytest.fixture(autouse=True)
def repository(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store.folder)
    return store.folder


@pytest.fixture(scope="module")
def pyfunc(store: Store) -> Any:
    return mlflow.pyfunc.load_model(str(store.logged))


def expected(path: Path | str) -> dict[str, Any]:
    """The row that `genrepro predict` gives for a file."""
    probabilities = Predictor(Path("models"))(Path(path)).probabilities
    return {"genre": max(probabilities, key=probabilities.__getitem__), **probabilities, "error": None}


def rows(answer: pd.DataFrame) -> list[dict[str, Any]]:
    return answer.to_dict("records")


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: Path(clip).name)
def test_a_path_and_its_bytes_give_predicts_numbers(pyfunc: Any, clip: str | Path) -> None:
    wanted = expected(clip)
    assert rows(pyfunc.predict([{"path": str(clip)}])) == [wanted]
    assert rows(pyfunc.predict(pd.DataFrame({"audio": [Path(clip).read_bytes()]}))) == [wanted]
    assert list(wanted) == ["genre", *GENRES, "error"]


def test_paths_and_bytes_mix_in_one_table_in_its_order(pyfunc: Any) -> None:
    sound, other = expected("sound.wav"), expected("other.wav")
    table = pd.DataFrame(
        {"path": ["other.wav", None, ""], "audio": [None, Path("sound.wav").read_bytes(), b""]},
        index=[7, 5, 3],
    )
    answer = pyfunc.predict(table)
    assert rows(answer)[:2] == [other, sound] and other != sound
    assert list(answer.index) == [7, 5, 3]


def test_what_cannot_be_read_gets_a_sentence_and_the_rest_is_done(pyfunc: Any) -> None:
    good = Path("sound.wav").read_bytes()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"path": "absent.wav"}, "absent.wav does not exist."),
        ({"path": "models"}, "models is a folder: name the files in it."),
        ({"path": "models/model.json"}, "models/model.json: undecodable: "),
        ({"path": "a\0b.wav"}, "is no file's name."),
        ({"path": "a" * 5000}, "cannot be read: File name too long."),
        ({"audio": b"no music at all" * 100}, "1500 bytes: undecodable: "),
        ({"audio": good[:40]}, "40 bytes: undecodable: "),
        ({"audio": b""}, "an input is either a path or the bytes of a file in audio, and not empty."),
        ({"path": "sound.wav", "audio": good}, "an input is either"),
    ]
    answer = rows(
        pyfunc.predict(pd.DataFrame([{"path": "sound.wav"}, *(row for row, _ in bad), {"audio": good}]))
    )
    assert answer[0] == answer[-1] == expected("sound.wav")
    for (_, words), row in zip(bad, answer[1:-1], strict=True):
        assert words in row.pop("error") and set(row.values()) == {None}


def test_a_table_without_either_column_is_refused(pyfunc: Any) -> None:
    with pytest.raises(mlflow.MlflowException, match="name a column of the input `path` or `audio`"):
        pyfunc.predict(pd.DataFrame({"file": ["sound.wav"]}))


def test_bytes_that_nobody_decoded_from_base64_are_decoded(pyfunc: Any) -> None:
    # MLflow decodes a column of its JSON in two of four formats, and in the others makes text into bytes.
    text = base64.b64encode(Path("sound.wav").read_bytes())
    assert rows(pyfunc.predict(pd.DataFrame({"audio": [text]}))) == [expected("sound.wav")]


def test_the_example_of_an_input_is_answered_on_any_machine(pyfunc: Any) -> None:
    (row,) = rows(pyfunc.predict(pyfunc.input_example))
    assert row["error"] is None


def test_a_version_needs_what_a_prediction_imports_and_nothing_of_the_trainer(store: Store) -> None:
    required = (store.logged / "requirements.txt").read_text().split()
    assert all("==" in line for line in required) and "--" not in "".join(required)
    # Another machine: the trainer's packages are not there, nor is genrepro.
    script = f"""
import sys
absent = {{"dvc", "lightning_fabric", "matplotlib", "ruamel", "torchvision", "transformers", "typer"}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path = [entry for entry in sys.path if not entry.endswith("src")]
import mlflow
model = mlflow.pyfunc.load_model({str(store.logged)!r})
row = model.predict([{{"path": "sound.wav"}}]).to_dict("records")[0]
import genrepro, json
assert genrepro.__file__.startswith({str(store.logged)!r}), genrepro.__file__
print(json.dumps(row))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected("sound.wav")


def test_the_same_weights_are_registered_once_and_others_with_what_is_known_of_them(
    store: Store, tmp_path: Path
) -> None:
    again = registry.register(Path("models"), name="genrepro")
    assert (again.number, again.new, store.first.number, store.first.new) == (1, False, 1, True)
    assert again.text() == "cnn"
    description = make_model(tmp_path, seed=1)
    config = make_params(model="cnn", split={"strategy": "random"})
    with tracking.start("train", config, description) as run:
        run.client.set_tag(run.run_id, "model_sha256", description["weights_sha256"])
    write_lock(tmp_path)
    done = CliRunner().invoke(app, ["register", "--model", str(tmp_path)])
    wanted = "cnn on synthetic, split by artist, accuracy 75.0 % [50.0, 90.0] on 20 tracks"
    lines = [f"genrepro version 2: {wanted}", "genrepro serve --name genrepro --version 2"]
    assert done.exit_code == 0 and done.stdout.splitlines() == lines
    client, _ = tracking.connect()
    found = client.get_model_version("genrepro", "2")
    assert (found.description, found.run_id) == (wanted, run.run_id)
    assert found.tags["weights_sha256"] == description["weights_sha256"]
    (logged,) = client.get_run(run.run_id).outputs.model_outputs
    assert found.source == f"models:/{logged.model_id}"
    assert [registry.find("genrepro", version).number for version in ("1", "2", "latest")] == [1, 2, 2]


def test_metrics_of_other_weights_are_not_a_versions_but_those_of_its_run_are(tmp_path: Path) -> None:
    make_model(tmp_path, seed=2)
    write_lock(tmp_path)
    description = make_model(tmp_path, seed=3)
    assert registry.register(tmp_path, name="other").text() == "cnn"
    with tracking.start("train", make_params(split={"strategy": "random"}), description) as run:
        run.client.set_tag(run.run_id, "model_sha256", description["weights_sha256"])
        scores = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75}
        for key, value in {**scores, "num_tracks": 8, "leaky": 1}.items():
            run.client.log_metric(run.run_id, f"test.{key}", value)
    wanted = "cnn on synthetic, split by random, accuracy 50.0 % [25.0, 75.0] on 8 tracks, leaky"
    assert registry.register(tmp_path, name="another").text() == wanted


def test_a_frozen_body_is_kept_with_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
    config = make_params(model="ast", ast={**sizes, "trainable_blocks": 0, "weights": "none"})
    section, inputs = config.architecture(), make_inputs(mel=mel.describe(make_mel_params()), num_bands=16)
    model = models.with_frozen_body("ast", section, num_genres=3, inputs=inputs)
    features = {**inputs, "genres": GENRES, "sha256": "-", "body": {"sha256": model.body_sha256()}}
    description = checkpoint.describe(model="ast", section=section, features=features, split_sha256="-")
    checkpoint.save(tmp_path, model.head.state_dict(), description)
    wanted = Predictor(tmp_path)(Path("sound.wav"))
    kept = registry.whole(tmp_path, tmp_path / "whole")
    monkeypatch.setattr(models, "with_frozen_body", None)  # nothing is drawn or downloaded again
    assert Predictor(kept)(Path("sound.wav")) == wanted
    assert {"transformers"} == {line.partition("==")[0] for line in registry.requirements(description)} - {
        line.partition("==")[0] for line in registry.requirements({**description, "model": "cnn"})
    }


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
    started = Service(command("--version", 1, "--port", port := free_port()), port)
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
    service: Service, clip: str | Path
) -> None:
    content, wanted = Path(clip).read_bytes(), expected(clip)
    assert service.post({"dataframe_records": [{"audio": content}]}) == [wanted]
    assert service.post({"dataframe_split": {"columns": ["path"], "data": [[str(clip)]]}}) == [wanted]
    assert service.post({"inputs": [{"audio": content}]}) == [wanted]


def test_an_unreadable_clip_fails_none_of_the_others_over_http(service: Service) -> None:
    good, bad, last = service.post(
        {"dataframe_records": [{"path": "sound.wav"}, {"path": "absent.wav"}, {"path": "other.wav"}]}
    )
    assert (good, last) == (expected("sound.wav"), expected("other.wav"))
    assert bad == {"genre": None, **dict.fromkeys(GENRES), "error": "absent.wav does not exist."}


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
    assert len(started) >= 2  # MLflow, and the server that it starts
    service.process.send_signal(signal.SIGTERM)
    said, _ = service.process.communicate(timeout=30)
    assert service.process.returncode == 0
    assert "Traceback" not in said and "Finished server process" in said
    assert not [process for process in started if process.is_running()] and not service.listens()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "absent"], "holds no model named absent: run `genrepro register --name absent`."),
        (["--version", "99"], "genrepro has no version 99: it has 1, 2, or say latest."),
        (["--version", "newest"], "genrepro has no version newest: it has 1, 2, or say latest."),
        (["--name", "a/b"], "'a/b' is no name of a model: use letters, digits, dots, dashes, underscores."),
        (
            ["--host", "nowhere.invalid"],
            "nowhere.invalid is no address of this machine: choose another --host.",
        ),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be had (cannot assign requested address)"),
    ],
)
def test_what_cannot_be_served_gets_a_sentence(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["serve", "--port", str(free_port()), *arguments])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith("genrepro: ") and words in line


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["register"]])
@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "sqlite:///{folder}"])
def test_a_store_that_cannot_be_opened_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, arguments: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    port = [str(free_port()) if argument == "0" else argument for argument in arguments]
    done = CliRunner().invoke(app, port)
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith("genrepro: the MLflow store that MLFLOW_TRACKING_URI names cannot be opened: ")


def test_asking_where_there_is_no_store_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenreproError, match=r"mlflow\.db holds no model named genrepro"):
        registry.find("genrepro", "latest")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_keystroke_or_a_closed_terminal_ends_it_too(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As MLflow does, it starts the server proper as a process of its own.
    script = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', sys.argv[1]])"
    (tmp_path / "stubborn.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(serving, "command", lambda *_, port, **__: ["stubborn", str(port)])
    before = signal.getsignal(number)
    port = free_port()

    def end() -> None:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(end)
        assert serving.run(registry.Version(name="a", number=1, tags={}), host="", port=port)
    serving.check_address("127.0.0.1", port)  # it is free again
    assert signal.getsignal(number) is before


def test_a_server_that_ends_by_itself_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "command", lambda *_, **__: ["this"])  # python -m this, which ends
    found = registry.Version(name="genrepro", number=1, tags={})
    assert not serving.run(found, host="127.0.0.1", port=free_port())


def test_a_genre_that_is_a_column_of_the_answers_is_refused(tmp_path: Path) -> None:
    description = make_model(tmp_path)
    files.write_json(tmp_path / "model.json", {**description, "genres": ["blues", "error", "rock"]})
    with pytest.raises(GenreproError, match="a genre is called 'error'"):
        registry.register(tmp_path, name="genrepro")


def test_a_stage_goes_on_where_its_model_cannot_be_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.offer(tmp_path / "models", name="songs")
    said = capsys.readouterr().err
    assert said.startswith("genrepro: ") and "is not registered: GenreproError" in said
    assert said.count("\n") == 1
