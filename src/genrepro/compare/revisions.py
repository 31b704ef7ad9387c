"""Read `metrics/predictions.csv` of a commit, an experiment, the workspace or a file.

The table is in git, so reading it needs no cache, no checkout and no DVC. DVC keeps an experiment as the
commit ``refs/exps/<first two digits of its baseline>/<the other 38>/<name>``.
"""

import io
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError

PREDICTIONS = "metrics/predictions.csv"
WORKSPACE = "workspace"
_HERE = Path()  # the working directory
_KEYS = ["track_id", "genre", "predicted"]
_GROUP = "group"  # the fourth column; tables from before 2026-11-26 lack it
_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2}/[0-9a-f]{38,62})/([^/]+)")


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """One row per test track, sorted by `track_ids`. Genres are positions in the sorted `genres`."""

    name: str
    """The user's name of the revision, with its commit."""
    genres: tuple[str, ...]
    track_ids: np.ndarray
    """[shape=(num_tracks,), dtype=object]"""
    label: np.ndarray
    """True genre [shape=(num_tracks,), dtype=int]."""
    predicted: np.ndarray
    """[shape=(num_tracks,), dtype=int]"""
    probabilities: np.ndarray
    """[shape=(num_tracks, num_genres)], four decimals"""
    group: np.ndarray | None
    """Groups that must not cross a split [shape=(num_tracks,), dtype=object]. None if the table has none."""

    @property
    def correct(self) -> np.ndarray:
        """[shape=(num_tracks,), dtype=bool]"""
        return self.predicted == self.label


def read(revision: str) -> Predictions:
    """Read the predictions of a revision of the project in the working directory.

    Parameters
    ----------
    revision : str
        ``workspace``, a path that ends in ``.csv``, any name of a commit in git, or the name of a DVC
        experiment. They are tried in this order.

    Raises
    ------
    GenreproError
        If there is no such revision, or if it has no predictions or a broken table of them.
    """
    if revision == WORKSPACE:
        check_place()
        return parse(_read_file(Path(PREDICTIONS), name=WORKSPACE), name=WORKSPACE)
    if revision.endswith(".csv"):
        return parse(_read_file(Path(revision), name=revision), name=revision)
    commit = resolve(revision)
    name = revision if commit.startswith(revision) else f"{revision} ({commit[:8]})"
    found = content(commit, PREDICTIONS)
    if found is None:
        raise GenreproError(
            f"{name} has no {PREDICTIONS}: run `dvc repro` there and commit what it writes below metrics/."
        )
    return parse(found, name=name)


def content(commit: str, path: str, *, folder: Path = _HERE) -> bytes | None:
    """The bytes of a file of the project at ``commit``, or None if it does not exist."""
    found = _git("cat-file", "blob", f"{commit}:./{path}", folder=folder)
    return None if found.returncode else found.stdout


def listed(*, folder: Path = _HERE) -> dict[str, dict[str, str]]:
    """The commits of all DVC experiments by name and baseline, newest first."""
    fields = "--format=%(objectname) %(refname)"
    lines = _git("for-each-ref", "--sort=-committerdate", fields, "refs/exps", folder=folder)
    found: dict[str, dict[str, str]] = {}
    for line in lines.stdout.decode().splitlines():
        tip, reference = line.split(" ", 1)
        if match := _EXPERIMENT.fullmatch(reference):
            found.setdefault(match[2], {})[match[1].replace("/", "")] = tip
    return found


def experiments(name: str, *, folder: Path = _HERE) -> dict[str, str]:
    """The commits of the DVC experiments called ``name``, by baseline, newest first."""
    return listed(folder=folder).get(name, {})


def experiment(
    name: str, *, folder: Path = _HERE, among: Mapping[str, Mapping[str, str]] | None = None
) -> str | None:
    """The commit of the DVC experiment called ``name``. None if there is none.

    Of several, that of the commit that is checked out counts, or else the newest. ``among`` is what `listed`
    has found, for those who ask for many names.
    """
    found = (listed(folder=folder) if among is None else among).get(name, {})
    newest = next(iter(found.values()), None)
    return newest if len(found) < 2 else found.get(head(folder=folder), newest)


def queued() -> set[str]:
    """Names of the experiments in DVC's queue that start from the current commit."""
    # DVC keeps the queue as a stash. A message is dvc-exp:<baseline>:<baseline of a branch>:<name>.
    messages = _git("log", "--walk-reflogs", "--format=%gs", "refs/exps/celery/stash").stdout.decode()
    fields = [line.rpartition("dvc-exp:")[2].split(":") for line in messages.splitlines()]
    return {parts[-1] for parts in fields if parts[0] == head()}


