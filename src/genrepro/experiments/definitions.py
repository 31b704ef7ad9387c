"""Dataclasses for the entries, experiments and questions of experiments.yaml."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.sweep.grid import Grid

PROBES = {
    "logistic": "logistic regression",
    "logistic_refit": "logistic regression, learnt again with the validation tracks",
    "neighbours": "nearest neighbours",
    "few_shot": "logistic regression on 8 tracks a genre, 10 draws",
}
"""Classifiers of the stage probe, in words."""
_WEIGHTS = {"imagenet": "ImageNet's weights", "audioset": "AudioSet's weights"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A published accuracy."""

    accuracy: float
    num_correct: int | None = None
    """Number of test tracks that were predicted right."""
    num_tracks: int | None = None
    """Number of test tracks. None if it is not published."""

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise GenreproError(f"published.accuracy = {self.accuracy:g} must lie in 0 .. 1.")
        if self.num_tracks is None and self.num_correct is None:
            return
        if self.num_tracks is None or self.num_correct is None:
            raise GenreproError("published needs both of num_correct and num_tracks, or neither.")
        if not 0 <= self.num_correct <= self.num_tracks or not self.num_tracks:
            raise GenreproError(
                "published.num_correct must be at most published.num_tracks, and that above 0."
            )
        if abs(self.num_correct / self.num_tracks - self.accuracy) > 5e-4:
            raise GenreproError(
                f"published.accuracy = {self.accuracy:g} is not {self.num_correct} of {self.num_tracks}."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry of experiments.yaml, as it is written."""

    group: str
    """The part of docs/RESULTS.md that shows it."""
    title: str
    """What is measured."""
    source: str
    """Who published it, or who asks."""
    recipes: tuple[str, ...]
    """Names of recipes. Later ones replace keys of earlier ones."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run for each seed."""
    folds: int | None = None
    """Number of folds, as ``split.folds``. Each seed then has one run for each fold."""
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Dotted keys of params.yaml. They replace those of the recipes."""
    vary: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keys and lists of their values: an experiment for every combination.

    The key ``recipe`` lists recipes, which are applied after the entry's own. Name, group, title and source
    may hold the last word of a key in braces, for its value, as in ``{recipe}-on-{dataset}``. A name ends in
    the values of the keys that it does not hold.
    """
    sweep: dict[str, Any] | None = None
    """``lr`` and ``weight_decay`` of a grid, as in sweeps/params.yaml. Each run is then a whole sweep."""
    probe: tuple[str, ...] = ()
    """Keys of metrics/probe.json: an experiment for each, all read from one run of bodies/dvc.yaml."""
    start: str = "none"
    """The experiment whose trained model each run begins with, as ``train.start``. It may hold words in
    braces, and ``vary`` may list several, of which ``none`` is one."""
    published: Published | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question, and the experiments that answer it: is B better than A?"""

    name: str
    """Its name in the marks of a template."""
    asks: str
    """So that "yes" means a higher accuracy of B."""
    a: str
    b: str
    """What A and B are, as a sentence names them."""
    pairs: tuple[tuple[str, ...], ...]
    """Pairs of names of experiments, A and B, the most telling first. B - A is an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """The whole of experiments.yaml."""

    recipes: dict[str, Any]
    experiments: dict[str, Any]
    questions: tuple[Question, ...] = ()
    front: dict[str, str] = dataclasses.field(default_factory=dict)
    """Experiments of the first table of docs/RESULTS.md, and what it calls their models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """A named experiment with its parameters."""

    name: str
    group: str
    title: str
    source: str
    seeds: tuple[int, ...]
    overrides: dict[str, Any]
    """Of recipes, entry and variation together."""
    published: Published | None
    params: Params
    """Parameters with the overrides, and the seed of params.yaml."""
    sweep: Grid | None = None
    """The grid, if a run is a sweep. Its cells have the run's seed."""
    probe: str | None = None
    """The classifier of the probe, if a run is one."""
    entry: str = ""
    """The entry whose run this is, if several experiments are read from one run."""
    start: "Experiment | None" = None
    """The experiment with whose model the runs begin. ``params.train.start`` is then its name."""

    @property
    def folds(self) -> tuple[int | None, ...]:
        """The folds that each seed runs, or (None,) for one hold-out."""
        return tuple(range(self.params.split.folds)) or (None,)

    def run_name(self, seed: int, fold: int | None = None) -> str:
        """The name in DVC of the run with this seed, or of one fold of it."""
        return f"{self.entry or self.name}-s{seed}" + ("" if fold is None else f"-f{fold}")

    def start_seed(self, seed: int) -> int:
        """The seed of the start's run with which that of ``seed`` begins: its own, or the start's first."""
        assert self.start is not None
        return seed if seed in self.start.seeds else self.start.seeds[0]

    def start_name(self, seed: int) -> str:
        """The name in DVC of the start's run with which the run of ``seed`` begins."""
        assert self.start is not None
        return self.start.run_name(self.start_seed(seed))

    @property
    def needs(self) -> tuple[str, ...]:
        """Data sets and weights that the project does not have by itself, those of its start too."""
        found = [] if self.params.dataset in ("synthetic", "composed") else [self.params.dataset]
        section = self.params.architecture()
        for key in ("weights", "embeddings"):
            named = section.get(key, "none")
            found += [] if named == "none" else [_WEIGHTS.get(named, named)]
        found += [] if self.start is None else self.start.needs
        return tuple(dict.fromkeys(found))
