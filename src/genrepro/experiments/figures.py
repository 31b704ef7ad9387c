"""Draw docs/figures/, the pictures of docs/RESULTS.md.

A family is a set of experiments that differ in `split.train_share` only. Its figure needs records, which are
in git. In a group of which one family has a start, each model has a figure of its own: with pretraining and
without. Learning curves need the runs, which DVC keeps as commits of one clone.
"""

import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.compare import revisions
from genrepro.experiments import collection, entries
from genrepro.experiments.definitions import Experiment
from genrepro.experiments.measured import Measured, measure
from genrepro.experiments.records import Record
from genrepro.figures import plotting, seeds
from genrepro.figures.plotting import save
from genrepro.figures.seeds import Point

_SHARE = "split.train_share"
_LEAST = 3  # shares, since two points are not a curve
_CURVES = "metrics/curves.csv"


def write(
    known: Mapping[str, Experiment], recorded: Mapping[str, Record], *, folder: Path
) -> tuple[list[Path], str]:
    """Draw every ``samples-<dataset>-<strategy>.png``, ``pretraining-<model>-<dataset>-<strategy>.png`` and
    ``curves-<experiment>.png`` that has data.

    Returns
    -------
    written : list of Path
    missing : str
        A sentence on what could not be drawn. Empty if all was drawn.
    """
    written, short = _samples(known, recorded, folder)
    drawn, without, refused = _learning_curves(known, folder)
    missing = []
    if short:
        missing.append(f"accuracy by samples of {', '.join(short)}, with fewer than {_LEAST} recorded shares")
    if without:
        missing.append(f"curves of {without} experiments, of which DVC has no run in this clone")
    if refused:
        missing.append(f"{refused} runs, which have other parameters than their entry or no sound {_CURVES}")
    return written + drawn, f"not drawn: {'; '.join(missing)}." if missing else ""


def families(known: Mapping[str, Experiment]) -> dict[str, list[Experiment]]:
    """Experiments on shares of one training set, and on all of it, by the common part of their names."""
    found: dict[str, list[Experiment]] = defaultdict(list)
    whole: dict[str, list[Experiment]] = {}
    for experiment in known.values():
        recipe = str(entries.recipe(experiment.params) | {_SHARE: 1.0})
        if experiment.params.split.train_share < 1:
            found[recipe].append(experiment)
        else:
            whole.setdefault(recipe, [experiment])
    return {
        members[0].name.rpartition("-")[0]: members + whole.get(recipe, [])
        for recipe, members in found.items()
    }


def _samples(
    known: Mapping[str, Experiment], recorded: Mapping[str, Record], folder: Path
) -> tuple[list[Path], list[str]]:
    """Draw the figures for each data set and split. Returns paths, and families with too few shares."""
    lines: dict[tuple[str, str, str], dict[str, list[Point]]] = defaultdict(dict)
    leaky, short, pretrained = set(), [], set()
    found = families(known)
    groups = {members[0].group for members in found.values() if members[0].start}
    for name, members in found.items():
        shares = list(measure({of.name: of for of in members}, recorded).values())
        params, start = members[0].params, members[0].start
        kind = f"pretraining-{params.model}" if members[0].group in groups else "samples"
        place: tuple[str, str, str] = (kind, params.dataset, params.split.strategy)
        if len(shares) < _LEAST:
            short.append(name)
            continue
        label = f"{params.model}: {name}"
        if kind != "samples":
            label = f"with {start.params.dataset} pretraining" if start else "from scratch"
            pretrained |= {place} if start else set()
        lines[place][label] = [_point(share) for share in shares]
        leaky |= {place for share in shares for run in share.runs if run.leaky}
    written = []
    for place, points in lines.items():
        kind, dataset, strategy = place
        if kind != "samples" and place not in pretrained:
            continue
        about = f"{dataset}, split {strategy}{', which leaks' if place in leaky else ''}."
        written.append(folder / f"{kind}-{dataset}-{strategy}.png".replace("_", "-"))
        save(seeds.accuracy_by_samples(points, about=about), written[-1], dpi=plotting.DPI)
    return written, short


def _learning_curves(known: Mapping[str, Experiment], folder: Path) -> tuple[list[Path], int, int]:
    """Draw each experiment that has runs. Returns paths, how many have none, and how many runs are unfit."""
    written, without, refused = [], 0, 0
    for experiment in known.values():
        commits = list(collection.commits(experiment))
        without += not commits
        runs = []
        for seed, fold, commit in commits:
            try:
                runs.append(_curves(commit, experiment, seed, fold))
            except GenreproError:
                refused += 1
        if runs:
            config = experiment.params
            about = f"{experiment.name}: {config.model} on {config.dataset}, split {config.split.strategy}."
            written.append(folder / f"curves-{experiment.name}.png")
            save(seeds.learning_curves(runs, about=about), written[-1], dpi=plotting.DPI)
    return written, without, refused


def _point(of: Measured) -> Point:
    return Point(
        num_train=tuple(run.num_train for run in of.runs),
        accuracy=tuple(run.accuracy for run in of.runs),
        num_tracks=of.num_tracks[0],
        interval=of.interval,
    )


def _curves(commit: str, experiment: Experiment, seed: int, fold: int | None) -> pd.DataFrame:
    """The curves of one of DVC's runs. GenreproError if it is not this experiment's, or has none."""
    collection.check(commit, experiment, seed, fold)
    try:
        table = pd.read_csv(io.BytesIO(revisions.content(commit, _CURVES) or b""), dtype="float64")
        return table[seeds.COLUMNS].astype(float).astype({"epoch": int})
    except (ValueError, KeyError) as error:  # pandas's own errors are of the first kind
        raise GenreproError(f"has no sound {_CURVES}.") from error
