"""What is known of an experiment: the mean over its recorded seeds, with its interval over artists.

An interval needs to know which tracks were right (`hits`). A record from before hits were kept has an
accuracy, but its interval is unknown.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from genrepro.evaluate.intervals import clustered
from genrepro.experiments import hits
from genrepro.experiments.definitions import Experiment
from genrepro.experiments.records import Record, Run, fresh


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An experiment of which at least one seed is recorded."""

    experiment: Experiment
    runs: tuple[Run, ...]
    """Sorted by seed."""
    hits: dict[int, pd.Series]
    """Right or wrong of each track, by seed. Not every seed need have any."""

    @property
    def accuracy(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(run.accuracy for run in self.runs)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Lowest and highest accuracy of a seed. None of one seed."""
        values = [run.accuracy for run in self.runs]
        return (min(values), max(values)) if len(values) > 1 else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The mean's 95 % interval over groups of test tracks. None if it is not known.

        That of a single run is recorded. That of several needs their hits.
        """
        if len(self.hits) == len(self.runs):
            return clustered(*hits.pooled(self.hits))
        run, *others = self.runs
        return None if others or run.num_groups is None else (run.accuracy_low, run.accuracy_high)

    @property
    def num_tracks(self) -> tuple[int, int]:
        """Fewest and most test tracks of a seed."""
        values = [run.num_tracks for run in self.runs]
        return min(values), max(values)

    @property
    def num_groups(self) -> int | None:
        """Groups of test tracks, of all seeds together. None if it is not known."""
        if len(self.hits) < len(self.runs):
            return self.runs[0].num_groups if len(self.runs) == 1 else None
        return len({group for of in self.hits.values() for group in of.index.get_level_values("group")})

    @property
    def num_parameters(self) -> int | None:
        """Of the model, if it is recorded."""
        return self.runs[0].num_parameters

    @property
    def fit_seconds(self) -> float | None:
        """Median time of a training, if one is recorded."""
        known = [run.fit_seconds for run in self.runs if run.fit_seconds is not None]
        return statistics.median(known) if known else None

    @property
    def leaky(self) -> str:
        """The leak flags of all seeds: ``0``, ``1`` or ``0-1``."""
        return "-".join(str(flag) for flag in sorted({run.leaky for run in self.runs}))


def measure(known: Mapping[str, Experiment], records: Mapping[str, Record]) -> dict[str, Measured]:
    """All experiments of which a seed is recorded with today's parameters, in the order of ``known``."""
    found = {}
    for name, experiment in known.items():
        if runs := fresh(experiment, records):
            of = hits.read(name, runs)
            found[name] = Measured(experiment=experiment, runs=tuple(runs), hits=of)
    return found
