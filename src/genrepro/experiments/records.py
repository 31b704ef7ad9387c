"""Record the results of named experiments: one small JSON file each in metrics/experiments/, in git.

`hits` keeps beside it which test tracks were right.

DVC keeps an experiment as a commit of this clone only, and `collection` reads the results there. The record
keeps the parameters of its runs, so that a result is never shown for an entry, or for defaults in
params.yaml, that have changed since.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrepro.base.errors import GenreproError
from genrepro.base.sections import build
from genrepro.experiments import entries
from genrepro.experiments.definitions import Experiment

FOLDER = Path("metrics", "experiments")


@dataclass(frozen=True, kw_only=True, slots=True)
class Winner:
    """The cell of a sweep that validation chose, by the quantity in the experiment's ``train.select``."""

    lr: float
    weight_decay: float
    validation_loss: float
    validation_accuracy: float
    selection_optimism: float
    """Validation minus test accuracy."""
    num_cells: int
    """Number of cells that it was chosen from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """One fold's figures, as `Run` has them."""

    accuracy: float
    num_tracks: int
    best_epoch: int
    num_train: int
    num_validation: int
    split_sha256: str
    features_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The results of one seed, from metrics/test.json, train.json and split.json, and the data's hashes.

    The results of a sweep are those of its winner, from metrics/sweep.json. The results of folds are those of
    the pooled predictions: the kept epoch and the sizes of train and validation are then means over the
    folds, and the hashes are the hash of the folds' hashes.
    """

    seed: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    segment_accuracy: float | None
    """None for a sweep."""
    num_tracks: int
    leaky: int
    best_epoch: int
    num_train: int
    num_validation: int
    num_test: int
    split_sha256: str
    features_sha256: str
    winner: Winner | None = None
    """For a sweep only."""
    num_groups: int | None = None
    """Groups of test tracks. None for runs from before groups were counted."""
    layer: str | None = None
    """The layer of a body that validation chose. For a probe only; its ``best_epoch`` is 0."""
    folds: tuple[Fold, ...] = ()
    """In their order. Empty for one hold-out."""
    num_parameters: int | None = None
    """Of the model. None for a sweep, and for runs from before it was recorded."""
    fit_seconds: int | None = None
    """Time of one training, as the MLflow store of the machine has it. None if the store does not know it."""
    weights_sha256: str | None = None
    """Hash of the model. None for what is not one model, and for runs from before it was recorded."""
    start_sha256: str | None = None
    """Hash of the model that it began with. None if it began with none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One experiment's runs."""

    params: dict[str, Any]
    """The parameters of the runs, as from `entries.recipe`."""
    runs: tuple[Run, ...]
    """Sorted by seed."""


def path(name: str) -> Path:
    """The path of an experiment's record."""
    return FOLDER / f"{name}.json"


def read(known: Mapping[str, Experiment]) -> dict[str, Record]:
    """All records by experiment. GenreproError if one is broken or has no experiment."""
    found = {}
    for file in sorted(FOLDER.glob("*.json")):
        if file.stem not in known:
            raise GenreproError(
                f"{file} is of no experiment in {entries.PATH}: remove it or restore the entry."
            )
        found[file.stem] = load(file)
    return found


def changes(ran_with: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """The parameters that have changed since an experiment's runs: ``train.lr = 0.1, now 0.2``.

    Only parameters that both have are compared. A parameter that is newer than the runs had no other value.
    """
    return [
        f"{key} = {_plain(ran_with[key])}, now {_plain(value)}"
        for key, value in entries.wanted(experiment).items()
        if key in ran_with and ran_with[key] != value
    ]


def fresh(experiment: Experiment, found: Mapping[str, Record]) -> list[Run]:
    """The recorded runs of an experiment's seeds. None of them if they had other parameters.

    A run is left out if the run that it began with is recorded with other weights now.
    """
    record = found.get(experiment.name)
    if record is None or changes(record.params, experiment):
        return []
    num_folds = experiment.params.split.folds
    return [
        run
        for run in record.runs
        if run.seed in experiment.seeds and len(run.folds) == num_folds and _begun(run, experiment, found)
    ]


def _begun(run: Run, experiment: Experiment, found: Mapping[str, Record]) -> bool:
    """Whether a run began with the model that is recorded now, as far as that is known."""
    if experiment.start is None or experiment.start.name not in found:
        return True
    starts = {start.seed: start.weights_sha256 for start in found[experiment.start.name].runs}
    return starts.get(experiment.start_seed(run.seed)) in (None, run.start_sha256)


def load(file: Path) -> Record:
    try:
        values = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise GenreproError(f"{file} is not JSON: take it from git again.") from error
    if not isinstance(values, dict) or not isinstance(values.get("runs"), list):
        raise GenreproError(f"{file} is not a record of an experiment: take it from git again.")
    runs = tuple(build(Run, run, name=str(file), prefix="runs.") for run in values["runs"])
    record: Record = build(Record, {**values, "runs": []}, name=str(file), prefix="")
    return dataclasses.replace(record, runs=runs)


def _plain(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value
