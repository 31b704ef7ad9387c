"""A named experiment, run by DVC for real: at once and through the queue, recorded, and shown on the page."""

import json
import shutil
from collections.abc import Callable

import pytest
from support.project import ROOT, Project, stages_run

pytestmark = pytest.mark.pipeline
NAME = "synthetic-cnn-stratified"


def experiment(project: Project, *arguments: str) -> str:
    """What `genrepro experiment` of the project's own code prints."""
    done = project.run("env", "PYTHONPATH=src", "python", "-m", "genrepro", "experiment", *arguments)
    return done.stdout + done.stderr


def test_a_named_experiment_runs_is_recorded_and_stands_on_the_page(
    reproduced: Project, wait_for_queue: Callable[[Project], None]
) -> None:
    printed = experiment(reproduced, "run", NAME, "--seed", "0", "-S", "lstm.hidden=8")
    assert stages_run(printed) == ["split", "features", "train", "evaluate"]
    assert reproduced.run("git", "status", "--porcelain").stdout == ""  # it ran elsewhere

    experiment(reproduced, "run", NAME, "--seed", "1", "--queue")
    assert f"{NAME}-s1 is in DVC's queue" in experiment(reproduced, "run", NAME, "--seed", "1", "--queue")
    experiment(reproduced, "run", NAME, "--seed", "2", "--queue", "-S", "train.epochs=1")
    reproduced.run("dvc", "queue", "start", "--jobs", "1")
    wait_for_queue(reproduced)

    collected = reproduced.run(
        "env", "PYTHONPATH=src", "python", "-m", "genrepro", "experiment", "collect", check=False
    )
    assert (collected.returncode, collected.stdout) == (1, "2 runs recorded\n")
    assert f"{NAME}-s2 (" in collected.stderr and "train.epochs = 1, now 2" in collected.stderr
    record = json.loads((reproduced.path / "metrics" / "experiments" / f"{NAME}.json").read_text())
    assert record["params"]["split.strategy"] == "stratified"
    listed = reproduced.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    for run in record["runs"]:
        (reference,) = (name for name in listed if name.endswith(f"/{NAME}-s{run['seed']}"))
        test = json.loads(reproduced.run("git", "show", f"{reference}:metrics/test.json").stdout)
        for key in ("accuracy", "accuracy_low", "accuracy_high", "num_tracks", "leaky"):
            assert run[key] == test[key]
    assert record["runs"][0]["split_sha256"] != record["runs"][1]["split_sha256"]

    (reproduced.path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "RESULTS.template.md", reproduced.path / "docs")
    experiment(reproduced, "table")
    page = (reproduced.path / "docs" / "RESULTS.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{NAME}` |"))
    assert "2 of 3 seeds" in row and ", drawn by seed | 1 |" in row
    assert f"{NAME}-s0 is in metrics/experiments" in experiment(reproduced, "run", NAME, "--seed", "0")
