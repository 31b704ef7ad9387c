"""Claims about tracking, on a real MLflow store: one experiment is one run, and no trouble stops the work."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from support.builders import GENRES, ROOT, make_params

from genrepro import models, tracking
from genrepro.base import files, stores
from genrepro.models.shared import checkpoint
from genrepro.tracking import recorder

CONFIG = make_params(seed=3, dataset="synthetic", model="cnn")
SECTION = {"channels": [2, 2, 2, 2, 2], "dropout": 0.0}
CURVES = [(1, 1.5, 0.2, 1.6, 0.3), (2, 1.2, 0.5, 1.3, 0.4), (3, 0.9, 0.6, 1.4, 0.5)]
EPOCH = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
TEST = {"accuracy": 0.5, "num_tracks": 4, "leaky": 0}
PYTHON = sys.executable


def train(folder: Path, *, seed: int) -> dict[str, Any]:
    """What a train stage leaves and tracks; the description of its model."""
    torch.manual_seed(seed)
    features = dict.fromkeys(("mel", "segments", "pooling", "frame_rate", "num_bands", "mean", "std"))
    description = checkpoint.describe(
        model="cnn",
        section=SECTION,
        features={**features, "genres": GENRES, "sha256": "of features"},
        split_sha256="of split",
    )
    with tracking.start("train", CONFIG, description) as run:
        for row in CURVES:
            run.log_epoch(dict(zip(EPOCH, row, strict=True)))
        model = models.build("cnn", SECTION, num_genres=3)
        checkpoint.save(folder / "models", model.state_dict(), description)
        files.write_csv(folder / "metrics" / "curves.csv", EPOCH, CURVES)
        run.log_training({"best_epoch": 2, "validation_loss": 1.3}, seconds=0.5)
    return description


def evaluate(folder: Path, description: dict[str, Any]) -> None:
    """What an evaluate stage leaves and tracks."""
    rows = [[f"t{number}", "jazz", "jazz" if number % 2 else "rock", 0, 1, 0] for number in range(4)]
    files.write_csv(folder / "metrics" / "predictions.csv", ["track_id", "genre", "predicted", *GENRES], rows)
    files.write_csv(folder / "metrics" / "per_genre.csv", ["genre", "accuracy"], [["jazz", 0.5]])
    files.write_json(folder / "metrics" / "test.json", TEST)
    tracking.log_evaluation(CONFIG, description, TEST)


def runs_in(folder: Path) -> tuple[MlflowClient, list[Run]]:
    """All runs of the experiment, the newest first."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("genrepro")
    return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])


