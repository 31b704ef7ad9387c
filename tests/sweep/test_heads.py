"""Claims about sweeps: a cell is its single experiment, however many run at once; a killed one goes on."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.builders import Toy, alone, make_params, make_toy

from genrepro import models
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.exact import numerics
from genrepro.exact.streams import integer
from genrepro.features import embeddings
from genrepro.models.shared import checkpoint
from genrepro.sweep import grid, snapshots
from genrepro.sweep import heads as sweep
from genrepro.sweep.grid import Cell, Grid, Range
from genrepro.train import fit as training
from genrepro.train import loop

GRID = Grid(
    lr=Range(first=0.0002, last=0.0006, step=0.0002), weight_decay=(0.01, 0.3), seed=(0, 1), report="none"
)
PLAIN = {"schedule": "constant", "warmup": 0.0, "label_smoothing": 0.0, "mixup": 0.0, "ema": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "default": {},
    "clipped": {"schedule": "one_cycle", "clip_norm": 0.5},
}
VIT = {"size": "tiny", "weights": "none", "image_size": 32}  # what is claimed here is of heads
WIDE = {"kind": "mlp", "depth": 2, "width": 300, "dropout": 0.2}  # wide enough for oneDNN


@dataclasses.dataclass(frozen=True)
class Embedded:
    """The toy's embeddings by a small frozen body."""

    toy: Toy
    config: Params
    description: dict[str, Any]

    @property
    def cells(self) -> list[Cell]:
        return grid.cells(GRID, self.config)

    def sweep(self, folder: Path, *, engine: str, cells: list[Cell] | None = None) -> pd.DataFrame:
        return sweep.run(
            self.toy.features,
            self.toy.split,
            self.config,
            self.description,
            cells or self.cells,
            folder=folder,
            engine=engine,
        )

    def single(self, cell: Cell) -> loop.Fit:
        """As the train stage does it."""
        numerics.use_torch(integer(cell.seed, "train.torch"))
        config = cell.params(self.config)
        return training.run(self.toy.features, self.toy.split, config, self.description)[0]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The toy's embeddings."""
    toy = make_toy(tmp_path_factory.mktemp("embedded"), num_grid_segments=2)
    section = make_params(model="vit", vit=VIT).architecture()
    body = models.with_frozen_body("vit", section, num_genres=3, inputs=toy.features.description)
    made = embeddings.embed(toy.features, toy.split, body, compute=devices.compute("32-true"))
    return Toy(features=made, split=toy.split)


def embedded(base: Toy, head: dict[str, Any], **recipe: Any) -> Embedded:
    config = make_params(model="vit", vit=VIT, head=head, train={"epochs": 3, "batch_size": 5, **recipe})
    description = checkpoint.describe(
        model="vit",
        section=config.architecture(),
        features=base.features.description | {"sha256": "-"},
        split_sha256="-",
    )
    return Embedded(base, config, description)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENREPRO_WORKERS", "1")


@pytest.mark.parametrize(
    ("head", "recipe"),
    [(WIDE, "plain"), (WIDE, "default"), (WIDE, "clipped"), ({"kind": "report"}, "default")],
    ids=["mlp-plain", "mlp-default", "mlp-clipped", "report-default"],
)
def test_every_cell_is_its_single_experiment(
    base: Toy, recipe: str, head: dict[str, Any], tmp_path: Path
) -> None:
    of = embedded(base, head, **RECIPES[recipe])
    cells = of.cells if head is WIDE else of.cells[::5]
    alone = of.sweep(tmp_path / "alone", engine="processes", cells=cells)
    stacked = of.sweep(tmp_path / "stacked", engine="stacked", cells=cells)
    for cell in cells:
        curves = of.single(cell).curves
        for found, tolerance in ((alone, 0.0), (stacked, 1e-4)):
            rows = found[(found["seed"] == cell.seed) & (found["lr"] == cell.lr)]
            rows = rows[rows["weight_decay"] == cell.weight_decay]
            assert rows["epoch"].tolist() == [1, 2, 3]
            for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
                expected = [getattr(epoch, name) for epoch in curves]
                # Stored in float32.
                np.testing.assert_allclose(rows[name], np.float32(expected), rtol=0, atol=tolerance)
    assert alone["validation_loss"].nunique() > len(cells)  # heads do differ


def test_batches_are_recorded_with_the_losses_of_their_epoch(base: Toy, tmp_path: Path) -> None:
    of = embedded(base, WIDE, **PLAIN)
    rows = of.sweep(tmp_path / "partial", engine="stacked")
    other = of.sweep(tmp_path / "other", engine="processes")
    sizes = np.full(3, 4)  # 12 tracks in batches as equal as they can be
    for batch_loss, train_loss in zip(rows["batch_loss"], rows["train_loss"], strict=True):
        assert np.dot(batch_loss, sizes / 12) == pytest.approx(train_loss, abs=1e-6)
    np.testing.assert_allclose(
        np.stack(rows["batch_loss"].tolist()), np.stack(other["batch_loss"].tolist()), atol=1e-4
    )
    np.testing.assert_array_equal(
        np.stack(rows["batch_accuracy"].tolist()), np.stack(other["batch_accuracy"].tolist())
    )


