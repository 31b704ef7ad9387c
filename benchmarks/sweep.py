"""A whole sweep against the matrix products it is made of, and against the ViT report's way.

    python benchmarks/sweep.py                    a few minutes: 16 cells of the grid, the rest extrapolated
    python benchmarks/sweep.py --cells 506        the report's first grid end to end

The report's exact head (768-1024-1024-10) on 800 / 100 / 99 embeddings, 25 epochs in batches of 100. Compared
in one run, with the arithmetic that `GENREPRO_NATIVE` says:

    sweep       genrepro.sweep.heads.run as the stage calls it: worker processes started, every result written
    products    the matrix products of one training step alone, in the same shapes, in as many processes
    report      body and head on a batch of 100 pictures, as the report's loop ran them: ViT-B/16, forward
                under no_grad, and the head's step behind it; two batches, extrapolated to all
    stacked     the way of a GPU, many heads at once, on a few cells: what the automatic choice is worth here
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

from genrepro.exact.numerics import num_workers, pin

pin()

import numpy as np
import pandas as pd
import torch

from genrepro import models
from genrepro.base import devices
from genrepro.exact import dense
from genrepro.experiments import entries
from genrepro.models.shared import checkpoint
from genrepro.sweep import heads as sweep, grid, stack
from genrepro.models.shared.inputs import Features
from noop import machine

SIZES = {"train": 800, "validation": 100, "test": 99}
NUM_GENRES, BATCH = 10, 100
LAYERS = ((768, 1024), (1024, 1024), (1024, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description="A sweep of heads against its matrix products.")
    parser.add_argument("--cells", type=int, default=16, help="of the 506, evenly spread")
    parser.add_argument("--stacked", type=int, default=4, help="cells of the comparison of engines; 0: none")
    arguments = parser.parse_args()
    experiment = entries.load()["vit-random-weights-grid-1"]
    assert experiment.sweep is not None
    config = experiment.params
    cells = grid.cells(experiment.sweep, config)
    chosen = [cells[int(number)] for number in np.linspace(0, len(cells) - 1, arguments.cells)]
    features, split = data()
    section = config.architecture()
    description = checkpoint.describe(
        model="vit", section=section, features=features.description, split_sha256="-"
    )

    def seconds(of: list[grid.Cell], engine: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            sweep.run(features, split, config, description, of, folder=Path(folder), engine=engine)
            return time.perf_counter() - begin

    processes = num_workers()
    if len(chosen) <= processes:
        parser.error(
            f"--cells must be more than the {processes} processes: the first round tells what starting costs"
        )
    before = rate(processes)
    # Processes start once, however many cells there are: that is told apart before anything is extrapolated.
    first = seconds(chosen[:processes], "auto")
    took = seconds(chosen, "auto")
    per_second = (before + rate(processes)) / 2  # neighbours come and go
    epochs = config.train.epochs
    work = flops() * epochs * SIZES["train"] // BATCH  # of a cell
    per_round = (took - first) / (len(chosen) / processes - 1)
    whole = first + per_round * (len(cells) / processes - 1)
    batches = (SIZES["train"] + SIZES["validation"]) / BATCH * epochs * len(cells)
    report = with_the_body(section, features.description) * batches
    figures = {
        "share_of_matmul_rate": work * len(chosen) / took / per_second,
        "whole_grid_share": work * len(cells) / whole / per_second,
        "report_over_sweep": report / whole,
        "sweep_s": took,
        "cells": len(chosen),
        "first_round_s": first,
        "sweep_TFLOP": work * len(chosen) / 1e12,
        "whole_grid_s": whole,
        "matmul_GFLOP_per_s": per_second / 1e9,
        "report_s": report,
        "processes": processes,
    }
    if arguments.stacked:
        few = chosen[:: max(1, len(chosen) // arguments.stacked)][: arguments.stacked]
        figures["stacked_over_processes"] = seconds(few, "stacked") / seconds(few, "processes")
    for label, value in figures.items():
        print(f"{label:<28}{value:>14.4g}")
    rounded = {key: float(f"{value:.4g}") for key, value in figures.items()}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else machine()
    arithmetic = "native" if os.environ.get("GENREPRO_NATIVE") == "1" else "pinned"
    print(json.dumps({**rounded, "machine": device, "arithmetic": arithmetic, "torch": torch.__version__}))


def data() -> tuple[Features, pd.DataFrame]:
    """Embeddings of random tracks, genres a little apart, and their split."""
    rng = np.random.default_rng(0)
    number = np.arange(sum(SIZES.values()))
    centre = rng.standard_normal((NUM_GENRES, 768), dtype=np.float32)
    frames = centre[number % NUM_GENRES] * 0.1 + rng.standard_normal((len(number), 768), dtype=np.float32)
    segments = {"duration": 30.0, "vote_duration": 30.0, "num_grid_segments": 1, "num_segments": 1}
    description = {
        "genres": [f"genre{genre}" for genre in range(NUM_GENRES)],
        "mel": {"kind": "picture", "top_db": 80.0},
        "segments": {"representation": "log_mel", "plan": "full", "voting": "mean", **segments},
        "pooling": {"frames": 1, "bands": 1},
        "frame_rate": 11.2,
        "num_bands": 218,
        "mean": -40.0,
        "std": 20.0,
        "sha256": "-",
        "body": {"embedding_size": 768, "num_parameters": 0, "sha256": "-"},
    }
    index = pd.DataFrame(
        {
            "track_id": [f"track{one:05}" for one in number],
            "genre": [f"genre{one % NUM_GENRES}" for one in number],
            "segment": pd.array([None] * len(number), dtype="Int64"),
            "first_frame": number,
            "num_frames": 1,
        }
    )
    index = pd.concat([index.assign(role=role) for role in ("grid", "vote")], ignore_index=True)
    side = np.repeat(list(SIZES), list(SIZES.values()))[rng.permutation(len(number))]
    split = pd.DataFrame({"track_id": [f"track{one:05}" for one in number], "split": side})
    return Features(frames=frames, index=index, description=description), split


def flops() -> int:
    """Of one training step of one head: forward, gradients of weights, of inputs but the embeddings'."""
    passes = [2, 3, 3]
    return sum(
        2 * BATCH * inputs * outputs * number
        for (inputs, outputs), number in zip(LAYERS, passes, strict=True)
    )