@pytest.fixture(autouse=True)
def forked(warm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders are forks of a process that has MLflow loaded."""
    monkeypatch.setattr(sys, "executable", str(warm / "python"))


@pytest.fixture
def cold(forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders are processes of their own, which import MLflow first."""
    monkeypatch.setattr(sys, "executable", PYTHON)


@pytest.fixture
def stored(empty_store: Path, tmp_path: Path) -> None:
    """The test's own folder has a store."""
    shutil.copy(empty_store, tmp_path)


@pytest.fixture(scope="module")
def store(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose MLflow store holds one experiment, trained and evaluated."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "executable", str(warm / "python"))
        patch.setenv("GENREPRO_WORKERS", "1")
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME"):
            patch.delenv(name, raising=False)
        evaluate(folder, train(folder, seed=0))
        assert len(runs_in(folder)[1]) == 1, "training and evaluation are one run"
    return folder


@pytest.fixture
def repository(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store)
    return store


def first_run(folder: Path) -> tuple[MlflowClient, Run]:
    client, runs = runs_in(folder)
    return client, runs[-1]


def test_training_and_evaluation_are_one_finished_run(repository: Path) -> None:
    _, run = first_run(repository)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["best.validation_loss"] == 1.3
    assert run.data.metrics["test.accuracy"] == 0.5


def test_each_epoch_is_a_step_of_its_curves(repository: Path) -> None:
    client, run = first_run(repository)
    for column, name in enumerate(EPOCH[1:], start=1):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(point.step, point.value) for point in history] == [(row[0], row[column]) for row in CURVES]


def test_every_parameter_is_there(repository: Path) -> None:
    _, run = first_run(repository)
    assert run.data.params["seed"] == "3"
    for section in ("mel", "segments", "audit", "split", "train", "evaluate", "cnn"):
        for key, value in CONFIG.section(section).items():
            assert run.data.params[f"{section}.{key}"] == str(value)


def test_the_run_names_its_data_and_its_model(repository: Path) -> None:
    _, run = first_run(repository)
    [weights] = [
        path
        for path in (repository / "mlartifacts").rglob("model.safetensors")
        if run.info.run_id in str(path)
    ]
    assert run.data.tags["model_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert run.data.tags["features_sha256"] == "of features"
    assert run.data.tags["split_sha256"] == "of split"
    assert run.data.tags["dvc_experiment"] == "workspace"


def test_files_and_figures_are_kept(repository: Path, subtests: pytest.Subtests) -> None:
    for folder, names in [
        ("model", {"model.safetensors", "model.json"}),
        ("metrics", {"curves.csv", "predictions.csv", "per_genre.csv", "test.json"}),
        ("figures", {"learning_curves.png", "confusion_matrix.png"}),
    ]:
        with subtests.test(folder=folder):
            client, run = first_run(repository)
            assert {Path(item.path).name for item in client.list_artifacts(run.info.run_id, folder)} == names


def test_a_second_evaluation_of_one_model_is_a_run_of_its_own(repository: Path) -> None:
    description = train(repository, seed=1)
    before = len(runs_in(repository)[1])
    evaluate(repository, description)
    assert len(runs_in(repository)[1]) == before
    evaluate(repository, description)
    _, runs = runs_in(repository)
    assert len(runs) == before + 1
    assert runs[0].data.tags["model_sha256"] == description["weights_sha256"]


def test_a_queued_experiment_reaches_the_users_store_under_its_name(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.setenv("DVC_EXP_NAME", "murky-vole")
    monkeypatch.chdir(tmp_path)
    train(tmp_path, seed=2)
    _, runs = runs_in(repository)
    assert (runs[0].info.run_name, runs[0].data.tags["dvc_experiment"]) == ("murky-vole", "murky-vole")
    assert not list(tmp_path.glob("mlflow*"))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_marks_its_run_failed(repository: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), tracking.start("train", CONFIG, {"data": {}}):
        raise error
    assert runs_in(repository)[1][0].info.status == "FAILED"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "sqlite:///{folder}", "sqlite:///{file}/mlflow.db"])
def test_an_unusable_store_costs_one_line_and_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()  # no folder, so that nothing can be made in it, not even by root
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path, file=tmp_path / "file"))
    description = train(tmp_path, seed=0)
    assert (tmp_path / "models" / "model.safetensors").is_file() and description["weights_sha256"]
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("genrepro: tracking stopped, the work goes on: ")


def test_tracking_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENREPRO_TRACKING", "off")
    tracking.prepare()
    description = train(tmp_path, seed=0)
    evaluate(tmp_path, description)
    with tracking.start("train", CONFIG, {"data": {}}) as run:
        assert run.process is None
    assert not list(tmp_path.glob("ml*")) and not capfd.readouterr().err


def newest() -> Run:
    """The run that a recorder has just begun."""
    client, experiment_id = tracking.connect()
    for _ in range(300):
        if found := client.search_runs([experiment_id]):
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no run has begun")


@pytest.mark.usefixtures("stored")
def test_trouble_in_the_middle_ends_tracking_and_not_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.start("train", CONFIG, {"data": {}}) as run:
        begun = newest().info.run_id  # a second client before that would create the same database at once
        MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").delete_run(begun)
        for row in CURVES:
            run.log_epoch(dict(zip(EPOCH, row, strict=True)))
    # The test's own client tells of a new store, too.
    [line] = (line for line in capfd.readouterr().err.splitlines() if " INFO " not in line)
    assert line.startswith("genrepro: tracking stopped, the work goes on: ")


