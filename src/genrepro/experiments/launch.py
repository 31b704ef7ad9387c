"""Run named experiments with `dvc exp run`, one run for each seed or fold, each in its own clone.

A run in the workspace would leave its parameters there for the next one. So runs are queued, or use
``--temp``. Every run would inherit changes of params.yaml since the last commit, so these are refused.
"""

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genrepro import datasets
from genrepro.base import sections
from genrepro.base.errors import GenreproError
from genrepro.compare import revisions
from genrepro.experiments import collection, entries, records
from genrepro.experiments.definitions import Experiment
from genrepro.experiments.records import Record
from genrepro.sweep import grid
from genrepro.sweep.grid import Grid

_UNDER_WAY = (1, 2)  # dvc.repo.experiments.executor.base.TaskStatus: preparing, running
_BARE = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)


def commands(
    chosen: Iterable[Experiment],
    *,
    queue: bool,
    seeds: Sequence[int] = (),
    extra: Sequence[str] = (),
    data: Path | None = None,
    again: bool = False,
) -> Iterator[tuple[str, list[str]]]:
    """The name and the arguments of every run, `dvc` first.

    Parameters
    ----------
    chosen : iterable of Experiment
    queue : bool
        Put into DVC's queue instead of run at once.
    seeds : sequence of int
        Only these seeds. All of them if empty.
    extra : sequence of str
        Further ``key=value``, as for ``-S``. They replace an experiment's own.
    data : Path, optional
        Folder with data sets under their names. The experiment's data set there becomes its ``source``.
    again : bool
        Run every stage, and replace a run of that name.

    Raises
    ------
    GenreproError
        If a data set is needed and not given, or if ``extra`` does not set parameters.
    """
    given = _extra(extra)
    named: set[str] = set()
    for experiment in chosen:
        overrides = {key: _text(value) for key, value in experiment.overrides.items()}
        source = _source(experiment, given, data)
        overrides |= {} if source is None else {"source": _text(source)}
        wanted = [seed for seed in experiment.seeds if not seeds or seed in seeds]
        for seed, fold in itertools.product(wanted, experiment.folds):
            settings = overrides | {"seed": str(seed)} | given
            settings |= {} if fold is None else {"split.fold": str(fold)}
            settings |= {} if experiment.start is None else {"train.start": experiment.start_name(seed)}
            name = experiment.run_name(seed, fold)
            command = ["dvc", "exp", "run", "--queue" if queue else "--temp", "--name", name]
            command += ["--force"] if again else []
            if name in named:  # several experiments are read from one run
                continue
            named.add(name)
            if experiment.probe is not None:
                command.append("bodies/dvc.yaml")
            if experiment.sweep is not None:
                command.append("sweeps/dvc.yaml")
                settings |= _of_sweep(experiment.sweep, seed)
            for key, value in settings.items():
                command += ["--set-param", f"{key}={value}"]
            yield name, command


def starts(
    chosen: Iterable[Experiment], *, queue: bool, seeds: Sequence[int] = (), data: Path | None = None
) -> dict[str, list[str]]:
    """The runs that must come before those of ``chosen``, which begin with their models, as `commands`.

    What has run already is left out, and is not run again.

    Raises
    ------
    GenreproError
        If one of them is queued or running now, has run with other parameters than its entry has, has not
        run while ``queue`` is set (DVC's queue keeps no order), or needs a data set that is not given.
    """
    found: dict[str, list[str]] = {}
    for experiment in chosen:
        start = experiment.start
        if start is None:
            continue
        for seed in dict.fromkeys(
            experiment.start_seed(seed) for seed in experiment.seeds if not seeds or seed in seeds
        ):
            name = start.run_name(seed)
            begins = f"{experiment.name} begins with {name}, which"
            if name in found or _has_run(start, seed, begins):
                continue
            if name in revisions.queued() or name in _running():
                raise GenreproError(f"{begins} is queued or running: run this when it has ended.")
            if queue:
                raise GenreproError(
                    f"{begins} has not run: run `{start.name}` before, or this without --queue."
                )
            found |= starts([start], queue=queue, seeds=[seed], data=data)
            found |= dict(commands([start], queue=queue, seeds=[seed], data=data))
    return found


def _has_run(experiment: Experiment, seed: int, begins: str) -> bool:
    """Whether DVC has a run, as the entry is now, to begin with."""
    name = experiment.run_name(seed)
    commit = revisions.experiment(name)
    if commit is None:
        return False
    try:
        collection.check(commit, experiment, seed)
    except GenreproError as error:
        if revisions.head() not in revisions.experiments(name):
            return False
        reason = str(error).removeprefix("is not recorded: ").rstrip(".")
        again = f"`genrepro experiment run {experiment.name} --again` replaces it"
        raise GenreproError(f"{begins} is another one here: {reason}; {again}.") from error
    return True