def check_place() -> None:
    """Raise GenreproError below the repository's root, where files of a commit would not be found."""
    here = Path.cwd()
    if not Path("dvc.yaml").exists():
        for above in here.parents:
            if (above / "dvc.yaml").is_file() and (above / "params.yaml").is_file():
                raise GenreproError(f"{here.name}/ is not the repository's root: run this in {above}.")


def resolve(revision: str) -> str:
    """The commit of ``revision``, a name of git or of one of DVC's experiments.

    Each baseline may have an experiment of the same name. As in DVC, the one that started from HEAD is used.
    """
    check_place()
    if not revision or _git("rev-parse", "--git-dir").returncode:
        raise GenreproError(
            f"{revision!r} cannot be looked up: run `genrepro compare` in a git repository, "
            "with two revisions, experiments or predictions.csv files."
        )
    commit = _commit(revision)
    if commit:
        return commit
    baselines = experiments(revision)
    if len(baselines) > 1 and head() in baselines:
        return baselines[head()]
    if len(baselines) > 1:
        raise GenreproError(
            f"{len(baselines)} experiments are called {revision!r}, of the baselines "
            f"{', '.join(sorted(baseline[:8] for baseline in baselines))}: name the experiment's commit, "
            "which `git for-each-ref refs/exps` lists."
        )
    if not baselines:
        raise GenreproError(
            f"{revision!r} is neither a git revision nor an experiment of this repository: "
            "`git branch --all` and `dvc exp list --all-commits` name what there is."
        )
    return next(iter(baselines.values()))


def head(*, folder: Path = _HERE) -> str:
    """The hash of the current commit. Empty outside a repository and before the first commit."""
    return _commit("HEAD", folder=folder)


def parse(content: bytes, *, name: str) -> Predictions:
    """Parse the bytes of a predictions.csv. Rows and genres may have any order.

    Raises
    ------
    GenreproError
        If it is not such a table. The message says why.
    """

    def broken(what: str) -> GenreproError:
        return GenreproError(
            f"{PREDICTIONS} of {name} is not a table of predictions: {what}; "
            "the stage evaluate writes it, so run `dvc repro --force evaluate`."
        )

    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise broken(f"it cannot be read as CSV ({reason})") from None
    grouped = list(table.columns[3:4]) == [_GROUP]
    genres = sorted(table.columns[4 if grouped else 3 :])
    if not isinstance(table.index, pd.RangeIndex):  # pandas then takes the first column for row names
        raise broken("its rows have more fields than its header")
    if list(table.columns[:3]) != _KEYS:
        raise broken(f"its columns do not begin with {', '.join(_KEYS)}")
    if len(genres) < 2 or table.empty:
        raise broken(f"it has {len(genres)} genres and {len(table)} tracks")
    if (table["track_id"] == "").any() or table["track_id"].duplicated().any():
        raise broken("a track has no name, or occurs twice")
    for column in ("genre", "predicted"):
        for unknown in sorted(set(table[column]) - set(genres))[:1]:
            raise broken(f"its {column} holds {unknown!r}, of which there is no column")
    numbers = table[genres].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        raise broken("a probability is not a number from 0 to 1")
    order = np.argsort(table["track_id"].to_numpy(object), kind="stable")
    position = {genre: number for number, genre in enumerate(genres)}
    return Predictions(
        name=name,
        genres=tuple(genres),
        track_ids=table["track_id"].to_numpy(object)[order],
        label=table["genre"].map(position).to_numpy(np.int64)[order],
        predicted=table["predicted"].map(position).to_numpy(np.int64)[order],
        probabilities=numbers[order],
        group=table[_GROUP].to_numpy(object)[order] if grouped else None,
    )


def _read_file(path: Path, *, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise GenreproError(f"{name} has no predictions: {path} does not exist.") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise GenreproError(f"{name} has no predictions: {path} cannot be read, {reason}.") from None


def _commit(revision: str, *, folder: Path = _HERE) -> str:
    """The hash of the commit that git takes ``revision`` for, empty if it takes it for none."""
    name = f"{revision}^{{commit}}"
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", name, folder=folder)
    return found.stdout.decode().split()[-1] if found.returncode == 0 else ""


def _git(*arguments: str, folder: Path = _HERE) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False, cwd=folder)
    except FileNotFoundError:
        raise GenreproError("`git` is not installed, and revisions are read through it.") from None
