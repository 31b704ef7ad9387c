"""A training that begins with another experiment's model: by name, at once and through DVC's queue."""

import hashlib
import json
import shutil

import pytest
from ruamel.yaml import YAML
from support.project import Project

pytestmark = pytest.mark.pipeline
TUNED = ("--set-param", "train.start=first-s0", "--set-param", "train.lr=0.003")


def entry(**changes: object) -> dict[str, object]:
    return {"group": "mine", "title": "songs", "source": "me", "recipes": [], "seeds": [0], **changes}


def experiment(project: Project, *arguments: str) -> None:
    """`genrepro experiment` of the project's own code."""
    project.run("env", "PYTHONPATH=src", "python", "-m", "genrepro", "experiment", *arguments)


def kept(project: Project, name: str) -> dict:
    """models/model.json of an experiment."""
    return json.loads(project.run("git", "show", f"{reference(project, name)}:models/model.json").stdout)


def reference(project: Project, name: str) -> str:
    listed = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    (found,) = (ref for ref in listed if ref.endswith(f"/{name}"))
    return found


def test_an_experiment_begins_with_another_by_name(reproduced: Project) -> None:
    project, place = reproduced, reproduced.path / "starts"
    entries = {"first": entry(), "second": entry(start="first", overrides={"train.lr": 0.002})}
    YAML().dump({"recipes": {}, "experiments": entries}, project.path / "experiments.yaml")
    project.commit()
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()  # its model is the one of a run of `first`
    project.run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/first-s0", head)
    first = kept(project, "first-s0")

    experiment(project, "run", "second")  # in a temporary clone
    assert kept(project, "second-s0")["data"]["start_sha256"] == first["weights_sha256"]
    brought = [path.name for path in place.iterdir()]
    assert len(brought) == 1 and brought[0].startswith("first-s0-")
    assert not project.run("git", "status", "--short").stdout

    # Through the queue: what it begins with neither runs nor is brought again.
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", *TUNED)
    project.run_queue("queued")
    queued = kept(project, "queued")
    assert queued["data"]["start_sha256"] == first["weights_sha256"] != queued["weights_sha256"]
    assert [path.name for path in place.iterdir()] == brought

    # The same name is another model now, in the workspace: nothing old is used.
    project.run("git", "update-ref", reference(project, "first-s0"), reference(project, "queued"))
    project.set(train={"start": "first-s0"})
    listing = project.path / "models" / "start.json"
    assert project.stage("source").returncode == 0
    assert json.loads(listing.read_text())["weights_sha256"] == queued["weights_sha256"]
    (new,) = (path for path in place.iterdir() if path.name not in brought)
    weights = (new / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == queued["weights_sha256"]

    shutil.rmtree(place)
    shutil.rmtree(project.path / ".dvc" / "cache")
    (said,) = project.stage("source").stderr.splitlines()
    assert said.startswith(
        "genrepro: train.start = 'first-s0' is an experiment, but its models/model.safetens"
    )
    assert not list(place.iterdir())