def _running() -> set[str]:
    """Names of the experiments that DVC runs now, at once or from its queue."""
    found = (json.loads(file.read_bytes()) for file in Path(".dvc/tmp/exps/run").glob("*/*.run"))
    return {of.get("name") for of in found if of.get("status") in _UNDER_WAY}


def run(command: Sequence[str]) -> bool:
    """Run one of `commands` with this environment's DVC. Returns whether it succeeded."""
    python = Path(sys.executable)
    # Stages run `python -m ...`, which must be this Python even if its environment is not activated.
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run([python, "-m", *command], env=os.environ | {"PATH": path}, check=False)
    return done.returncode == 0


def check_workspace() -> None:
    """Raise GenreproError if params.yaml has changed since the last commit."""
    committed = revisions.content("HEAD", "params.yaml") if revisions.head() else None
    if committed is None:
        raise GenreproError("params.yaml is in no commit here: run from the root of the git repository.")
    if sections.parse(committed, name="params.yaml") != sections.read(Path("params.yaml")):
        raise GenreproError(
            "params.yaml is not as committed, and every experiment would inherit that: commit it, or undo it "
            "with `git restore params.yaml`."
        )


def standing(chosen: Iterable[Experiment], found: Mapping[str, Record]) -> dict[str, str]:
    """The runs that exist already: their names, and where each one is, in words.

    Parameters
    ----------
    chosen : iterable of Experiment
    found : mapping
        Records of `records.read`. Those with other parameters than an experiment's do not count.
    """
    head, queued = revisions.head(), revisions.queued()
    there = {}
    for experiment in chosen:
        recorded = {run.seed for run in records.fresh(experiment, found)}
        for seed, fold in itertools.product(experiment.seeds, experiment.folds):
            name = experiment.run_name(seed, fold)
            if seed in recorded:
                there[name] = f"is in {records.path(experiment.name)}"
            elif head in revisions.experiments(name):
                there[name] = "has run; `genrepro experiment collect` records it"
            elif name in queued:
                there[name] = "is in DVC's queue"
    return there


def _of_sweep(wanted: Grid, seed: int) -> dict[str, str]:
    """The overrides of sweeps/params.yaml."""
    values = {**dataclasses.asdict(wanted), "seed": [seed]}
    return {
        f"{grid.PATH.as_posix()}:sweep.{key}": json.dumps(values[key]).replace('"', "")
        for key in ("lr", "weight_decay", "seed")
    }


def _extra(extra: Sequence[str]) -> dict[str, str]:
    values = sections.read(Path("params.yaml"))
    found = {}
    for item in extra:
        key, equals, value = item.partition("=")
        if not equals:
            raise GenreproError(f"{item!r} sets nothing: write key=value, as in -S train.lr=0.002.")
        try:
            entries.overridden(values, {key: value})
        except GenreproError:
            raise GenreproError(f"-S {item}: params.yaml has no parameter {key}.") from None
        if key == "seed":
            raise GenreproError("seeds are part of an experiment's name: choose some of them with --seed.")
        if key in ("split.folds", "split.fold"):
            raise GenreproError(f"-S {item}: folds are part of an experiment: write its entry's key `folds`.")
        found[key] = _readable(key, value)
    return found


def _source(experiment: Experiment, given: Mapping[str, str], data: Path | None) -> str | None:
    """Path of the data set in the folder ``data``, or None if -S or the data set itself gives it."""
    dataset = experiment.params.dataset
    if dataset in ("synthetic", "composed") or "source" in given:
        return None
    if data is not None and not data.is_dir():
        raise GenreproError(
            f"--data {data} is not a folder: name one that holds data sets under their names."
        )
    if data is not None and (data / dataset).exists():
        return str(data / dataset)
    if not datasets.module(dataset).REMOTES and experiment.params.source == "auto":
        raise GenreproError(
            f"{experiment.name} needs {dataset}, which cannot be downloaded: name it with -S source=PATH, or "
            f"with --data the folder in which it lies as {dataset}/."
        )
    return None


def _readable(key: str, value: str) -> str:
    """A value of ``-S``, quoted if Hydra would refuse it (``~/music``) or read a choice (commas).

    A named run has one value for each key, so a comma never means a choice.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        plain = not OverridesParser.create().parse_override(f"{key}={value}").is_sweep_override()
    except HydraException:
        plain = False
    return value if plain else _text(value)


def _text(value: Any) -> str:
    """A value as text for DVC's `-S` (Hydra's grammar, in which an unquoted comma is a choice)."""
    if not isinstance(value, str):
        return json.dumps(value)
    # Between quotes only a quote is escaped, and backslashes before one.
    quoted = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return value if _BARE.fullmatch(value) else f"'{quoted}'"