@pytest.mark.usefixtures("cold")
def test_a_recorder_that_dies_costs_one_line_and_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.start("train", CONFIG, {"data": {}}) as run:
        assert run.process is not None
        run.process.kill()
        run.process.wait()
        for row in CURVES:
            run.log_epoch(dict(zip(EPOCH, row, strict=True)))
    [line] = capfd.readouterr().err.splitlines()
    assert line == "genrepro: tracking stopped, the work goes on: its process has ended."


def test_a_store_lies_in_its_repository_whatever_the_path_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    folder = tmp_path / "why? 100%20#1 höre"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    monkeypatch.chdir(folder)
    evaluate(folder, train(folder, seed=0))
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in folder.iterdir()}
    client = MlflowClient(stores.address())
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FINISHED" and run.data.metrics["test.accuracy"] == 0.5
    assert len(client.list_artifacts(run.info.run_id, "figures")) == 2
    assert (folder / "mlartifacts" / run.info.run_id / "artifacts" / "figures").is_dir()


def test_a_moved_repository_takes_its_artifacts_along(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(store, moved)
    before = set(store.rglob("*"))
    monkeypatch.chdir(moved)
    train(moved, seed=7)
    client, runs = runs_in(moved)
    assert all(run.info.artifact_uri.startswith((moved / "mlartifacts").as_uri()) for run in runs)
    for run in (runs[0], runs[-1]):
        assert client.list_artifacts(run.info.run_id, "figures")
    assert set(store.rglob("*")) == before


def test_a_relative_store_outlives_the_temporary_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    repository, clone = tmp_path / "repository", tmp_path / "clone"
    repository.mkdir()
    clone.mkdir()
    shutil.copy(empty_store, repository / "runs.db")
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    monkeypatch.chdir(clone)
    train(clone, seed=0)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(clone)
    client = MlflowClient(f"sqlite:///{repository / 'runs.db'}")
    (run,) = client.search_runs(["1"])
    assert client.list_artifacts(run.info.run_id, "figures")


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("sqlite:///mlflow.db", "sqlite:////repo/mlflow.db"),
        ("sqlite:///runs/a%20b.db?timeout=9", "sqlite:////repo/runs/a b.db?timeout=9"),
        ("sqlite+pysqlite:///mlflow.db", "sqlite:////repo/mlflow.db"),
        ("sqlite:////other/mlflow.db", "sqlite:////other/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("mlruns", "file:///repo/mlruns"),
        ("./ml runs", "file:///repo/ml%20runs"),
        ("file:mlruns", "file:///repo/mlruns"),
        ("file:///other/mlruns", "file:///other/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("databricks", "databricks"),
    ],
)
def test_a_relative_address_starts_at_the_repository(
    monkeypatch: pytest.MonkeyPatch, named: str, address: str
) -> None:
    monkeypatch.setenv("DVC_ROOT", "/repo")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    assert stores.address() == address


STAGE = """
import os, signal, sys
from genrepro import tracking
from support.builders import make_params
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the suite is in the background
tracking.prepare()
with tracking.start("train", make_params(), {"data": {}}) as run:
    for epoch in (1, 2, 3):
        run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
"""


def stage(code: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    paths = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,  # ends when the recorder does, too
        text=True,
        timeout=120,
    )


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_of_a_killed_stage_nothing_is_lost_and_its_run_is_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    assert stage(STAGE, number, folder=tmp_path).returncode
    monkeypatch.chdir(tmp_path)
    while newest().info.status == "RUNNING":  # its recorder outlives it by a moment
        time.sleep(0.1)
    client, (run,) = runs_in(tmp_path)
    assert run.info.status == "FAILED"
    losses = [point.value for point in client.get_metric_history(run.info.run_id, "train_loss")]
    assert losses == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_prepared_recorder_without_use_leaves_nothing(tmp_path: Path) -> None:
    begin = time.monotonic()
    done = stage("from genrepro import tracking; tracking.prepare()", folder=tmp_path)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    assert time.monotonic() - begin < 60


def evaluation(folder: Path, description: dict[str, Any]) -> tuple[recorder.Recorder, Run]:
    """The recorder that an evaluation had, and the newest run after it."""
    tracking.prepare()
    used = recorder._prepared
    assert used is not None
    evaluate(folder, description)
    return used, runs_in(folder)[1][0]


@pytest.mark.usefixtures("stored")
def test_the_recorder_of_a_training_waits_for_its_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.WAITING.parent.mkdir(parents=True)
    description = train(tmp_path, seed=0)
    for _ in range(100):
        if recorder.WAITING.exists():
            break
        time.sleep(0.1)
    used, run = evaluation(tmp_path, description)
    assert used.process is None  # none was started
    assert (run.data.metrics["test.accuracy"], run.info.status) == (0.5, "FINISHED")
    assert not recorder.WAITING.exists()
    used, other = evaluation(tmp_path, description)  # nobody waits any longer
    assert used.process is not None and other.info.run_id != run.info.run_id


@pytest.mark.usefixtures("stored")
def test_a_stage_takes_its_own_environment_to_a_recorder_that_has_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.WAITING.parent.mkdir(parents=True)
    description = train(tmp_path, seed=0)
    while not recorder.WAITING.exists():
        time.sleep(0.1)
    (tmp_path / "other").mkdir()
    shutil.copy(empty_store, tmp_path / "other")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "other"))
    used, run = evaluation(tmp_path / "other", description)
    assert used.process is None and run.data.tags["stage"] == "evaluate"


