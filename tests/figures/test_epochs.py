"""Claims about a sweep's tables and pictures: the right means, every cell drawn, the right winner marked."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure
from support.builders import ROOT

from genrepro.base.errors import GenreproError
from genrepro.figures import averages, plotting, selection
from genrepro.figures import epochs as sweep_figures
from genrepro.figures.plotting import save
from genrepro.sweep import snapshots

RATES = [round(0.001 + 0.0002 * step, 4) for step in range(11)]
DECAYS = [0.005, 0.006, 0.007]
HEADER = "lr,weight_decay,epoch,val_loss,val_accuracy\n"


def make_curves(
    *,
    rates: list[float] = RATES,
    decays: list[float] = DECAYS,
    epochs: int = 4,
    seeds: tuple[int, ...] = (0, 1),
) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = list(itertools.product(seeds, rates, decays, range(1, epochs + 1)))
    curves = pd.DataFrame(rows, columns=["seed", "lr", "weight_decay", "epoch"])
    for column in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        curves[column] = rng.uniform(0.2, 0.9, len(curves)).astype(np.float32)
    curves["batch_loss"] = list(rng.uniform(0.2, 0.9, (len(curves), 8)).astype(np.float32))
    return curves


def make_cells(curves: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    cells = curves[["seed", "lr", "weight_decay"]].drop_duplicates(ignore_index=True)
    for snapshot, side, quantity in itertools.product(
        ("accuracy", "loss"), ("validation", "test"), ("loss", "accuracy")
    ):
        cells[f"{snapshot}_{side}_{quantity}"] = rng.uniform(0.2, 0.9, len(cells))
    return cells.assign(accuracy_epoch=1, loss_epoch=2)


CURVES = make_curves()
CELLS = make_cells(CURVES)


def lines(axis: Axes, style: str, *, mean: bool = False) -> list[np.ndarray]:
    """Heights of the curves of a panel in one style; its black mean apart from the rest."""
    return [
        np.asarray(line.get_ydata())
        for line in axis.get_lines()
        if line.get_linestyle() == style and (str(line.get_color()) == "black") is mean
    ]


def words(figure: Figure) -> str:
    assert figure._supxlabel is not None
    return " ".join(figure._supxlabel.get_text().split())


def drawn(figure: Figure) -> list[Axes]:
    """Panels, without colour bars and empty places."""
    return [
        axis for axis in figure.axes if axis.get_lines() or axis.collections if not hasattr(axis, "_colorbar")
    ]


def stars(axis: Axes) -> np.ndarray:
    (found,) = (
        marks
        for marks in axis.collections
        if isinstance(marks, PathCollection) and marks.get_sizes()[0] > 100
    )
    return np.asarray(found.get_offsets())


# ----------------------------------------------------------------------------------------------------
# Tables


def test_means_are_over_the_other_axis_and_over_seeds(subtests: pytest.Subtests) -> None:
    for by in ["lr", "weight_decay"]:
        for quantity in ["error", "loss"]:
            with subtests.test(by=by, quantity=quantity):
                column = "validation_accuracy" if quantity == "error" else "validation_loss"
                grid = CURVES[column].to_numpy(float).reshape(2, len(RATES), len(DECAYS), 4)
                grid = 1 - grid if quantity == "error" else grid
                expected = grid.mean(axis=2 if by == "lr" else 1)  # seed, value, epoch
                found = averages.averaged(CURVES, by=by, quantity=quantity)
                np.testing.assert_allclose(found["mean"], expected.mean(0).ravel())
                np.testing.assert_allclose(found["lowest"], expected.min(0).ravel())
                np.testing.assert_allclose(found["highest"], expected.max(0).ravel())


def test_the_table_of_dvcs_plots_has_a_row_a_rate_and_epoch() -> None:
    table = averages.by_epoch(CURVES, by="lr")
    assert list(table.columns) == ["lr", "epoch", "validation_error", "validation_loss"]
    assert list(table["lr"].unique()) == [f"{rate:.4f}" for rate in RATES]
    assert len(table) == len(RATES) * 4
    row = table[(table["lr"] == "0.0012") & (table["epoch"] == 3)].iloc[0]
    rows = CURVES[(CURVES["lr"] == 0.0012) & (CURVES["epoch"] == 3)]
    assert row["validation_loss"] == pytest.approx(float(rows["validation_loss"].mean()), abs=1e-6)
    assert row["validation_error"] == pytest.approx(1 - float(rows["validation_accuracy"].mean()), abs=1e-6)


def test_dvcs_templates_read_the_columns_of_the_tables() -> None:
    for by in ["lr", "weight_decay"]:
        template = json.loads((ROOT / ".dvc" / "plots" / f"by_{by}.json").read_text())
        encoding = template["encoding"]
        assert by in averages.by_epoch(CURVES, by=by)
        assert encoding["detail"]["field"] == encoding["color"]["field"] == by
        assert template["data"]["values"] == "<DVC_METRIC_DATA>"


def test_a_cell_that_diverged_leaves_no_mean_instead_of_one_of_the_rest() -> None:
    curves = CURVES.copy()
    curves.loc[0, "validation_loss"] = np.nan
    means = averages.averaged(curves, by="lr", quantity="loss")["mean"]
    assert list(means[means.isna()].index) == [(0.001, 1)]
    figure = sweep_figures.by_lr(curves, quantity="loss")
    assert f"1 of {len(means)} points have no value" in words(figure)


def test_rates_come_in_fives_and_none_alone() -> None:
    report = [round(0.001 + 0.0002 * step, 4) for step in range(46)]
    assert [len(five) for five in averages.panels(report)] == [5] * 8 + [6]
    assert averages.panels(report)[0] == [0.001, 0.0012, 0.0014, 0.0016, 0.0018]
    assert [len(five) for five in averages.panels(range(12))] == [5, 5, 2]
    assert averages.panels([3.0]) == [[3.0]]


def test_labels_have_one_width_and_no_float_dust() -> None:
    assert averages.labels([0.001, 0.1 + 0.2, 0.00025]) == ["0.00100", "0.30000", "0.00025"]
    assert averages.labels([1e-5, 3.0]) == ["0.00001", "3.00000"]


def test_a_winner_a_seed_is_best_by_validation() -> None:
    for snapshot in ["accuracy", "loss"]:
        found = averages.winners(CELLS, snapshot)
        column = f"{snapshot}_validation_{snapshot}"
        best = "max" if snapshot == "accuracy" else "min"
        np.testing.assert_array_equal(found[column], CELLS.groupby("seed")[column].agg(best))
        assert list(found["seed"]) == [0, 1]


def test_of_equal_cells_the_first_of_the_grid_wins() -> None:
    same = {"accuracy_validation_accuracy": 0.5, "accuracy_validation_loss": 0.5}
    cells = CELLS.assign(**same).sample(frac=1, random_state=0)
    found = averages.winners(cells, "accuracy")
    assert set(found["lr"]) == {RATES[0]} and set(found["weight_decay"]) == {DECAYS[0]}


def test_the_best_winner_of_all_seeds_is_the_sweeps() -> None:
    for snapshot in ["accuracy", "loss"]:
        cells = CELLS.round(1)  # many equals
        found = averages.winners(cells, snapshot)
        best = snapshots.winner(cells, snapshot)
        assert [*best[snapshots.CELL]] in found[snapshots.CELL].to_numpy().tolist()


def test_cells_that_diverged_are_counted_and_never_win() -> None:
    cells = CELLS.copy()
    gone = cells["seed"].eq(0) | cells["lr"].eq(0.0012)
    cells.loc[gone, cells.columns.str.startswith(("accuracy", "loss"))] = np.nan
    assert list(averages.winners(cells, "loss")["seed"]) == [1]
    for figure in (selection.grid(cells), selection.validation_and_test(cells)):
        assert f"cells, {gone.sum()} of which diverged" in words(figure)
    assert "seed 1" in words(selection.minibatches(CURVES, cells))


# ----------------------------------------------------------------------------------------------------
# By epoch


def test_figure_1_has_a_line_for_each_rate_and_each_decay_on_one_scale() -> None:
    left, right = drawn(sweep_figures.by_hyperparameter(CURVES, quantity="error"))
    means = averages.averaged(CURVES, by="lr", quantity="error")["mean"].unstack()
    np.testing.assert_allclose(lines(left, "-"), means)
    assert len(lines(right, "-")) == len(DECAYS)
    assert left.get_ylim() == right.get_ylim()
    assert len(left.collections) == len(RATES)  # bands over two seeds


def test_one_seed_has_no_band() -> None:
    left, _ = drawn(sweep_figures.by_hyperparameter(make_curves(seeds=(3,)), quantity="error"))
    assert not left.collections


def test_panels_hold_every_rate_once_on_one_scale(subtests: pytest.Subtests) -> None:
    for quantity in ["error", "loss"]:
        with subtests.test(quantity=quantity):
            figure = sweep_figures.by_lr(CURVES, quantity=quantity)
            axes = drawn(figure)
            means = averages.averaged(CURVES, by="lr", quantity=quantity)["mean"].unstack()
            assert [len(lines(axis, "-")) for axis in axes] == [5, 6]
            np.testing.assert_allclose(np.concatenate([lines(axis, "-") for axis in axes]), means)
            assert len({axis.get_ylim() for axis in axes}) == 1
            assert "The last panel has 6 rates" in words(figure)


def test_the_lowest_of_a_panels_mean_is_marked() -> None:
    figure = sweep_figures.by_lr(CURVES, quantity="loss")
    for axis, five in zip(drawn(figure), averages.panels(RATES), strict=True):
        rows = CURVES[CURVES["lr"].isin(five)]
        mean = rows.astype({"validation_loss": float}).groupby("epoch")["validation_loss"].mean()
        (black,) = lines(axis, "-", mean=True)
        np.testing.assert_allclose(black, mean)
        (dot,) = (line for line in axis.get_lines() if line.get_marker() == "o")
        assert dot.get_xdata() == [mean.idxmin()] and dot.get_ydata() == pytest.approx([mean.min()])
        legend = axis.get_legend()
        assert legend is not None
        assert legend.get_title().get_text() == f"lowest mean {mean.min():.3f} at epoch {mean.idxmin()}"


def test_the_reports_rates_are_dashed_in_the_panel_and_colour_of_ours(tmp_path: Path) -> None:
    rows = [
        (rate + 1e-12, decay, epoch, rate * 100, 0.25)
        for rate in RATES[3:7]
        for decay in (1, 2)
        for epoch in (1, 2)
    ]
    (tmp_path / "log.csv").write_text(HEADER + "".join(f"{','.join(map(repr, row))}\n" for row in rows))
    log = averages.read_log(tmp_path / "log.csv")
    figure = sweep_figures.by_lr(CURVES, quantity="loss", log=log)
    first, second = drawn(figure)
    np.testing.assert_allclose(lines(first, "--"), [[rate * 100] * 2 for rate in RATES[3:5]])
    np.testing.assert_allclose(lines(second, "--"), [[rate * 100] * 2 for rate in RATES[5:7]])
    for axis in (first, second):
        ours = [str(line.get_color()) for line in axis.get_lines() if line.get_linestyle() == "-"]
        for line in axis.get_lines():
            assert line.get_linestyle() != "--" or str(line.get_color()) in ours
    assert "Dashed: the report's log, 4 of its 4 learning rates, averaged over 2 weight decays." in words(
        figure
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "measured here",
        "the report's own log",
        "mean of the panel's rates",
        "mean of those in its log",
    ]


def test_a_log_of_other_rates_is_said_and_not_drawn() -> None:
    log = make_curves(rates=[0.5], seeds=(0,))
    figure = sweep_figures.by_lr(CURVES, quantity="loss", log=log)
    assert not any(lines(axis, "--") for axis in drawn(figure))
    assert "no learning rate of this grid" in words(figure)


def test_a_loss_beyond_all_measure_does_not_set_the_scale_and_is_counted() -> None:
    curves = make_curves(epochs=20).astype({"validation_loss": float})
    curves.loc[curves["epoch"] == 1, "validation_loss"] += 50 * curves["lr"].gt(0.002)
    figure = sweep_figures.by_lr(curves, quantity="loss")
    assert drawn(figure)[0].get_ylim()[1] < 2
    assert f"{sum(rate > 0.002 for rate in RATES)} of {len(RATES) * 20} points lie above the axis." in words(
        figure
    )


# ----------------------------------------------------------------------------------------------------
# What selection is worth


def test_every_cell_is_a_point_and_the_winners_are_stars() -> None:
    axes = drawn(selection.validation_and_test(CELLS))
    kinds = itertools.product(("accuracy", "loss"), ("accuracy", "loss"))
    for axis, (quantity, snapshot) in zip(axes, kinds, strict=True):
        pair = [f"{snapshot}_validation_{quantity}", f"{snapshot}_test_{quantity}"]
        np.testing.assert_allclose(axis.collections[0].get_offsets(), CELLS[pair])
        column = CELLS.groupby("seed")[f"{snapshot}_validation_{snapshot}"]
        best = CELLS.loc[column.idxmax() if snapshot == "accuracy" else column.idxmin()]
        np.testing.assert_allclose(stars(axis), best[pair])
        assert axis.get_xlim() == axis.get_ylim()


def test_the_difference_of_test_and_validation_is_that_of_the_cells() -> None:
    cells = CELLS.assign(accuracy_test_accuracy=CELLS["accuracy_validation_accuracy"] - 0.05)
    axis = drawn(selection.validation_and_test(cells))[0]
    assert axis.get_title().endswith("test - validation: -5.0 points, winner -5.0 points")


def test_the_grid_shows_every_cell_and_stars_at_the_winners() -> None:
    axes = drawn(selection.grid(CELLS))
    kinds = itertools.product(("accuracy", "loss"), ("validation_loss", "test_accuracy"))
    for axis, (snapshot, quantity) in zip(axes, kinds, strict=True):
        (mesh,) = (found for found in axis.collections if isinstance(found, QuadMesh))
        values = CELLS[f"{snapshot}_{quantity}"].to_numpy().reshape(2, len(RATES), len(DECAYS))
        np.testing.assert_allclose(mesh.get_array(), values.mean(0).T)
        best = averages.winners(CELLS, snapshot)  # type: ignore[arg-type]
        expected = [
            [RATES.index(rate) + 0.5, DECAYS.index(decay) + 0.5]
            for rate, decay in zip(best["lr"], best["weight_decay"], strict=True)
        ]
        np.testing.assert_allclose(stars(axis), expected)


def test_minibatches_are_those_of_winners_and_of_the_ends_of_the_grid() -> None:
    cells = CELLS.assign(accuracy_validation_accuracy=0.0, loss_validation_loss=1.0)
    one, other = cells["lr"].eq(0.0014), cells["lr"].eq(0.0022)
    cells.loc[one & cells["weight_decay"].eq(0.006), "loss_validation_loss"] = 0.5
    cells.loc[other & cells["weight_decay"].eq(0.007), "accuracy_validation_accuracy"] = 0.5
    axes = drawn(selection.minibatches(CURVES, cells))
    assert [axis.get_title() for axis in axes] == [
        "lowest rate\nrate 0.0010, decay 0.006",
        "winner by loss\nrate 0.0014, decay 0.006",
        "winner by accuracy\nrate 0.0022, decay 0.007",
        "highest rate\nrate 0.0030, decay 0.006",
    ]
    cell = CURVES[(CURVES["seed"] == 0) & (CURVES["lr"] == 0.0014) & (CURVES["weight_decay"] == 0.006)]
    batches, mean, validation = axes[1].get_lines()
    np.testing.assert_allclose(batches.get_ydata(), np.concatenate(list(cell["batch_loss"])))
    np.testing.assert_allclose(batches.get_xdata(), np.arange(1, 33) / 8)
    np.testing.assert_allclose(mean.get_ydata(), cell["train_loss"])
    np.testing.assert_allclose(validation.get_ydata(), cell["validation_loss"])


def test_a_cell_that_wins_by_both_is_shown_once() -> None:
    cells = CELLS.assign(**dict.fromkeys(CELLS.columns[3:], 0.5))
    titles = [axis.get_title() for axis in drawn(selection.minibatches(CURVES, cells))]
    assert titles == [
        "lowest rate, winner by loss, winner by\naccuracy\nrate 0.0010, decay 0.005",
        "highest rate\nrate 0.0030, decay 0.005",
    ]


# ----------------------------------------------------------------------------------------------------
# Files


def test_all_figures_drawn_twice_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "DPI", 30)
    curves = make_curves(rates=RATES[:3], decays=DECAYS[:2], epochs=2)
    for name in ("one", "other"):
        sweep_figures.draw(curves, make_cells(curves), folder=tmp_path / name, log=curves, about="Songs.")
    names = [f"{name}.png" for name in sweep_figures.NAMES]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(("rates", "decays", "epochs"), [(1, 1, 1)])
def test_the_smallest_grids_can_be_drawn(tmp_path: Path, rates: int, decays: int, epochs: int) -> None:
    curves = make_curves(rates=RATES[:rates], decays=DECAYS[:decays], epochs=epochs, seeds=(0,))
    cells = make_cells(curves)
    for figure in (
        sweep_figures.by_hyperparameter(curves, quantity="error"),
        sweep_figures.by_lr(curves, quantity="loss"),
        selection.validation_and_test(cells),
        selection.grid(cells),
        selection.minibatches(curves, cells),
    ):
        save(figure, tmp_path / "a.png", dpi=30)


# ----------------------------------------------------------------------------------------------------
# The report's log


def test_a_log_is_read_as_curves(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("lr,weight_decay,epoch,val_loss,val_accuracy,run_seconds\n0.001,0.005,1,1.8,0.31,35.0\n")
    row = averages.read_log(path).iloc[0]
    assert dict(row) == {
        "seed": 0,
        "lr": 0.001,
        "weight_decay": 0.005,
        "epoch": 1,
        "validation_loss": 1.8,
        "validation_accuracy": 0.31,
    }


def test_a_bad_log_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for content, problem in [
        (b"", "cannot be read"),
        (b"\xff\xfe\x00\x81 no text", "cannot be read"),
        (b"a,b\n1,2\n1,2,3,4\n", "cannot be read"),
        (b"lr,epoch\n0.1,1\n", "has no weight_decay, val_loss, val_accuracy"),
        (HEADER.encode(), "has no rows"),
        (HEADER.encode() + b"0.1,0.1,1,high,0.5\n", "val_loss is not a number in line 2"),
        (HEADER.encode() + b"0.1,0.1,1,1,0.5\n0.1,0.1,2,,0.5\n", "val_loss is not a number in line 3"),
        (HEADER.encode() + b"0.1,0.1,1,1,0.5\n" * 2, "a cell has an epoch twice"),
    ]:
        with subtests.test(problem=problem):
            path = tmp_path / "log.csv"
            path.write_bytes(content)
            assert_one_sentence(path, problem)


def test_no_log_is_one_sentence(tmp_path: Path) -> None:
    assert_one_sentence(tmp_path / "nowhere.csv", "no such file or directory")
    assert_one_sentence(tmp_path, "is a directory")


def assert_one_sentence(path: Path, problem: Any) -> None:
    with pytest.raises(GenreproError) as refusal:
        averages.read_log(path)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path} is not a log of a sweep: ") and problem in sentence
    assert sentence.endswith("with the columns lr, weight_decay, epoch, val_loss, val_accuracy.")
    assert "\n" not in sentence
