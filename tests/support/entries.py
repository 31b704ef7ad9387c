"""An entry as experiments.yaml holds it, a whole file of such, and what the loader makes of them."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from genrepro.experiments import entries as experiments
from genrepro.experiments.definitions import Experiment
from support.builders import ROOT

SONGS: dict[str, Any] = {
    "group": "mine",
    "title": "two epochs",
    "source": "nobody",
    "recipes": ["quick"],
    "overrides": {"train.lr": 0.5},
    "seeds": [0, 3],
    "published": {"accuracy": 0.75, "num_correct": 3, "num_tracks": 4},
}
FILE: dict[str, Any] = {
    "recipes": {"quick": {"train.epochs": 2, "train.lr": 0.1}, "pictures": {"dataset": "gtzan_images"}},
    "experiments": {"songs": SONGS},
}


@cache
def committed() -> dict[str, Experiment]:
    """The experiments of the project."""
    return experiments.load(ROOT / "experiments.yaml", ROOT / "params.yaml")


def load(path: Path, **entries: Any) -> dict[str, Experiment]:
    """Entries, by default `SONGS` alone, as a file's experiments."""
    YAML().dump({**FILE, "experiments": entries or FILE["experiments"]}, path / "experiments.yaml")
    return experiments.load(path / "experiments.yaml", ROOT / "params.yaml")


def songs(**changes: Any) -> dict[str, Any]:
    """`SONGS` with other keys; None leaves one out."""
    changed = copy.deepcopy(SONGS) | changes
    return {key: value for key, value in changed.items() if value is not None}
