"""Read experiments.yaml: published and own experiments, as named overrides of params.yaml.

An experiment lists recipes and overrides. Applied to params.yaml they give its parameters, which are checked
on load. An entry that varies a key stands for one experiment for each value. A question lists pairs of
experiments, and the difference of a pair is an answer.
"""

import copy
import dataclasses
import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from genrepro.base import sections
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.base.sections import build
from genrepro.experiments.definitions import PROBES, Entry, Experiment, File, Question
from genrepro.sweep import grid
from genrepro.sweep.grid import Grid

PATH = Path("experiments.yaml")
# A name becomes part of a git reference and of a file name.
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


def load(path: Path = PATH, params_path: Path = Path("params.yaml")) -> dict[str, Experiment]:
    """Every experiment by its name, in the order of the file.

    Raises
    ------
    GenreproError
        At the first fault: an unknown key or recipe, an override without a parameter in params.yaml, or a
        value that the stages would refuse.
    """
    values = sections.read(params_path)
    build(Params, values, name=str(params_path), prefix="")
    file = build(File, sections.read(path), name=str(path), prefix="")
    found: dict[str, Experiment] = {}
    for name, content in file.experiments.items():
        try:
            for experiment in _expand(name, content, file.recipes, values):
                if experiment.name in found:
                    raise GenreproError(f"{experiment.name} occurs twice.")
                found[experiment.name] = experiment
        except GenreproError as error:
            raise GenreproError(f"{path}: {name}: {str(error).removeprefix('params.yaml: ')}") from error
    return _begun(found, path)


def questions(known: Mapping[str, Experiment], path: Path = PATH) -> tuple[Question, ...]:
    """The file's questions, in order. GenreproError if a pair does not name two experiments of ``known``."""
    found: File = build(File, sections.read(path), name=str(path), prefix="")
    for question in found.questions:
        for pair in question.pairs:
            if len(pair) != 2 or [chosen.name for chosen in select(known, pair)] != list(pair):
                raise GenreproError(f"{path}: {question.asks}: {list(pair)} must name two experiments.")
    return found.questions


def front(known: Mapping[str, Experiment], path: Path = PATH) -> dict[str, str]:
    """The experiments of the first table, with the names of their models, in order."""
    found: File = build(File, sections.read(path), name=str(path), prefix="")
    for name in found.front:
        if name not in known:
            raise GenreproError(f"{path}: front: there is no experiment {name}.")
    return found.front


def select(experiments: Mapping[str, Experiment], names: Sequence[str]) -> list[Experiment]:
    """Experiments by names or patterns (``images-*``), each once. GenreproError if one matches nothing."""
    found: dict[str, Experiment] = {}
    for name in names:
        matching = [known for known in experiments if fnmatchcase(known, name)]
        if not matching:
            near = difflib.get_close_matches(name, experiments, n=3)
            hint = f"near it are {', '.join(near)}" if near else "`genrepro experiment list` names them"
            if (run := re.fullmatch(r"(.+)-s(\d+)(-f\d+)?", name)) and run[1] in experiments:
                hint = f"it is a run of {run[1]}: --seed {run[2]} runs it alone"
            raise GenreproError(f"there is no experiment {name!r} in {PATH}; {hint}.")
        found |= {known: experiments[known] for known in matching}
    return list(found.values())