def rate(processes: int) -> float:
    """FLOP/s of the products of such a step, nothing else, in so many processes at once."""
    if torch.cuda.is_available():
        return _rate_stacked()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_rate_of_one, range(processes), chunksize=1)  # warm, and all there
        return sum(pool.map(_rate_of_one, range(processes), chunksize=1))


def _rate_of_one(_: int) -> float:
    given = [torch.randn(BATCH, inputs) for inputs, _ in LAYERS]
    weights = [torch.randn(outputs, inputs) for inputs, outputs in LAYERS]
    grads = [torch.randn(BATCH, outputs) for _, outputs in LAYERS]
    best = 0.0
    with dense.arithmetic(torch.device("cpu"), embedded=True), torch.no_grad():
        linear = torch.nn.functional.linear
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(20):
                for number, (one, weight, grad) in enumerate(zip(given, weights, grads, strict=True)):
                    linear(one, weight)
                    linear(grad.t(), one.t())
                    if number:
                        linear(grad, weight.t())
            best = max(best, 20 * flops() / (time.perf_counter() - begin))
    return best


def _rate_stacked() -> float:
    """The same of as many heads as fit on a GPU."""
    head = models.build_head("vit", entries.load()["vit-grid-1"].params.architecture(), num_genres=10)
    number = min(506, stack.fitting(head, device=torch.device("cuda")))
    best = 0.0
    sides = [
        [torch.randn(number, *shape, device="cuda") for shape in ((BATCH, i), (i, o), (BATCH, o))]
        for i, o in LAYERS
    ]
    for _ in range(5):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for position, (one, weight, grad) in enumerate(sides):
            torch.bmm(one, weight)
            torch.bmm(one.transpose(1, 2), grad)
            if position:
                torch.bmm(grad, weight.transpose(1, 2))
        torch.cuda.synchronize()
        best = max(best, number * flops() / (time.perf_counter() - begin))
    return best


def with_the_body(section: dict, inputs: dict) -> float:
    """Seconds of one batch of 100 pictures through body and head, the quieter of two."""
    from genrepro.base.params import load

    compute = devices.compute("32-true")
    model = models.build("vit", section, num_genres=NUM_GENRES, inputs=inputs).to(compute.device)
    optimizer = torch.optim.AdamW(model.head.parameters(), lr=load().train.lr, fused=True)
    pictures = torch.randn(BATCH, 1, 218, 336, device=compute.device)
    labels = torch.arange(BATCH, device=compute.device) % NUM_GENRES
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        with dense.arithmetic(compute.device):
            loss = torch.nn.functional.cross_entropy(model(pictures), labels)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin + 0 * float(loss.detach()))
    return min(times)


if __name__ == "__main__":
    main()