@pytest.mark.usefixtures("stored")
def test_a_socket_that_nobody_listens_to_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.WAITING.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(recorder.WAITING))
    evaluate(tmp_path, train(tmp_path, seed=0))
    (run,) = runs_in(tmp_path)[1]
    assert run.info.status == "FINISHED"


@pytest.mark.usefixtures("cold")
def test_a_training_goes_on_before_it_is_recorded_and_its_evaluation_waits_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.WAITING.parent.mkdir(parents=True)
    description = train(tmp_path, seed=0)
    assert not (tmp_path / "mlflow.db").exists(), "MLflow is still being imported"
    shutil.rmtree(tmp_path / "models")  # DVC moves it, a later run replaces it
    evaluate(tmp_path, description)
    client, (run,) = runs_in(tmp_path)
    assert run.info.status == "FINISHED" and run.data.metrics["test.accuracy"] == 0.5
    kept = {Path(item.path).name: item.file_size for item in client.list_artifacts(run.info.run_id, "model")}
    assert kept.keys() == {"model.safetensors", "model.json"} and all(kept.values())


@pytest.mark.usefixtures("stored")
def test_an_evaluation_says_what_went_wrong_after_its_training_had_gone_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder.WAITING.parent.mkdir(parents=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    description = train(tmp_path, seed=0)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # of the evaluation itself nothing goes wrong
    evaluate(tmp_path, description)
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("genrepro: tracking stopped, the work goes on: ")
    (run,) = runs_in(tmp_path)[1]
    assert run.data.tags["stage"] == "evaluate"


@pytest.mark.usefixtures("cold")
def test_a_stage_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    monkeypatch.setattr(recorder, "PATIENCE", 0.5)
    monkeypatch.chdir(tmp_path)
    with silent:
        begin = time.monotonic()
        with tracking.start("train", CONFIG, {"data": {}}) as run:
            for number in range(5_000):  # more than a socket holds
                run.log_epoch({"epoch": number, "train_loss": 1.0})
            waited = time.monotonic() - begin
        assert run.process is not None
        run.process.kill()
        assert waited < 120
