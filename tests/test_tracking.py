"""Claims about tracking, on a real MLflow store: one experiment is one run, and no trouble stops the work."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from support.builders import GENRES, make_params

from genrepro import models, tracking
from genrepro.base import files, stores
from genrepro.models.shared import checkpoint

CONFIG = make_params(seed=3, dataset="synthetic", model="cnn")
SECTION = {"channels": [2, 2, 2, 2, 2], "dropout": 0.0}
CURVES = [(1, 1.5, 0.2, 1.6, 0.3), (2, 1.2, 0.5, 1.3, 0.4), (3, 0.9, 0.6, 1.4, 0.5)]
EPOCH = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
TEST = {"accuracy": 0.5, "num_tracks": 4, "leaky": 0}


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


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose MLflow store holds one experiment, trained and evaluated."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
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


def test_trouble_in_the_middle_ends_tracking_and_not_the_work(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracking.start("train", CONFIG, {"data": {}}) as run:
        MlflowClient(f"sqlite:///{repository / 'mlflow.db'}").delete_run(run.run_id or "")
        for row in CURVES:
            run.log_epoch(dict(zip(EPOCH, row, strict=True)))
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("genrepro: tracking stopped, the work goes on: ")


def test_a_store_lies_in_its_repository_whatever_the_path_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "why? 100%20#1 höre"
    folder.mkdir()
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, clone = tmp_path / "repository", tmp_path / "clone"
    repository.mkdir()
    clone.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    monkeypatch.chdir(clone)
    train(clone, seed=0)
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
