"""Claims about several processes: they make the steps of one (gloo on the CPU, two processes, torchrun)."""

import json
from pathlib import Path
from typing import Any

import pytest
from support import processes

# Code and no test module: torchrun starts it in every process. Starting is what takes time, so one launch
# trains all: 12 tracks in batches of 6, of 3, where one process has two segments and the other one, and of 1.
SCRIPT = """
import json, sys
from genrepro.exact.numerics import pin
pin()
from pathlib import Path
import torch
from support.builders import make_params, make_toy
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.models.shared import checkpoint
from genrepro.train import fit
folder = Path(sys.argv[1])
torch.set_num_threads(1)
(folder / str(devices.rank())).mkdir()
toy = make_toy(folder / str(devices.rank()))
sections = {
    "lstm": {"hidden": 8, "num_layers": 1, "dropout": 0.0},
    "ast": {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "intermediate_size": 32, "patch_size": 4,
            "stride": 4, "dropout": 0.0},
}
found = {}
for model, batch_size in [("lstm", 6), ("ast", 3), ("lstm", 1)]:
    torch.manual_seed(3)
    recipe = {"epochs": 5, "batch_size": batch_size, "lr": 0.003, "ema": 0.9, "mixup": 0.3, "clip_norm": 1.0}
    config = make_params(model=model, train=recipe, **{model: sections[model]})
    description = checkpoint.describe(
        model=model, section=config.architecture(), features=toy.features.description, split_sha256="-")
    try:
        fitted, _ = fit.run(toy.features, toy.split, config, description,
                            unfinished=folder / "unfinished.safetensors")
        curves = [[e.train_loss, e.train_accuracy, e.validation_loss] for e in fitted.curves]
    except GenreproError as error:
        curves = str(error)
    found[f"{model} {batch_size}"] = curves
if devices.rank() == 0:
    (folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def two(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found, by model and batch size: the curves, or the sentence that refused it."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENREPRO_WORKERS", "1")
        patch.setenv("GENREPRO_ACCELERATOR", "cpu")
        processes.in_two(SCRIPT, folder, python=warm / "python")
    return json.loads((folder / "found.json").read_text())


def test_two_processes_reach_the_validation_loss_of_one_on_the_same_batches(
    two: dict[str, Any], warm: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    processes.in_one(SCRIPT, tmp_path, python=warm / "python")
    one = json.loads((tmp_path / "found.json").read_text())
    for case in ("lstm 6", "ast 3"):
        with subtests.test(case=case):
            for mine, theirs in zip(one[case], two[case], strict=True):
                assert theirs == pytest.approx(mine, abs=1e-5)
            assert one[case][0] != one[case][-1]


def test_batches_too_small_for_the_processes_are_named(two: dict[str, Any]) -> None:
    assert "train.batch_size = 1 is too small for 2 processes" in two["lstm 1"]
