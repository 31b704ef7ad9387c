"""Run a sweep's cells as experiments: the winner's command, and the grid as DVC's queue.

`dvc exp run` gives the same result for a cell as the sweep, which is only faster.
"""

import json
from pathlib import Path
from typing import Any

from genrepro.base import params, sections
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.compare import revisions
from genrepro.sweep import grid

_SUMMARY = "metrics/sweep.json"
_SELECT = {"loss": "validation_loss", "accuracy": "validation_accuracy"}


def best(by: str, revision: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The winner of a sweep and the command that runs it alone.

    Parameters
    ----------
    by : str
        ``loss`` or ``accuracy`` of validation.
    revision : str, optional
        A commit or experiment with a sweep. The default is the workspace.

    Returns
    -------
    dict
        The winner's entry in metrics/sweep.json.
    list of str
        `dvc exp run` with the parameters that differ between the winner and the workspace's params.yaml.

    Raises
    ------
    GenreproError
        If there is no sweep.
    """
    if by not in _SELECT:
        raise GenreproError(f"--by {by} is unknown; choose loss or accuracy.")
    where = "the workspace" if revision is None else revision
    try:
        values = json.loads(_content(_SUMMARY, revision))
        winner = values[f"by_{by}"]
    except (ValueError, KeyError, TypeError) as error:
        raise GenreproError(
            f"{_SUMMARY} of {where} is not a summary of a sweep: run the sweep again."
        ) from error
    ran = sections.parse(_content("params.yaml", revision), name=f"params.yaml of {where}")
    ran["seed"] = winner["seed"]
    ran["train"] |= {"lr": winner["lr"], "weight_decay": winner["weight_decay"], "select": _SELECT[by]}
    command = ["dvc", "exp", "run"]
    here = sections.flat(sections.read(Path("params.yaml")))
    for key, value in sections.flat(ran).items():
        if key in ("train.lr", "train.weight_decay", "train.select") or value != here.get(key):
            command += ["-S", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return winner, command


def queue(config: Params, wanted: grid.Grid) -> list[str]:
    """The command that puts every cell of a grid into DVC's queue, each as an experiment."""
    cells = grid.cells(wanted, config)
    axes: dict[str, dict[float, None]] = {
        "train.lr": {cell.lr: None for cell in cells},
        "train.weight_decay": {cell.weight_decay: None for cell in cells},
        "seed": {cell.seed: None for cell in cells},
    }
    command = ["dvc", "exp", "run", "--queue"]
    for key, values in axes.items():
        listed = ",".join(json.dumps(value) for value in values)
        command += ["-S", f"{key}={listed}" if len(values) == 1 else f"{key}=choice({listed})"]
    return command


def current_queue() -> list[str]:
    """`queue` of params.yaml and sweeps/params.yaml."""
    return queue(params.load(), grid.load())


def _content(name: str, revision: str | None) -> bytes:
    if revision is None:
        if not Path(name).is_file():
            raise GenreproError(f"{name} is missing: `dvc exp run sweeps/dvc.yaml` writes it.")
        return Path(name).read_bytes()
    commit = revisions.resolve(revision)
    content = revisions.content(commit, name)
    if content is None:
        raise GenreproError(f"{revision} has no {name}: no sweep ran there.")
    return content