def overridden(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml's plain values with dotted keys replaced. GenreproError if a key does not exist."""
    changed = copy.deepcopy(dict(values))
    for dotted, value in overrides.items():
        *above, key = dotted.split(".")
        place: Any = changed
        for section in above:
            place = place.get(section) if isinstance(place, dict) else None
        if not isinstance(place, dict) or key not in place or isinstance(place[key], dict):
            raise GenreproError(f"params.yaml has no parameter {dotted}.")
        place[key] = value
    return changed


def wanted(experiment: Experiment) -> dict[str, Any]:
    """The `recipe` of an experiment, and of the experiment that it begins with, under ``NAME: ``."""
    found = recipe(experiment.params, experiment.sweep, probe=experiment.probe is not None)
    if experiment.start is not None:
        found |= {f"{experiment.start.name}: {key}": value for key, value in wanted(experiment.start).items()}
    return found


def recipe(config: Params, sweep: Grid | None = None, *, probe: bool = False) -> dict[str, Any]:
    """The parameters that decide the result, except seed and fold, as dotted keys.

    They do not include the sections of other models, the data's place, and the number of pictures. In a
    sweep, the grid's values take the place of its parameters. A probe trains no head.
    """
    used = ["mel", "segments", "audit", "split", "train", "evaluate", config.model]
    used += ["head"] if "head" in config.architecture() else []
    used = [name for name in used if not probe or name not in ("train", "head", "segments")]
    used += [config.dataset] if config.dataset in ("synthetic", "composed", "folder", "hub") else []
    flat: dict[str, Any] = {"dataset": config.dataset, "model": config.model}
    for section in used:
        for key, value in config.section(section).items():
            flat[f"{section}.{key}"] = list(value) if isinstance(value, tuple) else value
    del flat["mel.png_per_genre"], flat["split.fold"]
    if sweep is not None:
        for key in ("lr", "weight_decay"):
            flat[f"train.{key}"] = list(
                dict.fromkeys(getattr(cell, key) for cell in grid.cells(sweep, config))
            )
    return flat


def _expand(
    name: str, content: Any, recipes: Mapping[str, Any], values: Mapping[str, Any]
) -> list[Experiment]:
    entry: Entry = build(Entry, content, name="the entry", prefix="")
    if not entry.seeds or len(set(entry.seeds)) < len(entry.seeds) or min(entry.seeds) < 0:
        raise GenreproError(f"seeds = {list(entry.seeds)} must be different whole numbers from 0 on.")
    if unknown := set(entry.probe) - set(PROBES):
        raise GenreproError(f"probe names {min(unknown)}; known are {', '.join(PROBES)}.")
    if entry.probe and entry.vary:
        raise GenreproError("an entry has one of the keys `probe` and `vary`, and not both.")
    if not entry.vary:
        made = _experiment(name, entry, _overrides(entry, (), {}, recipes), values)
        return _probes(made, entry.probe) if entry.probe else [made]
    for key, options in entry.vary.items():
        if not isinstance(options, list) or not options:
            raise GenreproError(f"vary: {key} must list its values.")
    if entry.published:
        raise GenreproError("an entry that varies a key has no published figure: write one entry for each.")
    found = []
    for chosen in itertools.product(*entry.vary.values()):
        varied = dict(zip(entry.vary, chosen, strict=True))
        words = {key.rpartition(".")[2]: str(value) for key, value in varied.items()}
        own, start = varied.pop("recipe", None), varied.pop("start", entry.start)
        full = name + "".join(f"-{{{word}}}" for word in words if f"{{{word}}}" not in name)
        title = entry.title + "".join(
            f"; {word.replace('_', ' ')} {value}"
            for word, value in words.items()
            if f"{{{word}}}" not in entry.title and word not in ("recipe", "start")
        )
        changed = dataclasses.replace(
            entry,
            group=_filled(entry.group, words),
            title=_filled(title, words),
            source=_filled(entry.source, words),
            start=_filled(start, words).replace("_", "-"),
            vary={},
        )
        overrides = _overrides(entry, () if own is None else (own,), varied, recipes)
        found.append(_experiment(_filled(full, words).replace("_", "-"), changed, overrides, values))
    return found


def _probes(run: Experiment, kinds: Sequence[str]) -> list[Experiment]:
    """An experiment for each classifier of a probe. They are read from one run."""
    return [
        dataclasses.replace(
            run,
            name=f"{run.name}-{kind}".replace("_", "-"),
            title=f"{run.title}; {PROBES[kind]}",
            published=run.published if kind == "logistic" else None,  # of a linear probe
            probe=kind,
            entry=run.name,
        )
        for kind in kinds
    ]


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _overrides(
    entry: Entry, own: Sequence[str], varied: Mapping[str, Any], recipes: Mapping[str, Any]
) -> dict[str, Any]:
    """Those of the recipes, the entry and the variation, later ones first."""
    common: dict[str, Any] = {}
    for given in (*entry.recipes, *own):
        if given not in recipes:
            raise GenreproError(f"unknown recipe {given}; known are {', '.join(recipes)}.")
        if not isinstance(recipes[given], dict):
            raise GenreproError(f"the recipe {given} must be a mapping of keys to values.")
        common |= recipes[given]
    return common | entry.overrides | dict(varied)


def _experiment(name: str, entry: Entry, overrides: dict[str, Any], values: Mapping[str, Any]) -> Experiment:
    if not _NAME.fullmatch(name):
        raise GenreproError(
            f"{name!r} is not a name: use lower-case letters, digits and hyphens between them."
        )
    for key in {"seed", "source"} & set(overrides):
        raise GenreproError(
            f"{key} is not an override: seeds have a key of their own, and data lies elsewhere."
        )
    for key in sorted({"split.folds", "split.fold"} & set(overrides)):
        raise GenreproError(f"{key} is not an override: write the entry's key `folds`.")
    if entry.folds is not None:
        overrides = overrides | {"split.folds": entry.folds}
    if "train.start" in overrides:
        raise GenreproError("train.start is not an override: write the entry's key `start`.")
    if entry.start != "none" and (entry.sweep is not None or entry.probe):
        raise GenreproError("a sweep and a probe train only heads, which have no `start`.")
    if entry.folds and entry.sweep is not None:
        raise GenreproError("a sweep has no folds: leave out one of the keys `sweep` and `folds`.")
    begun = overrides | {"train.start": entry.start}
    config = build(Params, overridden(values, begun), name="params.yaml", prefix="")
    return Experiment(
        name=name,
        group=entry.group,
        title=entry.title,
        source=entry.source,
        seeds=entry.seeds,
        overrides=overrides,
        published=entry.published,
        params=config,
        sweep=None if entry.sweep is None else _grid(entry.sweep, config),
    )


def _begun(found: dict[str, Experiment], path: Path) -> dict[str, Experiment]:
    """The experiments, each with the one that it begins with."""
    done: dict[str, Experiment] = {}

    def resolve(name: str, waiting: tuple[str, ...]) -> Experiment:
        experiment, start = found[name], found[name].params.train.start
        if start != "none" and name not in done:
            reason = ""
            if start not in found:
                reason = "there is no such experiment"
            elif start in waiting:
                reason = "that begins with this one"
            elif found[start].folds != (None,) or found[start].sweep or found[start].probe:
                reason = "a run of it is not one trained model"
            if reason:
                raise GenreproError(f"{path}: {name}: it cannot begin with {start}: {reason}.")
            experiment = dataclasses.replace(experiment, start=resolve(start, (*waiting, name)))
        return done.setdefault(name, experiment)

    return {name: resolve(name, (name,)) for name in found}


def _grid(values: Mapping[str, Any], config: Params) -> Grid:
    found = grid.parse({"sweep": {"seed": [config.seed], "report": "none", **values}}, name="the entry")
    grid.cells(found, config, name="the entry")
    for key in ("lr", "weight_decay"):
        if not isinstance(getattr(found, key), grid.Range):  # DVC cannot override a mapping with a list
            raise GenreproError(f"sweep.{key} must be first, last and step.")
    return found
