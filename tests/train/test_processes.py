"""Claims about several processes: they make the steps of one (gloo on the CPU, two processes, torchrun)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.builders import ROOT

# A script and no test module: torchrun starts it in every process.
SCRIPT = """
import json, sys
from genrepro.exact.numerics import pin
pin()
from pathlib import Path
import torch
from support.builders import make_params, make_toy
from genrepro.base import devices
from genrepro.models.shared import checkpoint
from genrepro.train import fit
folder, model, batch_size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
torch.manual_seed(3)
toy = make_toy(folder / str(devices.rank()))
sections = {
    "lstm": {"hidden": 8, "num_layers": 1, "dropout": 0.0},
    "ast": {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 32, "patch_size": 4,
            "stride": 4, "dropout": 0.0},
}
recipe = {"epochs": 5, "batch_size": batch_size, "lr": 0.003, "ema": 0.9, "mixup": 0.3, "clip_norm": 1.0}
config = make_params(model=model, train=recipe, **{model: sections[model]})
description = checkpoint.describe(
    model=model, section=config.architecture(), features=toy.features.description, split_sha256="-")
fitted, _ = fit.run(toy.features, toy.split, config, description,
                         unfinished=folder / "unfinished.safetensors")
if devices.rank() == 0:
    curves = [[e.train_loss, e.train_accuracy, e.validation_loss] for e in fitted.curves]
    (folder / "curves.json").write_text(json.dumps(curves))
"""


def curves(folder: Path, model: str, *, processes: int, batch_size: int) -> Any:
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    for rank in range(processes):
        (folder / str(rank)).mkdir()
    command = [sys.executable, str(folder / "script.py")]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command[1:1] = launcher
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))}
    done = subprocess.run(
        [*command, str(folder), model, str(batch_size)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "curves.json").read_text())


# 12 tracks: batches of 6, and of 3, where one process has two segments and the other one.
@pytest.mark.parametrize(("model", "batch_size"), [("lstm", 6), ("ast", 3)])
def test_two_processes_reach_the_validation_loss_of_one_on_the_same_batches(
    model: str, batch_size: int, tmp_path: Path
) -> None:
    one = curves(tmp_path / "one", model, processes=1, batch_size=batch_size)
    two = curves(tmp_path / "two", model, processes=2, batch_size=batch_size)
    for mine, theirs in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, abs=1e-5)
    assert one[0] != one[-1]


def test_batches_too_small_for_the_processes_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"train\.batch_size = 1 is too small for 2 processes"):
        curves(tmp_path / "two", "lstm", processes=2, batch_size=1)
