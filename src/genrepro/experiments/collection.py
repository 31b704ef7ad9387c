"""From DVC's experiments of this clone to records: figures are taken only from runs of the asked parameters.

Of an experiment with folds a seed is recorded once all its folds have run here. Their predictions are pooled
(`folds`), and the seed's accuracy is that of the pool.
"""

import dataclasses
import hashlib
import itertools
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from genrepro.base import sections
from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing, rounded, write_json
from genrepro.base.params import Params
from genrepro.base.sections import build
from genrepro.compare import revisions
from genrepro.evaluate.intervals import clustered
from genrepro.experiments import entries, folds, hits, records
from genrepro.experiments.definitions import Experiment
from genrepro.experiments.records import Fold, Record, Run, changes
from genrepro.sweep import grid
from genrepro.sweep.grid import Grid
from genrepro.tracking import fit_seconds

_TEST = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "segment_accuracy",
    "num_tracks",
    "num_groups",
    "leaky",
)
_SPLIT = ("num_train", "num_validation", "num_test")
_HASHES = ("split_sha256", "features_sha256")


def collect(chosen: Iterable[Experiment]) -> tuple[list[str], list[str]]:
    """Bring the records of experiments up to date with what DVC has of them in this clone.

    Seeds of which DVC has nothing keep their figures, unless these were measured with other parameters than
    the new ones.

    Returns
    -------
    taken : list of str
        Names of the runs that were recorded or found recorded.
    refused : list of str
        A sentence for each run that was not.
    """
    taken, refused = [], []
    listed = revisions.listed()
    for experiment in chosen:
        found: dict[int, Run] = {}
        right: dict[int, pd.Series | None] = {}
        parts: dict[int, dict[int | None, tuple[Run, str]]] = {}
        for seed, fold, commit in commits(experiment, among=listed):
            name = experiment.run_name(seed, fold)
            try:
                run = _run(commit, experiment, seed, fold)
            except GenreproError as error:
                refused.append(f"{name} ({commit[:8]}) {error}")
                continue
            parts.setdefault(seed, {})[fold] = run, commit
        for seed, by_fold in parts.items():
            try:
                if None in by_fold:
                    found[seed], commit = by_fold[None]
                    right[seed] = _hits(commit, experiment, seed)
                else:
                    found[seed], predictions = _pooled(experiment, seed, by_fold)
                    right[seed] = hits.of(revisions.parse(predictions, name=experiment.run_name(seed)))
                taken += [experiment.run_name(seed, fold) for fold in by_fold]
            except GenreproError as error:
                refused.append(f"{experiment.run_name(seed)} {error}")
        if found:
            kept = [run for run in records.fresh(experiment, _recorded(experiment)) if run.seed not in found]
            right |= hits.read(experiment.name, kept)
            found |= {run.seed: run for run in kept}
            runs = [dataclasses.asdict(found[seed]) for seed in sorted(found)]
            write_json(records.path(experiment.name), {"params": entries.wanted(experiment), "runs": runs})
            hits.write(experiment.name, {seed: of for seed, of in right.items() if of is not None})
    return taken, refused


