"""Train a grid of heads on the embeddings of a frozen body, each as its single experiment would.

On a CPU every processor runs a process with one thread, which trains one head at a time. A head's weights and
moments then stay in the processor's cache, no thread waits for another, and the result equals that of the
single experiment to the bit. On a GPU as many heads as fit train at once (`stack`). Finished heads are kept
in a folder, so that a killed sweep goes on where it stopped.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from genrepro.base import tables
from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.base.params import Params
from genrepro.exact import numerics
from genrepro.exact.streams import generator, integer
from genrepro.models.shared.inputs import Features
from genrepro.sweep.grid import Cell

# A cell's rows while a sweep runs. Of the test results, two epochs are kept at the end (`snapshots`).
_ROWS = pa.schema(
    [
        *tables.SWEEP,
        pa.field("test_loss", pa.float32()),
        pa.field("test_accuracy", pa.float32()),
        pa.field("test_predicted", pa.list_(pa.int16())),  # of each test track, as a position in the genres
    ]
)


# The keys of params.yaml's train that cells may differ in. (`select` does not matter: all epochs are kept.)
_OF_CELL = ("lr", "weight_decay", "select")


@dataclass(frozen=True, kw_only=True)
class _Task:
    """Everything that training a cell needs, except the cell."""

    features: Features
    split: pd.DataFrame
    config: Params
    description: dict[str, Any]


def run(
    features: Features,
    split: pd.DataFrame,
    config: Params,
    description: dict[str, Any],
    cells: Sequence[Cell],
    *,
    folder: Path,
    engine: str = "auto",
) -> pd.DataFrame:
    """Train a head for every cell.

    Parameters
    ----------
    features : Features
        Embeddings of a frozen body.
    split : DataFrame
    config : Params
        The parameters that all cells share.
    description : dict
        model.json, as `checkpoint.describe` makes it.
    cells : sequence of Cell
        Sorted.
    folder : Path
        Keeps the finished heads. The same sweep goes on from it. The caller removes it after writing the
        result.
    engine : str
        ``processes``: ``GENREPRO_WORKERS`` processes, each with one head. ``stacked``: many heads at once on
        one device. ``auto``: the faster of the two, which is processes on a CPU and stacked elsewhere.

    Returns
    -------
    DataFrame
        Columns of `tables.SWEEP`, ``test_loss``, ``test_accuracy`` and ``test_predicted``, sorted by cell and
        epoch.

    Raises
    ------
    GenreproError
        If the body is not frozen, or if early stopping is on.
    """
    from genrepro.base import devices
    from genrepro.train import resume

    if not features.embedded:
        raise GenreproError(
            f"sweep: {config.model} has no frozen body, so each cell is a whole training: "
            "`genrepro sweep queue` writes the grid into DVC's queue."
        )
    if config.train.optimizer != "adamw":
        raise GenreproError(
            f"sweep: a grid of rates is for AdamW, and train.optimizer = {config.train.optimizer}: set it to "
            "adamw, or train it alone with `dvc exp run`."
        )
    if config.train.start != "none":
        raise GenreproError("sweep: train.start must be none, because every head is new on a frozen body.")
    if config.train.patience:
        raise GenreproError("sweep: train.patience must be 0, so that every head runs all its epochs.")
    device = devices.device()
    if engine == "auto":
        engine = "processes" if device.type == "cpu" else "stacked"
    if engine not in _ENGINES:
        raise GenreproError(
            f"sweep: the engine {engine!r} is unknown; choose auto or {' or '.join(_ENGINES)}."
        )
    shared = {key: value for key, value in config.section("train").items() if key not in _OF_CELL}
    identity = resume.digest(
        {
            **description,
            "train": shared,
            "device": device.type,
            "engine": engine,
            "pinned": numerics.pinned(),
        }
    )
    paths = {cell: folder / f"{_name(identity, cell)}.parquet" for cell in cells}
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.iterdir()) - set(paths.values()):
        stale.unlink()
    waiting = [cell for cell, path in paths.items() if not path.exists()]
    task = _Task(features=features, split=split, config=config, description=description)
    with tqdm(
        total=len(cells), initial=len(cells) - len(waiting), desc="sweep", unit=" heads", disable=None
    ) as bar:
        for cell, rows in _ENGINES[engine](task, waiting):
            with replacing(paths[cell]) as partial:
                pq.write_table(rows, partial)
            bar.update()
    return pa.concat_tables(pq.read_table(paths[cell], schema=_ROWS) for cell in cells).to_pandas()


def tested_tracks(features: Features, split: pd.DataFrame, *, group: pd.Series) -> pd.DataFrame:
    """``track_id``, ``genre`` and ``group`` of the test tracks, in the order of ``test_predicted``."""
    import torch

    from genrepro.models.shared import batches

    cutter = batches.Cutter(features.frames, device=torch.device("cpu"), embedded=True)
    test = batches.of_vote(features, split, cutter, side="test")
    label = np.zeros(len(test.spans.track_ids), np.int64)
    label[test.track] = test.label
    track_ids = test.spans.track_ids
    genre = np.array(features.genres, object)[label]
    return pd.DataFrame({"track_id": track_ids, "genre": genre, "group": group.loc[track_ids].to_numpy()})


def train_winner(
    features: Features, split: pd.DataFrame, config: Params, description: dict[str, Any], *, folder: Path
) -> None:
    """Train one cell again and save its model in ``folder``, as the train stage would.

    Parameters
    ----------
    features : Features
    split : DataFrame
    config : Params
        The parameters of the cell.
    description : dict
        See `run`.
    folder : Path
        For ``model.safetensors`` and ``model.json``.
    """
    from genrepro.models.shared import checkpoint
    from genrepro.train import fit

    numerics.use_torch(integer(config.seed, "train.torch"))
    fitted, _ = fit.run(features, split, config, description)
    checkpoint.save(folder, fitted.state, dict(description))


def train_cell(task: _Task, cell: Cell) -> pa.Table:
    """Train one head as the train stage would, in this process."""
    import torch

    from genrepro.models.shared import batches
    from genrepro.models.shared.voting import segment_probabilities, vote
    from genrepro.train import fit, objectives

    numerics.use_torch(integer(cell.seed, "train.torch"))
    cutter = batches.Cutter(task.features.frames, device=torch.device("cpu"), embedded=True)
    test = batches.of_vote(task.features, task.split, cutter, side="test")
    voting = task.description["segments"]["voting"]
    rows: list[dict[str, Any]] = []

    def watch(epoch: Any, model: Any, losses: list[float], accuracies: list[float]) -> None:
        voted = vote(segment_probabilities(model, test), test.track, how=voting)
        loss, accuracy = objectives.track_scores(voted, test)
        of_test = {"test_loss": loss, "test_accuracy": accuracy, "test_predicted": voted.argmax(1)}
        rows.append(
            asdict(cell) | asdict(epoch) | {"batch_loss": losses, "batch_accuracy": accuracies} | of_test
        )

    fit.run(task.features, task.split, cell.params(task.config), task.description, watch=watch)
    return pa.Table.from_pylist(rows, schema=_ROWS)


def _processes(task: _Task, cells: Sequence[Cell]) -> Iterator[tuple[Cell, pa.Table]]:
    """Train one head in each process, on one thread."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    num_workers = min(numerics.num_workers(), len(cells))
    if num_workers <= 1:
        yield from ((cell, train_cell(task, cell)) for cell in cells)
        return
    # Not loky: it replaces a worker whose memory has grown, which `numerics` lets allocators do on purpose.
    pool = ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(task,),
    )
    try:
        yield from zip(cells, pool.map(_train_in_worker, cells), strict=True)
    except BrokenProcessPool as error:
        raise GenreproError(
            "sweep: a worker process was killed, as for want of memory; what is finished is kept: run again, "
            f"with GENREPRO_WORKERS below {num_workers}."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_task: _Task | None = None
"""In a worker process: its data, which are sent once and not with each cell."""


def _begin_worker(task: _Task) -> None:
    import multiprocessing
    import os
    import threading

    global _task
    _task = task
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        parent.join()
        os._exit(1)  # the process that waited for the results was killed

    threading.Thread(target=end_with_it, daemon=True).start()


def _train_in_worker(cell: Cell) -> pa.Table:
    assert _task is not None
    return train_cell(_task, cell)


def _stacked(task: _Task, cells: Sequence[Cell]) -> Iterator[tuple[Cell, pa.Table]]:
    """Train as many heads of one seed at once as fit on the device. They share their batches."""
    import torch

    from genrepro import models
    from genrepro.base import devices
    from genrepro.models.shared import batches
    from genrepro.models.shared.body import standardise
    from genrepro.sweep import stack

    features, config, params = task.features, task.config, task.config.train
    compute = devices.compute(params.precision)
    cutter = batches.Cutter(features.frames, device=compute.device, embedded=True)
    validation, test = (
        batches.of_vote(features, task.split, cutter, side=side) for side in ("validation", "test")
    )
    for seed in dict.fromkeys(cell.seed for cell in cells):
        of_seed = [cell for cell in cells if cell.seed == seed]
        size = None
        while of_seed:
            numerics.use_torch(integer(seed, "train.torch"))
            head = models.build_head(
                config.model,
                task.description[config.model],
                num_genres=len(features.genres),
                inputs=task.description,
            )
            standardise(head, batches.training_rows(features, task.split))
            size = size or stack.fitting(head, device=compute.device)
            chunk, of_seed = of_seed[:size], of_seed[size:]
            rng = generator(seed, "train.batches")
            steps = list(
                stack.fit(
                    head,
                    lr=[cell.lr for cell in chunk],
                    weight_decay=[cell.weight_decay for cell in chunk],
                    training_segments=batches.of_training(
                        features, task.split, cutter, params=params, rng=rng
                    ),
                    validation=validation,
                    test=test,
                    voting=task.description["segments"]["voting"],
                    num_genres=len(features.genres),
                    params=params,
                    compute=compute,
                    rng=rng,
                )
            )
            for number, cell in enumerate(chunk):
                yield cell, _rows_of(cell, number, steps)
            if compute.device.type == "cuda":
                torch.cuda.empty_cache()  # the next chunk asks how much is free


def _rows_of(cell: Cell, number: int, steps: Sequence[Any]) -> pa.Table:
    """The rows of one head of a stack."""
    rows = []
    for epoch, step in enumerate(steps, start=1):
        loss, accuracy = step.batch_loss[number], step.batch_accuracy[number]
        share = step.num_segments / step.num_segments.sum()
        rows.append(
            asdict(cell)
            | {
                "epoch": epoch,
                "train_loss": float(np.sum(loss * share)),
                "train_accuracy": float(np.sum(accuracy * share)),
                "batch_loss": loss.tolist(),
                "batch_accuracy": accuracy.tolist(),
            }
            | dict(zip(("validation_loss", "validation_accuracy"), step.validation[number], strict=True))
            | dict(zip(("test_loss", "test_accuracy"), step.test[number], strict=True))
            | {"test_predicted": step.test_predicted[number]}
        )
    return pa.Table.from_pylist(rows, schema=_ROWS)


_ENGINES = {"processes": _processes, "stacked": _stacked}


def _name(identity: str, cell: Cell) -> str:
    return hashlib.sha256(f"{identity} {cell}".encode()).hexdigest()[:40]
