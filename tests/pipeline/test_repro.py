"""Claims about the whole pipeline, each shown with DVC itself on a small copy of the project."""

import csv
import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.processes import kill
from support.project import Project, stages_run

from genrepro.base import tables

pytestmark = pytest.mark.pipeline
STAGES = ["download", "catalog", "render", "audit", "split", "features", "train", "evaluate"]


def test_all_eight_stages_run_and_then_there_is_nothing_to_do(reproduced: Project) -> None:
    lock = (reproduced.path / "dvc.lock").read_bytes()
    again = reproduced.run("dvc", "repro")
    assert stages_run(again.stdout) == []
    assert (reproduced.path / "dvc.lock").read_bytes() == lock
    assert reproduced.run("git", "status", "--porcelain").stdout == ""


def test_the_tables_hold_the_contract_columns(finished: Project) -> None:
    data = finished.path / "data" / "synthetic"
    for name, contract in (("catalog", tables.CATALOG), ("mel", tables.MEL), ("audit", tables.AUDIT)):
        assert pq.read_schema(data / f"{name}.parquet").names == contract.names
    with (data / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["track_id", "split", "reason"]
    assert [row["track_id"] for row in rows] == sorted(row["track_id"] for row in rows)
    assert b"\r" not in (data / "split.csv").read_bytes()


def test_the_metrics_hold_the_contract_keys(finished: Project) -> None:
    assert list(finished.json("test")) == [
        "accuracy", "accuracy_low", "accuracy_high", "segment_accuracy", "macro_f1", "log_loss",
        "calibration_error", "num_tracks", "num_groups", "leaky",
    ]  # fmt: skip
    assert list(finished.json("split")) == [
        "num_train", "num_validation", "num_test", "num_excluded", "shared_artists", "shared_duplicates",
        "shared_tracks", "unknown_artist_share", "leaky", "worst_deviation",
    ]  # fmt: skip
    assert list(finished.json("train")) == [
        "best_epoch", "train_loss", "validation_loss", "validation_accuracy", "num_parameters",
        "num_trainable_parameters",
    ]  # fmt: skip


def test_every_planted_fault_is_found(finished: Project) -> None:
    with (finished.path / "data" / "synthetic" / "raw" / "tracks.csv").open(newline="") as file:
        planted = {row["track_id"]: row["planted"] for row in csv.DictReader(file) if row["planted"]}
    audit = {
        row["track_id"]: row
        for row in pq.read_table(finished.path / "data" / "synthetic" / "audit.parquet").to_pylist()
    }
    expected = {"undecodable": "undecodable", "truncated": "short", "silent": "silent"}
    for track_id, fault in planted.items():
        kind = fault.split()[0]
        if kind in expected:
            assert expected[kind] in audit[track_id]["reasons"], fault
            assert audit[track_id]["excluded"] == expected[kind]
        elif kind in ("exact_duplicate", "mislabelled_duplicate"):
            assert audit[track_id]["duplicate_group"] is not None, fault
    counts = finished.json("audit")
    assert counts["num_contradicting_label"] == 2
    assert counts["num_excluded"] == 3


def test_predictions_pair_one_row_with_each_test_track(finished: Project) -> None:
    with (finished.path / "data" / "synthetic" / "split.csv").open(newline="") as file:
        test = [row["track_id"] for row in csv.DictReader(file) if row["split"] == "test"]
    with (finished.path / "metrics" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track_id"] for row in rows] == test
    genres = list(rows[0])[4:]  # after track_id, genre, predicted and group
    assert genres == sorted(genres) and len(genres) == 10
    for row in rows:
        assert sum(float(row[genre]) for genre in genres) == pytest.approx(1, abs=0.001)
        assert all(len(row[genre].split(".")[1]) == 4 for genre in genres)


def test_a_split_that_leaks_says_so_in_the_test_metrics(reproduced: Project) -> None:
    reproduced.set(split={"strategy": "segment"})
    reproduced.stages("split", "features", "train", "evaluate")
    assert reproduced.json("test")["leaky"] == reproduced.json("split")["leaky"] == 1
    assert reproduced.json("split")["shared_artists"] > 0 and reproduced.json("split")["shared_tracks"] > 0


def test_moving_the_mel_parameters_moves_no_track(reproduced: Project) -> None:
    before = (reproduced.path / "data" / "synthetic" / "split.csv").read_bytes()
    reproduced.set(mel={"n_mels": 16})
    reproduced.stages("render", "audit", "split")
    assert (reproduced.path / "data" / "synthetic" / "split.csv").read_bytes() == before


# Two new processes, not ten: each loads the libraries for seconds.
ALL_OF = "import sys, stages; from stages import {0}\nfor stage in ({0}): sys.argv = ['stage']; stage.main()"


def test_hash_seed_workers_and_folder_change_no_byte(finished: Project, tmp_path: Path) -> None:
    elsewhere = finished.clone(
        tmp_path / "another" / "place with spaces", PYTHONHASHSEED="12345", GENREPRO_WORKERS="2"
    )
    for names in ("source, download, catalog, render, audit, split", "embed, features, train, evaluate"):
        elsewhere.run("python", "-c", ALL_OF.format(names))
    # DVC compares all outputs with the hashes of the first run, in its cache.
    (elsewhere.path / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {finished.path}/.dvc/cache\n")
    changed = json.loads(elsewhere.run("dvc", "status", "--json").stdout)
    assert "source/dvc.yaml:source" in changed  # always
    assert not changed.keys() & {*STAGES, "bodies/dvc.yaml:embed"}
    assert elsewhere.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.parametrize("stage, output", [("render", "data/synthetic/mel.parquet"), ("train", "models")])
def test_a_killed_stage_leaves_nothing_that_a_later_stage_accepts(
    reproduced: Project, stage: str, output: str
) -> None:
    """SIGKILL once the stage writes or fits: no output under its own name, and a clean second run."""
    lock = (reproduced.path / "dvc.lock").read_bytes()
    for name in ("data/synthetic/mel.parquet", "models/model.safetensors", "models/model.json"):
        if name.startswith(output):
            (reproduced.path / name).unlink()
    if stage == "train":
        reproduced.set(train={"epochs": 500})
    process = reproduced.start(stage)
    partial = {"render": "data/synthetic/mel.parquet.partial", "train": "models/unfinished.safetensors"}
    begun = (reproduced.path / partial[stage]).exists
    deadline = time.monotonic() + 120
    while not begun() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "the stage was over before it could be killed"
    kill(process)
    if stage == "render":
        assert not (reproduced.path / output).exists()
        assert reproduced.stage("audit").returncode == 1
    else:
        assert not list((reproduced.path / output).glob("model*"))
        refused = reproduced.stage("evaluate")
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        reproduced.set(train={"epochs": 2})
    reproduced.run("dvc", "repro")
    assert (reproduced.path / "dvc.lock").read_bytes() == lock


def test_the_trained_model_predicts_a_file_as_evaluate_did(finished: Project) -> None:
    with (finished.path / "metrics" / "predictions.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    genre, name = row["track_id"].split(".")[0], f"{row['track_id']}.wav"
    path = finished.path / "data" / "synthetic" / "raw" / genre / name
    done = finished.run("genrepro", "predict", "--format", "jsonl", str(path), "nothing.wav", check=False)
    assert done.returncode == 1
    assert "nothing.wav does not exist" in done.stderr
    probabilities = json.loads(done.stdout)["probabilities"]
    for genre, value in probabilities.items():
        assert value == pytest.approx(float(row[genre]), abs=2e-4)