def commits(
    experiment: Experiment, *, among: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[tuple[int, int | None, str]]:
    """Seed, fold and commit of each of its runs that DVC has in this clone; fold is None of one hold-out.

    ``among`` is what `revisions.listed` has found.
    """
    among = revisions.listed() if among is None else among
    for seed, fold in itertools.product(experiment.seeds, experiment.folds):
        commit = revisions.experiment(experiment.run_name(seed, fold), among=among)
        if commit is not None:
            yield seed, fold, commit


def check(commit: str, experiment: Experiment, seed: int, fold: int | None = None) -> Params:
    """The parameters that DVC's commit ran with.

    Raises
    ------
    GenreproError
        The rest of a sentence, if that is no run of this experiment, seed and fold.
    """
    content = revisions.content(commit, "params.yaml")
    if content is None:
        raise GenreproError("is not recorded: it has no params.yaml.")
    ran: Params = build(
        Params, sections.parse(content, name="its params.yaml"), name="its params.yaml", prefix=""
    )
    if ran.seed != seed:
        raise GenreproError(f"is not recorded: it ran with seed = {ran.seed}.")
    if fold is not None and ran.split.fold != fold:
        raise GenreproError(f"is not recorded: it ran with split.fold = {ran.split.fold}.")
    swept = _grid(commit) if experiment.sweep is not None else None
    had = entries.recipe(ran, swept)
    if experiment.start is not None and ran.train.start == experiment.start_name(seed):
        had["train.start"] = experiment.start.name
    if different := changes(had, experiment):
        raise GenreproError(f"is not recorded: it ran with {'; '.join(different)} in {entries.PATH}.")
    if experiment.start is not None:
        _check_start(commit, experiment, seed)
    return ran


def _check_start(commit: str, experiment: Experiment, seed: int) -> None:
    """Raise GenreproError, the rest of a sentence, if a run did not begin as its entry says."""
    assert experiment.start is not None
    name = experiment.start_name(seed)
    start = revisions.experiment(name)
    if start is None:
        raise GenreproError(f"is not recorded: DVC has no run of {name} here, with which it began.")
    try:
        check(start, experiment.start, experiment.start_seed(seed))
    except GenreproError as error:
        reason = str(error).removeprefix("is not recorded: ")
        raise GenreproError(
            f"is not recorded: {name}, with which it began, does not count: {reason}"
        ) from error
    begun = _json(commit, "models/model.json").get("data", {}).get("start_sha256")
    if begun != _json(start, "models/model.json").get("weights_sha256"):
        raise GenreproError(f"is not recorded: {name}, with which it began, has run anew since.")


def _recorded(experiment: Experiment) -> dict[str, Record]:
    """What is recorded of an experiment and of that with which it begins."""
    names = [of.name for of in (experiment, experiment.start) if of is not None]
    return {name: records.load(records.path(name)) for name in names if records.path(name).exists()}


def _run(commit: str, experiment: Experiment, seed: int, fold: int | None) -> Run:
    """The results in DVC's commit. GenreproError, the rest of a sentence, if it is not this experiment's."""
    ran = check(commit, experiment, seed, fold)
    split = _json(commit, "metrics/split.json")
    if experiment.probe is not None:
        found = _probed(commit, experiment.probe)
    else:
        found = _swept(commit, by=_winner(ran)) if experiment.sweep else _trained(commit)
    values = {
        "seed": seed,
        **found,
        **{key: split.get(key) for key in _SPLIT},
    }
    return build(Run, values, name="is not recorded", prefix="")


def _pooled(
    experiment: Experiment, seed: int, parts: Mapping[int | None, tuple[Run, str]]
) -> tuple[Run, bytes]:
    """The run of one seed over all its folds, and its predictions, also written to a file."""
    missing = [str(fold) for fold in experiment.folds if fold not in parts]
    if missing:
        raise GenreproError(
            f"is not recorded: of its {len(experiment.folds)} folds these have not run here: "
            f"{', '.join(missing)}."
        )
    runs, commits = zip(*(parts[fold] for fold in experiment.folds), strict=True)
    name = experiment.run_name(seed)
    content = folds.pool(
        [revisions.content(commit, revisions.PREDICTIONS) or b"" for commit in commits], name=name
    )
    pooled = revisions.parse(content, name=name)
    assert pooled.group is not None
    low, high = clustered(pooled.correct, pooled.group, confidence=experiment.params.evaluate.confidence)
    with replacing(folds.path(experiment.name, seed)) as partial:
        partial.write_bytes(content)
    short = [(run.segment_accuracy, run.num_tracks) for run in runs if run.segment_accuracy is not None]
    times = [run.fit_seconds for run in runs if run.fit_seconds is not None]
    run = Run(
        seed=seed,
        accuracy=rounded(pooled.correct.mean()),
        accuracy_low=low,
        accuracy_high=high,
        segment_accuracy=rounded(statistics.fmean(*zip(*short, strict=True))),
        num_tracks=len(pooled.label),
        num_groups=len(set(pooled.group)),
        leaky=max(run.leaky for run in runs),
        best_epoch=round(statistics.fmean(run.best_epoch for run in runs)),
        num_train=round(statistics.fmean(run.num_train for run in runs)),
        num_validation=round(statistics.fmean(run.num_validation for run in runs)),
        num_test=len(pooled.label),
        split_sha256=_joined(run.split_sha256 for run in runs),
        features_sha256=_joined(run.features_sha256 for run in runs),
        start_sha256=runs[0].start_sha256,
        folds=tuple(
            Fold(**{field.name: getattr(run, field.name) for field in dataclasses.fields(Fold)})
            for run in runs
        ),
        num_parameters=runs[0].num_parameters,
        fit_seconds=round(statistics.fmean(times)) if times else None,
    )
    return run, content


def _hits(commit: str, experiment: Experiment, seed: int) -> pd.Series | None:
    """Which test tracks a run got right. None if its commit does not say."""
    if experiment.probe is not None or experiment.sweep is not None:
        # Its predictions.csv is that of another run: the last one that was evaluated before it.
        stage, column = (
            ("probe", experiment.probe) if experiment.probe else ("sweep", _winner(experiment.params))
        )
        content = revisions.content(commit, f"metrics/{stage}/predictions.csv")
        return None if content is None else hits.of_columns(content, str(column))
    content = revisions.content(commit, revisions.PREDICTIONS)
    return None if content is None else hits.of(revisions.parse(content, name=experiment.run_name(seed)))


def _winner(ran: Params) -> str:
    """Which of a sweep's two winners counts."""
    return "by_loss" if ran.train.select == "validation_loss" else "by_accuracy"


def _joined(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _trained(commit: str) -> dict[str, Any]:
    train = _json(commit, "metrics/train.json")
    test = _json(commit, "metrics/test.json")
    model = _json(commit, "models/model.json")
    data = model.get("data", {})
    return {
        **{key: test.get(key) for key in _TEST},
        "best_epoch": train.get("best_epoch"),
        **{key: data.get(key) for key in _HASHES},
        "num_parameters": train.get("num_parameters"),
        "fit_seconds": fit_seconds(model.get("weights_sha256", "")),
        "weights_sha256": model.get("weights_sha256"),
        "start_sha256": data.get("start_sha256"),
    }


def _swept(commit: str, *, by: str) -> dict[str, Any]:
    summary = _json(commit, "metrics/sweep.json")
    best = summary.get(by, {})
    winner = {key: best.get(key) for key in ("lr", "weight_decay", "validation_loss", "validation_accuracy")}
    return {
        **{key: best.get(f"test_{key}") for key in ("accuracy", "accuracy_low", "accuracy_high")},
        "segment_accuracy": None,
        **{key: summary.get(key) for key in ("num_tracks", "num_groups", "leaky")},
        "best_epoch": best.get("epoch"),
        "winner": winner
        | {"selection_optimism": best.get("selection_optimism"), "num_cells": summary.get("num_cells")},
        **{key: summary.get(key) for key in _HASHES},
    }


def _probed(commit: str, kind: str) -> dict[str, Any]:
    summary = _json(commit, "metrics/probe.json")
    found = summary.get(kind, {})
    return {
        **{key: found.get(key) for key in ("accuracy", "accuracy_low", "accuracy_high")},
        "segment_accuracy": None,
        **{key: summary.get(key) for key in ("num_tracks", "num_groups", "leaky", "split_sha256")},
        "features_sha256": summary.get("embeddings_sha256"),
        "best_epoch": 0,
        "layer": str(found.get("layer")),
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
