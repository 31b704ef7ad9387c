"""Claims about the cells of a sweep as experiments: the winner's command, the grid as a queue."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from ruamel.yaml import YAML
from support.builders import ROOT, make_params
from support.repository import Repository
from typer.testing import CliRunner

from genrepro.base.errors import GenreproError
from genrepro.cli import app
from genrepro.experiments import cells, entries
from genrepro.sweep import grid

BEST: dict[str, Any] = {
    "lr": 0.0016, "weight_decay": 0.012, "seed": 0, "epoch": 9, "validation_loss": 1.1,
    "validation_accuracy": 0.7, "test_loss": 1.2, "test_accuracy": 0.65, "test_accuracy_low": 0.55,
    "test_accuracy_high": 0.74, "selection_optimism": 0.05,
}  # fmt: skip
SUMMARY = {"num_cells": 231, "by_loss": BEST, "by_accuracy": BEST | {"lr": 1e-05, "seed": 3}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository in which a sweep has run in the workspace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "sweep.json").write_text(json.dumps(SUMMARY))
    found = Repository(tmp_path)
    found.commit()
    return found


def settings(command: list[str]) -> dict[str, Any]:
    """What `-S` sets, read as DVC reads it."""
    assert command[:3] == ["dvc", "exp", "run"]
    given = [word for word in command[3:] if word not in ("-S", "--queue")]
    read = OverridesParser.create().parse_overrides(given)
    return {override.key_or_group: override.value() for override in read}


@pytest.mark.usefixtures("project")
def test_the_winner_of_the_workspace_needs_its_cell_and_its_snapshot_alone() -> None:
    winner, command = cells.best("loss")
    assert winner == BEST
    assert settings(command) == {
        "train.lr": 0.0016,
        "train.weight_decay": 0.012,
        "train.select": "validation_loss",
    }


@pytest.mark.usefixtures("project")
def test_of_another_seed_the_seed_too() -> None:
    _, command = cells.best("accuracy")
    assert settings(command) == {
        "seed": 3,
        "train.lr": 1e-05,
        "train.weight_decay": 0.012,
        "train.select": "validation_accuracy",
    }


def test_the_winner_of_an_experiment_brings_its_parameters(project: Repository) -> None:
    head = project.git("rev-parse", "HEAD")
    values = entries.overridden(
        YAML(typ="safe").load(project.path / "params.yaml"),
        {"model": "vit", "train.epochs": 15, "cnn.channels": [1, 2]},
    )
    YAML().dump(values, project.path / "params.yaml")
    project.experiment("songs", baseline=head, commit=project.commit())
    project.git("reset", "--quiet", "--hard", head)
    (project.path / "metrics" / "sweep.json").unlink()
    _, command = cells.best("loss", "songs")
    assert settings(command) == {
        "model": "vit",
        "train.epochs": 15,
        "train.lr": 0.0016,
        "train.weight_decay": 0.012,
        "train.select": "validation_loss",
        "cnn.channels": [1, 2],
    }


@pytest.mark.usefixtures("project")
def test_the_command_says_it_in_two_lines() -> None:
    said = CliRunner().invoke(app, ["sweep", "best"]).output.splitlines()
    assert said[0] == (
        "# epoch 9: validation accuracy 0.700, test 0.650 [0.550, 0.740], selection optimism +0.050"
    )
    assert shlex.split(said[1])[:3] == ["dvc", "exp", "run"]


def test_the_queue_names_every_value_once() -> None:
    axis = grid.Range(first=0.001, last=0.002, step=0.0005)
    command = cells.queue(make_params(), grid.Grid(lr=axis, weight_decay=(0.1,), seed=(0, 1), report="none"))
    assert command == [
        "dvc", "exp", "run", "--queue", "-S", "train.lr=choice(0.001,0.0015,0.002)",
        "-S", "train.weight_decay=0.1", "-S", "seed=choice(0,1)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "metrics/sweep.json is missing: `dvc exp run sweeps/dvc.yaml` writes it"),
        ("no json", "is not a summary of a sweep: run the sweep again"),
        ("{}", "is not a summary of a sweep: run the sweep again"),
    ],
)
def test_where_no_sweep_ran_there_is_a_sentence(project: Repository, content: str | None, words: str) -> None:
    path = project.path / "metrics" / "sweep.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(GenreproError, match=words.split(":")[0]) as caught:
        cells.best("loss")
    assert words in str(caught.value)


def test_a_revision_without_a_sweep_and_an_unknown_criterion_are_sentences(project: Repository) -> None:
    (project.path / "metrics" / "sweep.json").unlink()
    project.commit()
    with pytest.raises(GenreproError, match=r"HEAD has no metrics/sweep\.json: no sweep ran there"):
        cells.best("loss", "HEAD")
    with pytest.raises(GenreproError, match="choose loss or accuracy"):
        cells.best("luck")
