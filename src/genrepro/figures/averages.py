"""Average the curves of a sweep into tables for figures and for DVC's plots.

A sweep is a grid of learning rates and weight decays, trained once for each seed. Its curves have a row for
each cell and epoch. Its cells have a row each, with two snapshots: the epoch of the best validation accuracy
and that of the lowest validation loss.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.sweep import snapshots

Quantity = Literal["error", "loss"]
Axis = Literal["lr", "weight_decay"]
Snapshot = Literal["accuracy", "loss"]

LOG_COLUMNS = {
    "lr": "lr",
    "weight_decay": "weight_decay",
    "epoch": "epoch",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_accuracy",
}
NAMED: dict[Axis, str] = {"lr": "learning rate", "weight_decay": "weight decay"}
_PER_PANEL = 5  # as in the ViT report


def read_log(path: Path) -> pd.DataFrame:
    """Read a published log of a sweep, as the ViT report kept it: validation columns of curves, seed 0.

    Raises
    ------
    GenreproError
        If it is not a CSV file with the columns of `LOG_COLUMNS` and a number in each field of them.
    """

    def broken(what: str) -> GenreproError:
        return GenreproError(
            f"{path} is not a log of a sweep: {what}; it must be a CSV file with the columns "
            f"{', '.join(LOG_COLUMNS)}."
        )

    try:
        table = pd.read_csv(path, dtype="str")
    except OSError as error:
        raise broken(os.strerror(error.errno or 0).lower()) from None
    except ValueError as error:  # pandas's own errors are such, and bytes that are not text
        raise broken(f"it cannot be read ({' '.join(str(error).split()).rstrip('.')})") from None
    if missing := [column for column in LOG_COLUMNS if column not in table]:
        raise broken(f"it has no {', '.join(missing)}")
    if table.empty:
        raise broken("it has no rows")
    numbers = table[list(LOG_COLUMNS)].apply(pd.to_numeric, errors="coerce")
    for column in numbers.columns[numbers.isna().any()][:1]:
        raise broken(f"{column} is not a number in line {int(numbers[column].isna().argmax()) + 2}")
    if numbers.duplicated(["lr", "weight_decay", "epoch"]).any():
        raise broken("a cell has an epoch twice")
    return numbers.rename(columns=LOG_COLUMNS).assign(seed=0)


def averaged(curves: pd.DataFrame, *, by: Axis, quantity: Quantity) -> pd.DataFrame:
    """Validation error or loss by learning rate (or weight decay) and epoch, averaged over the other axis.

    A cell whose training diverged has no value, and neither have the means that it belongs to.

    Returns
    -------
    pd.DataFrame
        Indexed by ``by`` and epoch, with `mean` over seeds and the `lowest` and `highest` seed.
    """
    values = curves[f"validation_{'accuracy' if quantity == 'error' else 'loss'}"].astype(np.float64)
    values = 1 - values if quantity == "error" else values
    rows = curves[["seed", by, "epoch"]].assign(value=values)
    of_seed = rows.groupby(["seed", by, "epoch"])["value"].mean(skipna=False)
    over_seeds = of_seed.groupby([by, "epoch"])
    return pd.DataFrame(
        {
            "mean": over_seeds.mean(skipna=False),
            "lowest": over_seeds.min(skipna=False),
            "highest": over_seeds.max(skipna=False),
        }
    )


def by_epoch(curves: pd.DataFrame, *, by: Axis) -> pd.DataFrame:
    """The table for DVC's plot, which draws a line for each learning rate (or weight decay).

    Returns
    -------
    pd.DataFrame
        ``by`` (text of one width, so that it sorts as numbers), `epoch`, `validation_error` and
        `validation_loss`, which are means over the other axis and over seeds, six decimals.
    """
    means = pd.DataFrame(
        {
            f"validation_{quantity}": averaged(curves, by=by, quantity=quantity)["mean"].round(6)
            for quantity in ("error", "loss")
        }
    ).reset_index()
    return means.assign(**{by: labels(means[by])})


def winners(cells: pd.DataFrame, snapshot: Snapshot) -> pd.DataFrame:
    """The winner of each seed by validation. A seed has none if all its cells diverged."""
    return snapshots.ranked(cells, snapshot).drop_duplicates("seed").sort_values("seed", ignore_index=True)


def panels(values: Iterable[float]) -> list[list[float]]:
    """Learning rates in ascending groups of five, as in the ViT report. A last one alone joins the others."""
    ordered = sorted(set(values))
    starts = list(range(0, len(ordered), _PER_PANEL))
    if len(starts) > 1 and len(ordered) - starts[-1] == 1:
        del starts[-1]
    ends = [*starts[1:], len(ordered)]
    return [ordered[start:end] for start, end in zip(starts, ends, strict=True)]


def labels(values: Iterable[float]) -> list[str]:
    """Numbers as text, all with the decimals that the longest one needs: ``0.0010``, ``0.0012``."""
    rounded = [round(float(value), 9) for value in values]
    decimals = max((len(_plain(value).partition(".")[2]) for value in set(rounded)), default=0)
    return [f"{value:.{decimals}f}" for value in rounded]


def common(ours: Sequence[float], log: pd.DataFrame) -> dict[float, float]:
    """The learning rate of ``log`` that equals each of ours, up to rounding errors."""
    theirs = {round(float(value), 9): float(value) for value in log["lr"].unique()}
    return {value: theirs[round(value, 9)] for value in ours if round(value, 9) in theirs}


def number(rows: pd.DataFrame, by: Axis) -> str:
    """The number of values of an axis in words: ``11 weight decays``."""
    count = rows[by].nunique()
    return f"{count} {NAMED[by]}{'s' if count != 1 else ''}"


def _plain(value: float) -> str:
    return np.format_float_positional(value, trim="-")