def test_a_snapshots_test_result_is_that_of_the_evaluated_experiment(base: Toy, tmp_path: Path) -> None:
    from genrepro.evaluate import scores as evaluation

    of = embedded(base, WIDE, select="validation_loss")
    cell = of.cells[0]
    rows = snapshots.table(of.sweep(tmp_path / "partial", engine="processes", cells=[cell]))
    fitted = of.single(cell)
    head = models.build_head("vit", of.description["vit"], num_genres=3)
    head.load_state_dict(fitted.state)
    description = of.description | {"data": {"features_sha256": "-"}}
    features = dataclasses.replace(of.toy.features, description=of.toy.features.description | {"sha256": "-"})
    scores = evaluation.run(
        head, description, features, of.toy.split, group=alone(of.toy.split), params=of.config.evaluate
    )
    assert rows.loc[0, "loss_epoch"] == fitted.best.epoch
    assert rows.loc[0, "loss_test_accuracy"] == pytest.approx(scores.test["accuracy"], abs=1e-6)
    assert rows.loc[0, "loss_test_loss"] == pytest.approx(scores.test["log_loss"], abs=1e-5)


def test_heads_come_in_chunks_that_fit(base: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genrepro.sweep import stack

    of = embedded(base, WIDE)
    whole = of.sweep(tmp_path / "whole", engine="stacked")
    seen: list[int] = []
    fit = stack.fit
    monkeypatch.setattr(stack, "fitting", lambda head, device: 4)
    monkeypatch.setattr(
        stack, "fit", lambda *args, **given: seen.append(len(given["lr"])) or fit(*args, **given)
    )
    chunked = of.sweep(tmp_path / "chunked", engine="stacked")
    assert seen == [4, 2, 4, 2]  # six cells a seed; a chunk never mixes seeds
    pd.testing.assert_frame_equal(whole, chunked, rtol=0, atol=1e-6)


def test_a_killed_sweep_trains_only_what_is_missing(
    base: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = embedded(base, WIDE)
    folder = tmp_path / "partial"
    trained: list[Cell] = []
    train_cell = sweep.train_cell

    def killed_at_the_third(task: Any, cell: Cell) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(cell)
        return train_cell(task, cell)

    monkeypatch.setattr(sweep, "train_cell", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        of.sweep(folder, engine="processes")
    monkeypatch.setattr(
        sweep, "train_cell", lambda task, cell: trained.append(cell) or train_cell(task, cell)
    )
    resumed = of.sweep(folder, engine="processes")
    assert trained == of.cells
    pd.testing.assert_frame_equal(resumed, of.sweep(tmp_path / "undisturbed", engine="processes"))


def test_another_sweep_takes_nothing_up(base: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = embedded(base, WIDE)
    of.sweep(tmp_path / "partial", engine="processes", cells=of.cells[:1])
    (kept,) = (tmp_path / "partial").iterdir()
    longer = dataclasses.replace(
        of, config=dataclasses.replace(of.config, train=dataclasses.replace(of.config.train, epochs=2))
    )
    rows = longer.sweep(tmp_path / "partial", engine="processes", cells=of.cells[:1])
    assert len(rows) == 2 and not kept.exists()


def test_two_processes_give_the_same_bytes(
    base: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = embedded(base, WIDE)
    one = of.sweep(tmp_path / "one", engine="processes", cells=of.cells[:2])
    monkeypatch.setenv("GENREPRO_WORKERS", "2")
    two = of.sweep(tmp_path / "two", engine="processes", cells=of.cells[:2])
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=0)


def test_a_model_without_a_frozen_body_is_sent_to_the_queue(toy: Toy, tmp_path: Path) -> None:
    config = make_params(model="cnn")
    with pytest.raises(GenreproError, match="genrepro sweep queue"):
        sweep.run(toy.features, toy.split, config, {}, [], folder=tmp_path)


def test_what_a_sweep_cannot_do_is_one_sentence(base: Toy, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for changes, engine, words in [
        ({"patience": 2}, "auto", "train.patience must be 0"),
        ({}, "quantum", "the engine 'quantum' is unknown"),
    ]:
        with subtests.test(words=words):
            of = embedded(base, WIDE, **changes)
            with pytest.raises(GenreproError, match=words):
                of.sweep(tmp_path / "partial", engine=engine)
            assert not (tmp_path / "partial").exists()


def test_a_stack_of_heads_is_bounded_by_memory() -> None:
    from genrepro.sweep import stack

    small, large = torch.nn.Linear(10, 10), torch.nn.Linear(1000, 1000)
    cpu = torch.device("cpu")
    assert stack.fitting(small, device=cpu) > stack.fitting(large, device=cpu) >= 1


def test_nothing_is_left_half_written(base: Toy, tmp_path: Path) -> None:
    of = embedded(base, WIDE)
    of.sweep(tmp_path / "partial", engine="stacked")
    assert len(list((tmp_path / "partial").iterdir())) == len(of.cells)
    shutil.rmtree(tmp_path / "partial")
