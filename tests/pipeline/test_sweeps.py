"""A sweep by DVC: one set of embeddings, a grid of heads, and a cell of it as an experiment."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from support.processes import kill
from support.project import TRACKED, Project, stages_run

pytestmark = pytest.mark.pipeline

# A frozen body that takes milliseconds: what is claimed here is the same for every body.
BODY = {
    "weights": "none", "trainable_blocks": 0, "hidden_size": 16, "num_layers": 2, "num_heads": 2,
    "intermediate_size": 32, "dropout": 0.0,
}  # fmt: skip
GRID = [
    "-S", "sweeps/params.yaml:sweep.lr={first: 0.001, last: 0.002, step: 0.001}",
    "-S", "sweeps/params.yaml:sweep.weight_decay={first: 0.01, last: 0.1, step: 0.09}",
]  # fmt: skip


@pytest.fixture(scope="module")
def embedded(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout with the embeddings of a frozen body; tests must not change it, only copy it."""
    project = finished.copy(tmp_path_factory.mktemp("embedded") / "genrepro")
    project.set(model="ast", ast=BODY, train={"epochs": 3})
    done = project.run("dvc", "repro", "features")
    assert stages_run(done.stdout) == ["features"]
    project.commit()
    return project


def test_a_sweep_and_one_of_its_cells(embedded: Project, tmp_path: Path) -> None:
    project = embedded.copy(tmp_path / "genrepro", **TRACKED)
    done = project.run("dvc", "exp", "run", "sweeps/dvc.yaml", *GRID)
    assert stages_run(done.stdout) == ["sweeps/dvc.yaml:sweep", "sweeps/dvc.yaml:sweep_figures"]
    summary = project.json("sweep")
    cells = pd.read_csv(project.path / "metrics" / "sweep" / "cells.csv")
    assert summary["num_cells"] == len(cells) == 4 and summary["num_diverged"] == 0
    assert sorted(set(cells["lr"])) == [0.001, 0.002]
    curves = pd.read_parquet(project.path / "metrics" / "sweep" / "curves.parquet")
    assert len(curves) == 4 * 3 and "test_accuracy" not in curves

    # Its commit holds the answer, and nothing that is large: curves, figures and weights are in MLflow.
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    refs = f"refs/exps/{head[:2]}/{head[2:]}"  # those of other tests start from other commits
    (commit,) = project.run("git", "for-each-ref", "--format=%(refname)", refs).stdout.split()
    kept = project.run("git", "diff", "--name-only", "HEAD", commit).stdout.split()
    assert {name for name in kept if "sweep/" in name} == {
        f"metrics/sweep/{name}.csv" for name in ("by_lr", "by_weight_decay", "cells", "predictions")
    } | {"models/sweep/model.json"}
    assert "metrics/sweep.json" in kept

    # Its winner, by the command that genrepro says: nothing but train and evaluate runs.
    said = project.run("python", "-m", "genrepro", "sweep", "best").stdout.splitlines()[-1]
    project.commit()
    done = project.run(*said.split())
    assert stages_run(done.stdout) == ["train", "evaluate"]
    assert "metrics/train.json" in json.loads(project.run("dvc", "metrics", "diff", "--json").stdout)
    assert "train.lr" in project.run("dvc", "exp", "show", "--only-changed", "--csv").stdout
    best = summary["by_loss"]
    own = pd.read_csv(project.path / "metrics" / "curves.csv")
    of_cell = curves[(curves["lr"] == best["lr"]) & (curves["weight_decay"] == best["weight_decay"])]
    for name in ("train_loss", "validation_loss", "validation_accuracy"):
        assert own[name].to_numpy() == pytest.approx(of_cell[name].to_numpy(), abs=1e-6)
    assert project.json("train")["best_epoch"] == best["epoch"]
    assert project.json("test")["accuracy"] == pytest.approx(best["test_accuracy"], abs=1e-6)

    # One MLflow run for the sweep, with its figures, and its best model in the registry: the winner's own.
    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    (run,) = client.search_runs(["1"], "tags.stage = 'sweep'")
    assert run.data.metrics["by_loss.test_accuracy"] == pytest.approx(best["test_accuracy"])
    number = {name: len(client.list_artifacts(run.info.run_id, name)) for name in ("figures", "metrics")}
    assert number == {"figures": 6, "metrics": 5}
    (version,) = client.search_model_versions("name = 'genrepro-sweep'")
    model = json.loads((project.path / "models" / "model.json").read_text())
    assert version.tags["weights_sha256"] == model["weights_sha256"]  # the same bytes as the experiment's

    # What ran once does not run again; another figure leaves the heads alone.
    done = project.run("dvc", "repro", "sweeps/dvc.yaml")
    assert stages_run(done.stdout) == []
    log = project.path / "log.csv"
    log.write_text(
        "lr,weight_decay,epoch,val_loss,val_accuracy\n0.001,0.01,1,2.0,0.2\n0.001,0.01,2,1.9,0.3\n"
    )
    done = project.run("dvc", "exp", "run", "sweeps/dvc.yaml", "-S", f"sweeps/params.yaml:sweep.report={log}")
    assert stages_run(done.stdout) == ["sweeps/dvc.yaml:sweep_figures"]

    queued = project.run("python", "-m", "genrepro", "sweep", "queue").stdout
    assert queued.count("Queued experiment") == 4


def test_a_killed_sweep_goes_on(embedded: Project, tmp_path: Path) -> None:
    project = embedded.copy(tmp_path / "genrepro")
    partial = project.path / "data" / "synthetic" / "sweep.partial"
    running = project.start("sweep")
    finished: list[Path] = []
    for _ in range(1200):
        finished = list(partial.glob("*.parquet"))
        if len(finished) >= 3:
            break
        time.sleep(0.05)
    kill(running)
    assert 3 <= len(finished) < 506 and not (project.path / "metrics" / "sweep.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in partial.glob("*.parquet")}
    # The rest of 506 cells would take long: the grid ends where the finished ones do.
    done = project.run("python", "-c", SHORTENED.format(number=len(kept) + 2))
    assert done.stdout.split() == [str(len(kept) + 2), "2"]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


SHORTENED = """
import stages
from pathlib import Path
from genrepro.base import files, params, tables
from genrepro.models.shared import checkpoint, inputs
from genrepro.sweep import grid, heads
config = params.load()
cells = grid.cells(grid.load(), config)[:{number}]
packed = inputs.load(Path("data/synthetic/features"))
split = tables.read_split(Path("data/synthetic/split.csv"))
description = checkpoint.describe(
    model=config.model, section=config.architecture(), features=packed.description,
    split_sha256=files.sha256(Path("data/synthetic/split.csv")))
trained = []
train_cell = heads.train_cell
heads.train_cell = lambda task, cell: trained.append(cell) or train_cell(task, cell)
curves = heads.run(packed, split, config, description, cells, folder=Path("data/synthetic/sweep.partial"))
print(curves[["lr", "weight_decay"]].drop_duplicates().shape[0], len(trained))
"""
