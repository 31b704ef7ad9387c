"""Claims about grids: clean values, every cell once, a sentence for what is no grid."""

import math
from pathlib import Path
from typing import Any

import pytest
from support.builders import ROOT, make_params

from genrepro.base.errors import GenreproError
from genrepro.sweep import grid
from genrepro.sweep.grid import Cell, Grid, Range

REPORT_1 = Grid(
    lr=Range(first=0.001, last=0.01, step=0.0002),
    weight_decay=Range(first=0.005, last=0.015, step=0.001),
    seed=(0,),
    report="none",
)
REPORT_2 = Grid(
    lr=Range(first=0.001, last=0.005, step=0.0002),
    weight_decay=REPORT_1.weight_decay,
    seed=(0,),
    report="none",
)


def text(**changes: Any) -> dict[str, Any]:
    return {"sweep": {"lr": [0.1], "weight_decay": [0.0], "seed": [0], "report": "none"} | changes}


def test_the_reports_grids_have_their_points_with_clean_values() -> None:
    for of, rates in [(REPORT_1, 46), (REPORT_2, 21)]:
        cells = grid.cells(of, make_params())
        assert len(cells) == len(set(cells)) == rates * 11
        expected = {round(0.001 + 0.0002 * number, 4) for number in range(rates)}
        assert {cell.lr for cell in cells} == expected and 0.0012 in expected
        assert {cell.weight_decay for cell in cells} == {
            round(0.005 + 0.001 * number, 3) for number in range(11)
        }
        assert all(len(repr(cell.lr)) <= 6 and len(repr(cell.weight_decay)) <= 5 for cell in cells)


def test_the_committed_grid_is_the_reports_first() -> None:
    assert grid.load(ROOT / grid.PATH) == REPORT_1


def test_a_range_ends_at_its_last_value() -> None:
    for first, last, step, values in [
        (0.1, 0.3, 0.1, (0.1, 0.2, 0.3)),
        (0.1, 0.35, 0.1, (0.1, 0.2, 0.3)),
        (1e-05, 3e-05, 1e-05, (1e-05, 2e-05, 3e-05)),
        (0.0, 0.0, 1.0, (0.0,)),
    ]:
        assert Range(first=first, last=last, step=step).values() == values


def test_cells_are_sorted_and_a_list_is_a_grid_too() -> None:
    of = grid.parse(text(lr=[0.2, 0.1], seed=[1, 0]), name="x")
    assert grid.cells(of, make_params()) == [
        Cell(seed=0, lr=0.1, weight_decay=0.0),
        Cell(seed=0, lr=0.2, weight_decay=0.0),
        Cell(seed=1, lr=0.1, weight_decay=0.0),
        Cell(seed=1, lr=0.2, weight_decay=0.0),
    ]


def test_a_cell_is_the_experiment_with_its_values() -> None:
    config = make_params()
    of_cell = Cell(seed=3, lr=0.5, weight_decay=0.25).params(config)
    assert (of_cell.seed, of_cell.train.lr, of_cell.train.weight_decay) == (3, 0.5, 0.25)
    assert of_cell.train.epochs == config.train.epochs and math.isclose(config.train.lr, 0.003)


def test_what_is_no_grid_is_one_sentence(subtests: pytest.Subtests) -> None:
    for changes, words in [
        ({"momentum": [0.9]}, "unknown key sweep.momentum; known here: lr, weight_decay, seed, report"),
        ({"lr": []}, "sweep.lr has no value; a grid of no points"),
        ({"lr": {"first": 0.2, "last": 0.1, "step": 0.1}}, "first = 0.2 is above last = 0.1"),
        ({"lr": {"first": 0.1, "last": 0.2, "step": 0.0}}, "sweep.lr.step = 0 must be above 0"),
        ({"lr": {"first": 0.1, "last": 0.2}}, "the key sweep.lr.step is missing"),
        ({"lr": [0.1, 0.1]}, "sweep.lr names a value twice"),
        ({"lr": [0.0]}, "train.lr = 0.0 must be above 0"),
        ({"weight_decay": [-1.0]}, "train.weight_decay = -1.0 must be at least 0"),
        ({"seed": [-1]}, "seed = -1 must be at least 0"),
        ({"lr": "all"}, "sweep.lr = 'all' must be a mapping of keys to values or a list"),
    ]:
        with subtests.test(changes=changes):
            with pytest.raises(GenreproError) as caught:
                grid.cells(grid.parse(text(**changes), name="sweeps/params.yaml"), make_params())
            sentence = str(caught.value)
            assert words in sentence and sentence.startswith("sweeps/params.yaml: ") and "\n" not in sentence


def test_a_missing_file_names_the_root(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="run from the repository root"):
        grid.load(tmp_path / "params.yaml")
