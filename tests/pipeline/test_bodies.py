"""Claims about a published body in DVC: it is run once, and everything after it runs without audio."""

import shutil

import pytest
from support import bodies
from support.project import Project

pytestmark = pytest.mark.pipeline
EMBED = "Running stage 'bodies/dvc.yaml:embed'"


def test_a_body_is_run_once_whatever_layer_or_split_is_chosen(reproduced: Project) -> None:
    project = reproduced
    bodies.write(project.path / "body", "wav2vec2")
    default = (project.path / "data" / "synthetic" / "embeddings.parquet").stat().st_size
    assert default < 2000  # an empty table: no other model pays for bodies
    project.set(
        model="pretrained",
        pretrained={"weights": "body", "segment": 2.0, "layer": 1, "pooling": "mean_std"},
        head={"kind": "linear"},
        segments={"plan": "grid"},
    )
    first = project.run("dvc", "repro").stdout
    assert EMBED in first
    assert project.json("test")["num_tracks"] > 0

    kept = project.path / "data" / "synthetic" / "embeddings.parquet"
    before = kept.stat().st_mtime_ns
    project.set(pretrained={"layer": "weighted"}, seed=3, split={"strategy": "random"})
    second = project.run("dvc", "repro", "features").stdout  # the stages after it run below
    assert EMBED not in second and "Running stage 'features'" in second
    assert kept.stat().st_mtime_ns == before

    # A bare GPU node has neither audio nor the body: only the table.
    for name in ("raw", "mel.parquet"):
        path = project.path / "data" / "synthetic" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(project.path / "body")
    project.stages("features", "train", "evaluate", "probe")
    probed = project.json("probe")
    assert 0 <= probed["logistic"]["accuracy"] <= 1
    assert probed["logistic"]["layer"] in (0, 1, 2, "mean", "all")
