"""A colleague's clone: what DVC brings there, and no command of DVC's trips over a sweep that never ran."""

import subprocess
from pathlib import Path

import pytest
from support import bodies
from support.project import Project

pytestmark = pytest.mark.pipeline


def quiet(done: subprocess.CompletedProcess[str]) -> None:
    """The command warned of nothing; it has ended with 0."""
    said = done.stdout + done.stderr
    assert not any(word in said for word in ("WARNING", "ERROR", "failed", "No file hash info")), said


def test_every_command_of_dvc_works_in_a_clone_where_no_sweep_has_run(
    reproduced: Project, tmp_path: Path
) -> None:
    reproduced.run("git", "init", "--quiet", "--bare", "--initial-branch", "main", str(tmp_path / "hub.git"))
    reproduced.run("git", "remote", "add", "hub", str(tmp_path / "hub.git"))
    reproduced.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    reproduced.commit()
    reproduced.run("git", "push", "--quiet", "hub", "main")
    quiet(reproduced.run("dvc", "push"))
    clone = reproduced.clone(tmp_path / "clone")
    clone.run("dvc", "pull", "--allow-missing")  # audio is never pushed: DVC warns of it, and of nothing else
    assert (clone.path / "models" / "model.safetensors").is_file()
    # With the audio made anew, or read from its source, nothing is missing, and nothing is warned of.
    quiet(clone.run("dvc", "repro", "download"))
    quiet(clone.run("dvc", "checkout"))
    quiet(clone.run("dvc", "pull"))
    quiet(clone.run("dvc", "plots", "show"))
    quiet(clone.run("dvc", "exp", "run", "--name", "here", "-S", "evaluate.confidence=0.9"))
    clone.run("git", "checkout", "--quiet", ".")
    # A queued run is a temporary clone once more, and a relative path of this one means the same there.
    bodies.write(clone.path / "pretrained" / "body", "wav2vec2")
    overrides = ["model=pretrained", "pretrained.weights=pretrained/body", "pretrained.segment=2.0"]
    overrides += ["head.kind=linear", "segments.plan=grid", "train.epochs=1"]
    settings = [argument for override in overrides for argument in ("-S", override)]
    quiet(clone.run("dvc", "exp", "run", "--queue", "--name", "later", *settings))
    clone.run_queue("later")
    quiet(clone.run("dvc", "exp", "apply", "later"))
    assert "weights: pretrained/body" in (clone.path / "params.yaml").read_text()
    quiet(clone.run("dvc", "exp", "push", str(tmp_path / "hub.git"), "here", "later"))
    assert clone.run("git", "ls-remote", str(tmp_path / "hub.git")).stdout.count("refs/exps/") == 2
