"""The grid of a sweep: learning rates x weight decays x seeds. Each point is a cell.

Values come from decimal arithmetic: the second of 0.001, 0.0012, ... is 0.0012 and not 0.0012000000000000001.
"""

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from genrepro.base import sections
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params

PATH = Path("sweeps", "params.yaml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Evenly spaced values. Both ends are among them if the step fits."""

    first: float
    last: float
    step: float

    def values(self) -> tuple[float, ...]:
        """The values from first up to last. GenreproError if the step is not above 0."""
        first, last, step = (Decimal(str(value)) for value in (self.first, self.last, self.step))
        if step <= 0:
            raise GenreproError(f"step = {self.step:g} must be above 0")
        return tuple(float(first + number * step) for number in range(int((last - first) // step) + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The section ``sweep`` of sweeps/params.yaml."""

    lr: Range | tuple[float, ...]
    """Values of train.lr."""
    weight_decay: Range | tuple[float, ...]
    """Values of train.weight_decay."""
    seed: tuple[int, ...]
    """Seeds of initial weights, dropout and order. Split and features keep the experiment's seed."""
    report: str
    """``none``, or a CSV file of a published sweep to draw beside this one."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Cell:
    """One point of the grid, that is one head. Sorted by seed, then learning rate, then weight decay."""

    seed: int
    lr: float
    weight_decay: float

    def params(self, config: Params) -> Params:
        """The parameters of the experiment that trains this cell alone."""
        train = dataclasses.replace(config.train, lr=self.lr, weight_decay=self.weight_decay)
        return dataclasses.replace(config, seed=self.seed, train=train)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    sweep: Grid


def load(path: Path = PATH) -> Grid:
    """Read and check sweeps/params.yaml. GenreproError at the first fault."""
    return parse(sections.read(path), name=str(path))


def parse(values: Any, *, name: str) -> Grid:
    """The grid in the plain values of such a file."""
    file: _File = sections.build(_File, values, name=name, prefix="")
    return file.sweep


def cells(grid: Grid, config: Params, *, name: str = str(PATH)) -> list[Cell]:
    """Every cell, sorted.

    Raises
    ------
    GenreproError
        If there is none, a value occurs twice, or a value is not valid for its parameter.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    for key in ("seed", "lr", "weight_decay"):
        given = getattr(grid, key)
        try:
            axes[key] = given.values() if isinstance(given, Range) else given
        except GenreproError as error:
            raise GenreproError(f"{name}: sweep.{key}.{error}.") from error
        if not axes[key]:
            why = f": first = {given.first:g} is above last = {given.last:g}" if given else ""
            raise GenreproError(f"{name}: sweep.{key} has no value{why}; a grid of no points trains nothing.")
        if len(set(axes[key])) < len(axes[key]):
            raise GenreproError(f"{name}: sweep.{key} names a value twice.")
    found = sorted(
        Cell(seed=seed, lr=lr, weight_decay=weight_decay)
        for seed, lr, weight_decay in product(axes["seed"], axes["lr"], axes["weight_decay"])
    )
    for cell in found:  # params.yaml's checks: a learning rate above 0, a decay and a seed of at least 0
        try:
            cell.params(config)
        except GenreproError as error:
            raise GenreproError(f"{name}: {str(error).removeprefix('params.yaml: ')}") from error
    return found
