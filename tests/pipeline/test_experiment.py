"""A named experiment, run by DVC for real: at once and through the queue, recorded, and shown on the page.

The runs take most of a minute, so one set of them stands behind all claims.
"""

import json
import shutil
from dataclasses import dataclass

import pandas as pd
import pytest
from ruamel.yaml import YAML
from support.project import ROOT, TRACKED, Project, stages_run

pytestmark = pytest.mark.pipeline
NAME = "synthetic-cnn-stratified"
PLANTED = 0.123456


def experiment(project: Project, *arguments: str) -> str:
    """What `genrepro experiment` of the project's own code prints."""
    done = project.run("env", "PYTHONPATH=src", "python", "-m", "genrepro", "experiment", *arguments)
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Ran:
    """A checkout in which seed 0 has run at once, and seeds 1 and 2 side by side from DVC's queue.

    Seed 1 was queued while a planted number stood in the code of evaluate.
    """

    project: Project
    at_once: str
    """What the run at once printed."""
    changed: str
    """What git calls changed after it."""
    queued_again: str
    """What is said where seed 1 is queued a second time."""

    def test(self, seed: int) -> dict:
        """metrics/test.json of a run, as DVC keeps it."""
        listed = self.project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
        (reference,) = (name for name in listed if name.endswith(f"/{NAME}-s{seed}"))
        return json.loads(self.project.run("git", "show", f"{reference}:metrics/test.json").stdout)


@pytest.fixture(scope="module")
def ran(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    project = finished.copy(tmp_path_factory.mktemp("experiment") / "genrepro", **TRACKED)
    at_once = experiment(project, "run", NAME, "--seed", "0", "-S", "lstm.hidden=8")
    changed = project.run("git", "status", "--porcelain").stdout

    module = project.path / "src" / "genrepro" / "evaluate" / "scores.py"
    honest = module.read_text()
    line = '"segment_accuracy": rounded(segment_accuracy),'
    assert line in honest
    module.write_text(honest.replace(line, f'"segment_accuracy": {PLANTED},'))
    experiment(project, "run", NAME, "--seed", "1", "--queue")
    module.write_text(honest)
    experiment(project, "run", NAME, "--seed", "2", "--queue")
    queued_again = experiment(project, "run", NAME, "--seed", "1", "--queue")
    project.run_queue(f"{NAME}-s1", f"{NAME}-s2", jobs=2)
    return Ran(project, at_once, changed, queued_again)


def test_a_run_at_once_runs_what_its_parameters_change_and_elsewhere(ran: Ran) -> None:
    assert stages_run(ran.at_once) == ["split", "features", "train", "evaluate"]
    assert ran.changed == ""


def test_what_is_in_the_queue_is_not_queued_again(ran: Ran) -> None:
    assert f"{NAME}-s1 is in DVC's queue" in ran.queued_again


def test_queued_runs_have_the_code_of_their_own_clones(ran: Ran) -> None:
    """Another genrepro is installed in the environment; one of the two has a planted difference."""
    assert ran.test(1)["segment_accuracy"] == PLANTED
    assert ran.test(2)["segment_accuracy"] != PLANTED


def test_all_runs_reach_the_users_mlflow_store(ran: Ran) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{ran.project.path / 'mlflow.db'}")
    found = client.get_experiment_by_name("genrepro")
    assert found is not None
    runs = {run.data.tags["dvc_experiment"]: run for run in client.search_runs([found.experiment_id])}
    assert set(runs) == {f"{NAME}-s{seed}" for seed in (0, 1, 2)}
    for seed in (1, 2):  # from the queue, side by side
        run = runs[f"{NAME}-s{seed}"]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["test.segment_accuracy"] == pytest.approx(ran.test(seed)["segment_accuracy"])
        assert len(client.get_metric_history(run.info.run_id, "validation_loss")) == 2
        assert {"features_sha256", "split_sha256", "model_sha256"} <= set(run.data.tags)
        drawn = {entry.path for entry in client.list_artifacts(run.info.run_id, "figures")}
        assert drawn == {"figures/learning_curves.png", "figures/confusion_matrix.png"}


def test_runs_are_recorded_with_the_figures_that_dvc_keeps_and_stand_on_the_page(ran: Ran) -> None:
    project = ran.project
    assert experiment(project, "collect") == "3 runs recorded\n"
    record = json.loads((project.path / "metrics" / "experiments" / f"{NAME}.json").read_text())
    assert record["params"]["split.strategy"] == "stratified"
    for run in record["runs"]:
        test = ran.test(run["seed"])
        for key in ("accuracy", "accuracy_low", "accuracy_high", "num_tracks", "leaky"):
            assert run[key] == test[key]
        # The time is that of the MLflow store, the parameters are the model's.
        assert run["fit_seconds"] >= 0 and run["num_parameters"] > 0
    assert len({run["split_sha256"] for run in record["runs"]}) == 3
    right = pd.read_csv(project.path / "metrics" / "experiments" / f"{NAME}.csv")
    assert list(right) == ["track_id", "group", "s0", "s1", "s2"]
    assert [right[f"s{run['seed']}"].mean() for run in record["runs"]] == pytest.approx(
        [run["accuracy"] for run in record["runs"]], abs=1e-6
    )

    shutil.copytree(ROOT / "docs", project.path / "docs", ignore=lambda _, names: [
        name for name in names if name.endswith(".md") and not name.endswith(".template.md")])  # fmt: skip
    experiment(project, "table")
    page = (project.path / "docs" / "results" / "synthetic.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{NAME}` |"))
    assert "3 of 3 seeds" in row and ", drawn by seed | 1 |" in row
    assert f"{NAME}-s0 is in metrics/experiments" in experiment(project, "run", NAME, "--seed", "0")


def test_folds_test_every_track_once_and_are_pooled(reproduced: Project) -> None:
    path = reproduced.path / "experiments.yaml"
    values = YAML(typ="safe").load(path)
    # Sixty tracks are by two artists a genre, too few for artists' folds.
    overrides = {"train.epochs": 1, "split.strategy": "stratified"}
    overrides |= {"split.train": 0.4, "split.validation": 0.4}
    values["experiments"] = {
        "folded": {"group": "mine", "title": "by folds", "source": "a test", "recipes": [],
                   "overrides": overrides, "folds": 2, "seeds": [0]}
    }  # fmt: skip
    values["questions"] = []
    YAML().dump(values, path)
    reproduced.commit()
    printed = experiment(reproduced, "run", "folded")
    assert stages_run(printed) == ["split", "features", "train", "evaluate"] * 2
    assert "2 runs recorded" in experiment(reproduced, "collect")
    (run,) = json.loads((reproduced.path / "metrics" / "experiments" / "folded.json").read_text())["runs"]
    pooled = pd.read_csv(reproduced.path / "metrics" / "experiments" / "folded-s0.csv", dtype="str")
    split = pd.read_csv(reproduced.path / "data" / "synthetic" / "split.csv")
    usable = split.loc[split["split"] != "excluded", "track_id"]
    assert list(pooled["track_id"]) == sorted(usable) and run["num_tracks"] == len(usable)
    assert run["accuracy"] == pytest.approx((pooled["genre"] == pooled["predicted"]).mean(), abs=1e-6)
    assert run["num_groups"] == pooled["group"].nunique() < len(usable)
    assert sum(fold["num_tracks"] for fold in run["folds"]) == len(usable)
    assert len({fold["split_sha256"] for fold in run["folds"]}) == 2
    assert "folded-s0-f1 is in metrics/experiments" in experiment(reproduced, "run", "folded")
