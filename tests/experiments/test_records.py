"""Claims about `genrepro experiment collect`: which runs of DVC become records, and which are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from support.measured import ENTRIES, SPLIT, Project, invoke, make_project
from support.runs import content, table

from genrepro.compare import revisions
from genrepro.evaluate import intervals
from genrepro.experiments import folds, hits, records


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


def test_collecting_twice_changes_nothing(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    first = records.path("songs").read_bytes()
    assert invoke("collect") == "1 runs recorded\n"
    assert records.path("songs").read_bytes() == first


def test_a_new_seed_joins_the_recorded_ones(project: Project) -> None:
    project.ran("songs", seed=1, num_correct=60)
    invoke("collect")
    project.commit()
    project.git("update-ref", "-d", project.git("for-each-ref", "--format=%(refname)", "refs/exps"))
    project.ran("songs", seed=0, num_correct=66)
    invoke("collect")
    assert [run["seed"] for run in json.loads(records.path("songs").read_text())["runs"]] == [0, 1]


def test_a_record_keeps_which_tracks_each_seed_got_right(project: Project) -> None:
    for seed, right in enumerate([[True] * 7 + [False] * 2, [False] * 4 + [True] * 3]):
        project.tested("songs", right, seed=seed, per_group=2)
    invoke("collect")
    lines = hits.path("songs").read_text().splitlines()
    assert lines[0] == "track_id,group,s0,s1"
    assert lines[1] == "t0000,artist 0,1,0" and lines[-1] == "t0008,artist 4,0,"  # which seed 1 did not test
    found = hits.read("songs", records.load(records.path("songs")).runs)
    assert [int(of.sum()) for of in found.values()] == [7, 3]


def test_hits_of_recorded_seeds_stay_when_another_joins(project: Project) -> None:
    project.tested("songs", [True, False] * 5, seed=1)
    invoke("collect")
    project.commit()
    project.git("update-ref", "-d", project.git("for-each-ref", "--format=%(refname)", "refs/exps"))
    project.tested("songs", [True] * 10, seed=0)
    invoke("collect")
    assert hits.path("songs").read_text().splitlines()[2] == "t0001,artist 0,1,0"


def test_predictions_that_name_no_groups_are_not_kept(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=2, num_tracks=4, predictions=content(table([True, False] * 2)))
    assert invoke("collect") == "1 runs recorded\n"
    assert not hits.path("songs").exists()


def test_of_two_runs_of_one_name_that_of_this_commit_counts(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    first = project.git("rev-parse", "HEAD")
    project.commit()
    project.ran("songs", seed=0, num_correct=66)
    invoke("collect")
    assert project.row("songs")[5] == "0.667"
    project.git("reset", "--quiet", "--hard", first)
    invoke("collect")
    assert project.row("songs")[5] == "0.606"


@pytest.mark.parametrize(
    ("dotted", "value", "words"),
    [("train.epochs", 3, "train.epochs = 3, now 2"), ("cnn.channels", [4], "cnn.channels = [4], now [16,")],
)
def test_a_run_with_other_parameters_is_not_recorded(
    project: Project, dotted: str, value: Any, words: str
) -> None:
    project.ran("songs", seed=0, num_correct=60, overrides={dotted: value})
    printed = invoke("collect")
    assert "0 runs recorded" in printed and "songs-s0 (" in printed and words in printed
    assert not records.path("songs").exists()


def test_where_the_data_lay_and_other_models_sections_do_not_matter(project: Project) -> None:
    elsewhere = {"source": "there", "mel.png_per_genre": "all", "lstm.hidden": 4, "head.width": 4}
    project.ran("songs", seed=0, num_correct=60, overrides=elsewhere)
    assert invoke("collect") == "1 runs recorded\n"


def test_a_run_of_another_seed_under_this_ones_name_is_not_recorded(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60, overrides={"seed": 5})
    assert "it ran with seed = 5" in invoke("collect")


def test_a_new_measurement_replaces_stale_ones(project: Project) -> None:
    for seed in (0, 1):
        project.ran("songs", seed=seed, num_correct=60)
    invoke("collect")
    project.set("train.batch_size", 8)
    project.commit()
    project.ran("songs", seed=1, num_correct=66)
    printed = invoke("collect")
    assert "1 runs recorded" in printed and "train.batch_size = 16, now 8" in printed
    row = project.row("songs")
    assert row[5] == "0.667" and row[7] == "1 of 3 seeds"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracy": None}, "accuracy = None must be a finite number"),
        ({"leaky": "very"}, "leaky = 'very' must be a whole number"),
    ],
)
def test_an_experiment_without_its_figures_is_one_sentence(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    project.ran("songs", seed=0, num_correct=60, **changes)
    refused = invoke("collect").splitlines()[-1]
    assert refused.startswith("genrepro: songs-s0 (") and words in refused


def test_an_experiment_that_did_not_get_that_far_is_one_sentence(project: Project) -> None:
    head = project.git("rev-parse", "HEAD")
    project.set("train.epochs", 2)
    project.set("split.strategy", "random")
    project.experiment("songs-s0", baseline=head, commit=project.commit())
    assert "is not recorded: it has no models/model.json." in invoke("collect")


# ----------------------------------------------------------------------------------------------------
# Folds


def folded(project: Project, *, fold: int, right: list[bool], first: int = 0, **changes: Any) -> None:
    """A run of a fold that tests as many tracks as ``right`` has, from number ``first`` on."""
    names = [f"t{number:04}" for number in range(first, first + len(right))]
    rows = table(right, track_id=names)
    rows.insert(3, "group", [f"artist {int(name[1:]) // 4}" for name in names])
    project.ran("folded", seed=0, fold=fold, num_correct=sum(right), num_tracks=len(right),
                predictions=content(rows), **changes)  # fmt: skip


def test_folds_are_pooled_into_one_accuracy_over_all_tracks_with_their_groups(project: Project) -> None:
    right = [[True] * 9 + [False] * 3, [True] * 2 + [False] * 6]
    for fold, first in ((0, 0), (1, 12)):
        folded(project, fold=fold, right=right[fold], first=first, segment_accuracy=0.5 + fold / 4)
    printed = invoke("collect")
    assert "2 runs recorded\n  folded-s0: accuracy 0.550 [" in printed and "20 tracks of 5 groups" in printed
    (run,) = json.loads(records.path("folded").read_text())["runs"]
    assert (run["accuracy"], run["num_tracks"], run["num_groups"], run["num_test"]) == (0.55, 20, 5, 20)
    assert run["segment_accuracy"] == pytest.approx((12 * 0.5 + 8 * 0.75) / 20)
    assert [fold["accuracy"] for fold in run["folds"]] == [0.75, 0.25]
    pooled = revisions.read(str(folds.path("folded", 0)))
    assert list(pooled.track_ids) == [f"t{number:04}" for number in range(20)]
    assert list(pooled.correct) == right[0] + right[1]
    low, high = intervals.clustered(pooled.correct, np.arange(20) // 4)
    assert (run["accuracy_low"], run["accuracy_high"]) == (low, high)
    assert project.row("folded")[2:] == [
        "0.550", f"{low:.3f}-{high:.3f}", "1 of 1 seeds", "20 tracks, 5 artists",
        "`artist` in 2 folds 800 / 100 / 20", "1",
    ]  # fmt: skip


def test_a_seed_is_recorded_once_all_its_folds_have_run(project: Project) -> None:
    folded(project, fold=1, right=[True] * 8)
    printed = invoke("collect")
    assert "0 runs recorded" in printed
    assert "folded-s0 is not recorded: of its 2 folds these have not run here: 0." in printed
    assert not records.path("folded").exists()


def test_folds_of_different_dealings_are_not_pooled(project: Project) -> None:
    for fold in (0, 1):
        folded(project, fold=fold, right=[True] * 8, first=7 * fold)
    assert "two of its folds test t0007, so they were dealt out differently." in invoke("collect")


def test_a_run_of_another_fold_under_this_ones_name_is_not_recorded(project: Project) -> None:
    folded(project, fold=0, right=[True] * 8, overrides={"split.fold": 1})
    assert "folded-s0-f0 (" in invoke("collect") and "it ran with split.fold = 1." in invoke("collect")


def test_one_hold_out_does_not_count_for_an_entry_that_has_folds_now(project: Project) -> None:
    project.ran("question", seed=0, num_correct=60)
    invoke("collect")
    record = json.loads(records.path("question").read_text())
    del record["params"]["split.folds"]  # it ran before folds existed
    records.path("question").unlink()
    records.path("folded").write_text(json.dumps(record))
    assert project.row("folded")[2] == "nothing"  # in the list of what has not run


# ----------------------------------------------------------------------------------------------------
# Sweeps

AXIS = {"first": 0.1, "last": 0.3, "step": 0.1}
WINNER = {
    "lr": 0.2,
    "weight_decay": 0.1,
    "seed": 0,
    "epoch": 4,
    "validation_loss": 0.5,
    "validation_accuracy": 0.75,
    "test_loss": 0.75,
    "test_accuracy": 0.625,
    "test_accuracy_low": 0.5,
    "test_accuracy_high": 0.7,
    "selection_optimism": 0.125,
}
SWEPT = {
    "num_cells": 9,
    "num_diverged": 0,
    "num_tracks": 99,
    "leaky": 1,
    "by_loss": WINNER,
    "by_accuracy": WINNER | {"test_accuracy": 0.5},
    "split_sha256": "s",
    "features_sha256": "f",
}


def chosen(**right: list[bool]) -> str:
    """A table of predictions by several classifiers, two tracks of each artist."""
    number = len(next(iter(right.values())))
    rows = {
        "track_id": [f"t{one}" for one in range(number)],
        "genre": ["rock"] * number,
        "group": [f"artist {one // 2}" for one in range(number)],
    }
    columns = {name: np.where(of, "rock", "jazz") for name, of in right.items()}
    return pd.DataFrame(rows | columns).to_csv(index=False)


def swept(
    project: Project, *, lr: dict[str, float], select: str = "validation_loss", choices: str | None = None
) -> None:
    """A repository whose one experiment is a sweep, and a run of it with the rates ``lr``."""
    entry = ENTRIES["pictures"] | {"sweep": {"lr": AXIS, "weight_decay": AXIS}}
    entry["overrides"] = entry["overrides"] | {"train.select": select}
    YAML().dump({"recipes": {}, "experiments": {"pictures": entry}}, project.path / "experiments.yaml")
    (project.path / "docs" / "RESULTS.template.md").write_text(
        "<!-- sweeps: mine -->\n\n<!-- runs: mine -->\n\n<!-- front -->\n\n<!-- open -->\n"
    )
    (project.path / "docs" / "results" / "details.template.md").unlink()
    (project.path / "sweeps").mkdir()
    values = {"lr": lr, "weight_decay": AXIS, "seed": [0], "report": "none"}
    YAML().dump({"sweep": values}, project.path / "sweeps" / "params.yaml")
    head = project.commit()
    for key, value in entry["overrides"].items():
        project.set(key, value)
    project.metric("sweep", SWEPT)
    project.write(content(table([True, False] * 4, group=["artist"] * 8)))  # of an earlier run
    if choices is not None:
        (project.path / "metrics" / "sweep").mkdir()
        (project.path / "metrics" / "sweep" / "predictions.csv").write_text(choices)
    project.metric("split", SPLIT)
    project.experiment("pictures-s0", baseline=head, commit=project.commit())
    project.git("reset", "--quiet", "--hard", head)


@pytest.mark.parametrize(
    ("select", "accuracy"), [("validation_loss", "0.625"), ("validation_accuracy", "0.500")]
)
def test_a_sweep_is_recorded_with_its_winner_and_what_choosing_cost(
    project: Project, select: str, accuracy: str
) -> None:
    swept(project, lr=AXIS, select=select)
    assert "1 runs recorded" in invoke("collect")
    row = next(row for row in project.table() if row[0] == "`pictures`")
    assert row[5:9] == ["0", "rate 0.2, decay 0.1, epoch 4, of 9", "0.750", accuracy]
    assert row[9:] == ["99", "+0.125", "`artist` 800 / 100 / 99", "1"]
    assert project.row("pictures-s0")[0] == accuracy


@pytest.mark.parametrize(("select", "share"), [("validation_loss", 0.625), ("validation_accuracy", 0.5)])
def test_hits_of_a_sweep_are_its_winners_and_not_those_of_an_earlier_run(
    project: Project, select: str, share: float
) -> None:
    right = {"by_loss": [True] * 5 + [False] * 3, "by_accuracy": [False] * 4 + [True] * 4}
    swept(project, lr=AXIS, select=select, choices=chosen(**right))
    invoke("collect")
    found = hits.read("pictures", records.load(records.path("pictures")).runs)
    assert found[0].tolist() == right["by_loss" if select == "validation_loss" else "by_accuracy"]
    assert found[0].mean() == share


def test_a_sweep_over_another_grid_is_not_recorded(project: Project) -> None:
    swept(project, lr=AXIS | {"last": 0.2})
    said = invoke("collect")
    assert "0 runs recorded" in said and "train.lr = [0.1, 0.2], now [0.1, 0.2, 0.3]" in said
    row = next(row for row in project.table() if row[0] == "`pictures`")
    assert row[3].startswith("gtzan_images, ")  # in the list of what has not run


# ----------------------------------------------------------------------------------------------------
# Probes

PROBED = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "layer": 3}
SUMMARY = {"num_tracks": 4, "num_groups": 2, "leaky": 0, "split_sha256": "s", "embeddings_sha256": "e"}


def test_hits_of_a_probe_are_its_classifiers_and_shares_of_draws(project: Project) -> None:
    entry = ENTRIES["question"] | {"probe": ["logistic", "few_shot"]}
    YAML().dump({"recipes": {}, "experiments": {"question": entry}}, project.path / "experiments.yaml")
    (project.path / "metrics" / "probe").mkdir(parents=True)
    head = project.commit()
    project.metric("probe", SUMMARY | {"logistic": PROBED, "few_shot": PROBED | {"accuracy": 0.375}})
    project.metric("split", SPLIT)
    project.write(content(table([True, False] * 4, group=["artist"] * 8)))  # of an earlier run
    draws = {"few_shot_0": [True, True, False, False], "few_shot_1": [True, False, False, False]}
    project.set("seed", 0)
    choices = chosen(logistic=[True, False, False, True], **draws)
    (project.path / "metrics" / "probe" / "predictions.csv").write_text(choices)
    project.experiment("question-s0", baseline=head, commit=project.commit())
    project.git("reset", "--quiet", "--hard", head)
    invoke("collect")
    assert hits.path("question-logistic").read_text().splitlines()[1:3] == ["t0,artist 0,1", "t1,artist 0,0"]
    runs = records.load(records.path("question-few-shot")).runs
    assert hits.read("question-few-shot", runs)[0].tolist() == [1.0, 0.5, 0.0, 0.0]


def test_a_record_knows_the_start_and_is_stale_if_that_has_other_weights(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ENTRIES["question"] | {"overrides": {"train.epochs": 3}, "start": "question"}
    monkeypatch.setitem(ENTRIES, "begun", begun)
    path = project.path / "experiments.yaml"
    file = YAML(typ="safe").load(path)
    YAML().dump(file | {"experiments": ENTRIES}, path)
    project.commit()

    def start(weights: str) -> None:
        project.ran("question", seed=0, num_correct=50, weights=weights)

    def begin(start_sha256: str) -> None:
        overrides = begun["overrides"] | {"train.start": "question-s0"}
        project.ran("begun", seed=0, num_correct=60, overrides=overrides, data={"start_sha256": start_sha256})

    begin("one")
    assert "DVC has no run of question-s0 here, with which it began" in invoke("collect", "begun")
    start("other")
    assert "question-s0, with which it began, has run anew since" in invoke("collect", "begun")
    start("one")
    assert invoke("collect") == "2 runs recorded\n"
    assert project.row("begun")[0] == "what if"
    record = records.load(records.path("begun"))
    assert record.params["train.start"] == "question" and record.params["question: train.epochs"] == 100
    assert record.runs[0].start_sha256 == "one"

    project.commit()
    start("two")
    invoke("collect", "question")
    assert project.row("begun")[-1] == "nothing; its record had another question to begin with"
    file["experiments"] = ENTRIES | {"question": ENTRIES["question"] | {"overrides": {"train.epochs": 9}}}
    YAML().dump(file, path)
    assert project.row("begun")[-1].endswith("its record had question: train.epochs = 100, now 9")
