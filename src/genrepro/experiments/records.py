"""Record the results of named experiments: one small JSON file each in metrics/experiments/, in git.

DVC keeps an experiment as a commit of this clone only. `collect` reads the results there, if the experiment
ran with the parameters that experiments.yaml asks for. The record keeps these parameters, so that a result is
never shown for an entry, or for defaults in params.yaml, that have changed since.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrepro.base import sections
from genrepro.base.errors import GenreproError
from genrepro.base.files import write_json
from genrepro.base.params import Params
from genrepro.base.sections import build
from genrepro.compare import revisions
from genrepro.experiments import entries
from genrepro.experiments.entries import Experiment
from genrepro.sweep import grid
from genrepro.sweep.grid import Grid

FOLDER = Path("metrics", "experiments")
_TEST = ("accuracy", "accuracy_low", "accuracy_high", "segment_accuracy", "num_tracks", "leaky")
_SPLIT = ("num_train", "num_validation", "num_test")
_HASHES = ("split_sha256", "features_sha256")


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
class Run:
    """The results of one seed, from metrics/test.json, train.json and split.json, and the data's hashes.

    The results of a sweep are those of its winner, from metrics/sweep.json.
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
        found[file.stem] = _read(file)
    return found


def changes(ran_with: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """The parameters that have changed since an experiment's runs: ``train.lr = 0.1, now 0.2``.

    Only parameters that both have are compared. A parameter that is newer than the runs had no other value.
    """
    wanted = entries.recipe(experiment.params, experiment.sweep)
    return [
        f"{key} = {_plain(ran_with[key])}, now {_plain(value)}"
        for key, value in wanted.items()
        if key in ran_with and ran_with[key] != value
    ]


def fresh(experiment: Experiment, record: Record | None) -> list[Run]:
    """The recorded runs of an experiment's seeds. None of them if they had other parameters."""
    if record is None or changes(record.params, experiment):
        return []
    return [run for run in record.runs if run.seed in experiment.seeds]


def collect(chosen: Iterable[Experiment]) -> tuple[list[str], list[str]]:
    """Update the records of experiments with the runs that DVC has in this clone.

    Seeds without a run in DVC keep their recorded results, unless these have other parameters than the new
    ones.

    Returns
    -------
    taken : list of str
        Names of the runs that are recorded now.
    refused : list of str
        A sentence for each run that was not.
    """
    taken, refused = [], []
    for experiment in chosen:
        found: dict[int, Run] = {}
        for seed, commit in commits(experiment):
            name = experiment.run_name(seed)
            try:
                found[seed] = _run(commit, experiment, seed)
                taken.append(name)
            except GenreproError as error:
                refused.append(f"{name} ({commit[:8]}) {error}")
        if found:
            target = path(experiment.name)
            old = _read(target) if target.exists() else None
            found = {run.seed: run for run in fresh(experiment, old)} | found
            runs = [dataclasses.asdict(found[seed]) for seed in sorted(found)]
            recipe = entries.recipe(experiment.params, experiment.sweep)
            write_json(target, {"params": recipe, "runs": runs})
    return taken, refused


def commits(experiment: Experiment) -> Iterator[tuple[int, str]]:
    """Seed and commit of each run of an experiment that DVC has in this clone.

    Of several runs with one name, the one of the current commit counts, else the newest.
    """
    for seed in experiment.seeds:
        found = revisions.experiments(experiment.run_name(seed))
        if found:
            yield seed, found.get(revisions.head()) or next(iter(found.values()))


def check(commit: str, experiment: Experiment, seed: int) -> Params:
    """The parameters of DVC's commit, if it is a run of this experiment and seed.

    Raises
    ------
    GenreproError
        The rest of a sentence, if it is not.
    """
    content = revisions.content(commit, "params.yaml")
    if content is None:
        raise GenreproError("is not recorded: it has no params.yaml.")
    ran: Params = build(
        Params, sections.parse(content, name="its params.yaml"), name="its params.yaml", prefix=""
    )
    if ran.seed != seed:
        raise GenreproError(f"is not recorded: it ran with seed = {ran.seed}.")
    swept = _grid(commit) if experiment.sweep is not None else None
    if different := changes(entries.recipe(ran, swept), experiment):
        raise GenreproError(f"is not recorded: it ran with {'; '.join(different)} in {entries.PATH}.")
    return ran


def _read(file: Path) -> Record:
    try:
        values = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise GenreproError(f"{file} is not JSON: take it from git again.") from error
    if not isinstance(values, dict) or not isinstance(values.get("runs"), list):
        raise GenreproError(f"{file} is not a record of an experiment: take it from git again.")
    runs = tuple(build(Run, run, name=str(file), prefix="runs.") for run in values["runs"])
    record: Record = build(Record, {**values, "runs": []}, name=str(file), prefix="")
    return dataclasses.replace(record, runs=runs)


def _run(commit: str, experiment: Experiment, seed: int) -> Run:
    """The results in DVC's commit. GenreproError as from `check`."""
    ran = check(commit, experiment, seed)
    split = _json(commit, "metrics/split.json")
    values = {
        "seed": seed,
        **(_swept(commit, by=ran.train.select) if experiment.sweep else _trained(commit)),
        **{key: split.get(key) for key in _SPLIT},
    }
    return build(Run, values, name="is not recorded", prefix="")


def _trained(commit: str) -> dict[str, Any]:
    test = _json(commit, "metrics/test.json")
    train = _json(commit, "metrics/train.json")
    data = _json(commit, "models/model.json").get("data", {})
    return {
        **{key: test.get(key) for key in _TEST},
        "best_epoch": train.get("best_epoch"),
        **{key: data.get(key) for key in _HASHES},
    }


def _swept(commit: str, *, by: str) -> dict[str, Any]:
    summary = _json(commit, "metrics/sweep.json")
    best = summary.get("by_loss" if by == "validation_loss" else "by_accuracy", {})
    winner = {key: best.get(key) for key in ("lr", "weight_decay", "validation_loss", "validation_accuracy")}
    return {
        **{key: best.get(f"test_{key}") for key in ("accuracy", "accuracy_low", "accuracy_high")},
        "segment_accuracy": None,
        **{key: summary.get(key) for key in ("num_tracks", "leaky")},
        "best_epoch": best.get("epoch"),
        "winner": winner
        | {"selection_optimism": best.get("selection_optimism"), "num_cells": summary.get("num_cells")},
        **{key: summary.get(key) for key in _HASHES},
    }


def _grid(commit: str) -> Grid:
    name = grid.PATH.as_posix()
    content = revisions.content(commit, name)
    if content is None:
        raise GenreproError(f"is not recorded: it has no {name}.")
    return grid.parse(sections.parse(content, name=f"its {name}"), name=f"its {name}")


def _json(commit: str, name: str) -> dict[str, Any]:
    content = revisions.content(commit, name)
    try:
        values = json.loads(content) if content is not None else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise GenreproError(f"is not recorded: it has no {name}.")
    return values


def _plain(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value
