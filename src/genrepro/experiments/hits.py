"""Which test tracks each seed of an experiment got right: metrics/experiments/NAME.csv, in git.

A row for each track that any seed tested: its name, its group, and a column for each seed with 1 (right), 0
(wrong) or nothing (not tested by this seed). Where a seed has several draws, it is the share of them that was
right. That is all that intervals over groups and paired comparisons need, in a tenth of the bytes of the
predictions.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.compare.revisions import Predictions
from genrepro.evaluate.intervals import Difference, difference, unpaired
from genrepro.experiments.records import FOLDER, Run

_KEYS = ["track_id", "group"]


def path(name: str) -> Path:
    """Where an experiment's hits lie."""
    return FOLDER / f"{name}.csv"


def of(predictions: Predictions) -> pd.Series | None:
    """Right or wrong, by track and group. None if the predictions name no groups."""
    if predictions.group is None:
        return None
    index = pd.MultiIndex.from_arrays([predictions.track_ids, predictions.group], names=_KEYS)
    return pd.Series(predictions.correct, index=index)


def of_columns(content: bytes, prefix: str) -> pd.Series:
    """Right or wrong, by track and group, from a table of predictions by several classifiers.

    Parameters
    ----------
    content : bytes
        A CSV file with the columns ``track_id``, ``genre``, ``group``, and a column of predicted genres for
        each classifier, as the stages probe and sweep write it.
    prefix : str
        Name of the classifier's column. If the table has ``<prefix>_0``, ``<prefix>_1``, ... instead, these
        are draws, and each track has the share of them that was right.
    """
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False).set_index(_KEYS)
    drawn = [name for name in map(str, table.columns) if re.fullmatch(rf"{prefix}(_\d+)?", name)]
    right = table[drawn].eq(table["genre"], axis=0)
    return right.iloc[:, 0] if len(drawn) == 1 else right.mean(axis=1)


def write(name: str, by_seed: Mapping[int, pd.Series]) -> None:
    """Write an experiment's hits, or remove the file if no seed has any."""
    target = path(name)
    if not by_seed:
        target.unlink(missing_ok=True)
        return
    table = pd.concat({f"s{seed}": by_seed[seed] for seed in sorted(by_seed)}, axis=1)
    with replacing(target) as partial:
        table = table.sort_index().astype("Float64")
        whole = bool((table.fillna(0.0) % 1 == 0).all(axis=None))
        shown = table.astype("Int8") if whole else table.round(6)
        shown.to_csv(partial, lineterminator="\n")


def read(name: str, runs: Sequence[Run]) -> dict[int, pd.Series]:
    """Hits by seed, of those runs that have any. Empty if the experiment has no such file.

    Raises
    ------
    GenreproError
        If the file is broken, or has not the accuracy of a run.
    """
    target = path(name)
    if not target.exists():
        return {}
    broken = f"{target} is not of {name}'s record: take both from git again."
    try:
        table = pd.read_csv(target, dtype=dict.fromkeys(_KEYS, str), keep_default_na=False, na_values=[""])
        table = table.set_index(_KEYS).astype("Float64")
    except (ValueError, KeyError, TypeError) as error:
        raise GenreproError(broken) from error
    found = {run.seed: table[f"s{run.seed}"].dropna() for run in runs if f"s{run.seed}" in table}
    for run in runs:
        if run.seed in found and not abs(found[run.seed].mean() - run.accuracy) < 1e-6:
            raise GenreproError(broken)
    return found


def pooled(by_seed: Mapping[int, pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Hits and groups over seeds, as `intervals.clustered` takes them.

    Seeds with one test set become a share of right runs for each track. Seeds that drew their own test sets
    are joined: a track that several of them tested counts as often, within its group.
    """
    first, *others = by_seed.values()
    if all(first.index.equals(other.index) for other in others):
        shares = np.mean([hits.to_numpy(np.float64) for hits in by_seed.values()], axis=0)
        return shares, first.index.get_level_values("group").to_numpy()
    joined = pd.concat(by_seed.values())
    return joined.to_numpy(np.float64), joined.index.get_level_values("group").to_numpy()


def compare_pools(first: Mapping[int, pd.Series], second: Mapping[int, pd.Series]) -> tuple[Difference, bool]:
    """As `compare`, but each over all of its own seeds if all of these have one test set.

    So three seeds of a head can be paired with the one run of a probe.
    """
    one, *others = [hits.index for hits in (*first.values(), *second.values())]
    if all(one.equals(other) for other in others):
        (before, group), (after, _) = pooled(first), pooled(second)
        return difference(after - before, group), True
    if not set(first) & set(second):
        return unpaired(*pooled(first), *pooled(second)), False
    return compare(first, second)


def compare(first: Mapping[int, pd.Series], second: Mapping[int, pd.Series]) -> tuple[Difference, bool]:
    """The second accuracy minus the first over the seeds of both, and whether it is paired by tracks.

    It is if both have the same test tracks, seed by seed. Then the sign-flip test is used, or else two
    intervals are joined.
    """
    seeds = sorted(set(first) & set(second))
    ours, theirs = ({seed: hits[seed] for seed in seeds} for hits in (first, second))
    if all(ours[seed].index.equals(theirs[seed].index) for seed in seeds):
        (before, group), (after, _) = pooled(ours), pooled(theirs)
        return difference(after - before, group), True
    return unpaired(*pooled(ours), *pooled(theirs)), False
