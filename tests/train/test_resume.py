"""Claims about a killed training: it goes on to the same bytes, and another one begins anew."""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.builders import ROOT, Toy, make_params
from support.processes import kill

from genrepro.base.params import Params
from genrepro.models.shared import checkpoint
from genrepro.train import fit, loop, resume

CNN = {"channels": (4, 8), "dropout": 0.3, "statistics": 8}
LSTM = {"hidden": 8, "num_layers": 2, "dropout": 0.3}
RECIPE = {"epochs": 6, "batch_size": 5, "lr": 0.01, "ema": 0.9, "mixup": 0.3}


class KilledError(Exception):
    pass


def make_config(model: str = "cnn", **recipe: Any) -> Params:
    return make_params(model=model, cnn=CNN, lstm=LSTM, train={**RECIPE, **recipe})


def train(toy: Toy, config: Params, unfinished: Path | None, *, killed_after: int = 0) -> loop.Fit:
    """As the stage does; killed between two epochs."""
    torch.manual_seed(3)
    description = checkpoint.describe(
        model=config.model, section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    seen: list[int] = []

    def on_epoch(epoch: fit.Epoch) -> None:
        seen.append(epoch.epoch)
        if killed_after and epoch.epoch > killed_after:
            raise KilledError

    fitted, _ = fit.run(
        toy.features, toy.split, config, description, on_epoch=on_epoch, unfinished=unfinished
    )
    assert seen == [epoch.epoch for epoch in fitted.curves]
    return fitted


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)


@pytest.mark.parametrize(("model", "ema"), [("cnn", 0.9), ("lstm", 0.0)])
def test_a_killed_training_ends_with_the_bytes_of_an_undisturbed_one(
    model: str, ema: float, toy: Toy, tmp_path: Path
) -> None:
    config, unfinished = make_config(model, ema=ema), tmp_path / "unfinished.safetensors"
    whole = train(toy, config, None)
    for killed_after in (2, 4):
        with pytest.raises(KilledError):
            train(toy, config, unfinished, killed_after=killed_after)
        assert unfinished.is_file()
    resumed = train(toy, config, unfinished)
    assert resumed.curves == whole.curves
    assert {name: value.numpy().tobytes() for name, value in resumed.state.items()} == {
        name: value.numpy().tobytes() for name, value in whole.state.items()
    }
    assert not unfinished.exists()


def test_what_is_done_is_not_done_again(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, unfinished = make_config(), tmp_path / "unfinished.safetensors"
    with pytest.raises(KilledError):
        train(toy, config, unfinished, killed_after=5)
    steps: list[int] = []
    monkeypatch.setattr(loop, "augment", lambda segments, **_: steps.append(len(segments)) or segments)
    train(toy, config, unfinished)
    assert len(steps) == 3  # the one epoch that was missing


@pytest.mark.parametrize("change", [{"lr": 0.02}, {"epochs": 7}])
def test_another_recipe_begins_anew(change: dict[str, Any], toy: Toy, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished.safetensors"
    with pytest.raises(KilledError):
        train(toy, make_config(), unfinished, killed_after=3)
    assert (
        train(toy, make_config(**change), unfinished).curves == train(toy, make_config(**change), None).curves
    )


def test_a_file_of_something_else_is_no_obstacle(toy: Toy, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished.safetensors"
    unfinished.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00 not json at all")
    assert train(toy, make_config(), unfinished).curves == train(toy, make_config(), None).curves


def test_the_state_is_not_written_after_every_short_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 3600.0)
    kept = resume.Resume(tmp_path / "a.safetensors", {"a": 1})
    kept.keep(lambda: {"a": torch.zeros(1)}, {})
    assert not kept.path.exists()


def test_a_state_that_takes_long_to_write_is_written_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(resume, "time", clock)
    monkeypatch.setattr(resume, "SHARE", 0.1)
    kept = resume.Resume(tmp_path / "a.safetensors", {})
    written = []

    def state() -> dict[str, torch.Tensor]:
        written.append(clock.now)
        clock.now += 4.0  # of 40 seconds a tenth
        return {"a": torch.zeros(1)}

    while clock.now < 100.0:
        kept.keep(state, {})
        clock.now += 1.0
    assert written == [0.0, 44.0, 88.0]


def test_a_state_belongs_to_its_identity(tmp_path: Path) -> None:
    one = resume.Resume(tmp_path / "a.safetensors", {"seed": 1})
    one.keep(lambda: {"a": torch.arange(3)}, {"epochs": 2})
    tensors, values = resume.Resume(tmp_path / "a.safetensors", {"seed": 1}).load() or ({}, {})
    assert tensors["a"].tolist() == [0, 1, 2] and values == {"epochs": 2}
    assert resume.Resume(tmp_path / "a.safetensors", {"seed": 2}).load() is None


def test_a_training_stops_when_nothing_gets_better(toy: Toy) -> None:
    patient = train(toy, make_config(select="validation_loss", patience=2, epochs=40, lr=0.2, ema=0.0), None)
    position = [epoch.epoch for epoch in patient.curves].index(patient.best.epoch)
    assert len(patient.curves) == position + 3 < 40
    losses = [epoch.validation_loss for epoch in patient.curves]
    assert int(np.argmin(losses)) == position


SCRIPT = """
import sys
from genrepro.exact.numerics import pin
pin()
from pathlib import Path
import torch
from support.builders import make_toy
from genrepro.train import resume
import test_resume
resume.INTERVAL, resume.SHARE = 0.0, 1e9
folder = Path(sys.argv[1])
torch.set_num_threads(1)
toy = make_toy(folder)
config = test_resume.make_config(epochs=int(sys.argv[2]))
fitted = test_resume.train(toy, config, folder / "unfinished.safetensors")
from genrepro.models.shared import checkpoint
checkpoint.save(folder, fitted.state, {})
"""


def test_a_process_killed_at_any_moment_ends_with_the_same_bytes(tmp_path: Path, warm: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", Path(__file__).parent))),
    }

    def start(folder: Path) -> subprocess.Popen:
        folder.mkdir(exist_ok=True)
        command = [warm / "python", "-c", SCRIPT, str(folder), "30"]
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE)

    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    whole = start(undisturbed)  # beside the other, which waits for nothing
    process = start(disturbed)
    while not (disturbed / "unfinished.safetensors").exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    kill(process)
    assert (disturbed / "unfinished.safetensors").exists() and not (disturbed / "model.safetensors").exists()
    assert start(disturbed).wait(timeout=300) == whole.wait(timeout=300) == 0
    assert (disturbed / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()


def test_an_edit_of_any_package_makes_a_killed_training_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    before = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or before(path))
    resume.digest({})
    packages = {path.relative_to(ROOT / "src" / "genrepro").parts[0] for path in read}
    assert {"models", "train", "sweep", "features", "exact"} <= packages
