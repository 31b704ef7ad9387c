"""The fit loop against a bare forward/backward/step loop of the same module over the same number of batches.

    make repro && python benchmarks/fit.py

The bare loop has its batches cut beforehand, no augmentation, no average of the weights, no schedule: the
least that training these weights can cost. Both run in turn, in one process, on the features and the recipe
of params.yaml; the fit loop validates on one track, so that what is left is its own overhead.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import stages  # noqa: F401 - first, since it pins instruction sets and threads before numpy loads

import torch
from torch.nn import functional as F

from genrepro import devices, features, models, numerics, params, training
from genrepro.batches import Cutter, EvenSegments, RandomCrops
from genrepro.streams import generator
from noop import machine

ROUNDS = 5


def main() -> None:
    config = params.load()
    config = replace(config, train=replace(config.train, epochs=1))
    numerics.use_torch(0)
    data = Path("data", config.dataset)
    packed, split = features.load(data / "features"), features.read_split(data / "split.csv")
    train = features.spans(packed.index, split, side="train", genres=packed.genres)
    one = split[split["split"] == "validation"].head(1)
    validation = features.spans(packed.index, one, side="validation", genres=packed.genres)
    fabric = devices.fabric(config.train.precision)
    cutter = Cutter(packed.frames, device=fabric.device)
    voters = EvenSegments(cutter, validation, segment_frames=1, num_segments=1)

    def crops() -> RandomCrops:
        return RandomCrops(
            cutter,
            train,
            segment_frames=features.segment_frames(packed.description),
            batch_size=config.train.batch_size,
            time_stretch=config.train.time_stretch,
            rng=generator(0, "benchmark"),
        )

    layout = torch.channels_last  # what the fit loop uses
    batches = [(segments.contiguous(memory_format=layout), labels) for segments, labels in crops()]

    def build() -> torch.nn.Module:
        return models.build(config.model, config.section(config.model), num_genres=len(packed.genres))

    def fit_loop() -> None:
        training.fit(
            build(),
            crops=crops(),
            voters=voters,
            num_genres=len(packed.genres),
            params=config.train,
            fabric=fabric,
            rng=generator(0, "benchmark"),
        )

    def bare_loop() -> None:
        model = build().to(fabric.device, memory_format=layout).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.lr)
        for segments, labels in batches:
            with fabric.autocast():
                loss = F.cross_entropy(model(segments), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    for loop in (fit_loop, bare_loop):
        seconds(loop, fabric.device)
    pairs = [(seconds(fit_loop, fabric.device), seconds(bare_loop, fabric.device)) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(values) for values in zip(*pairs, strict=True))
    overhead = statistics.median(a / b for a, b in pairs) - 1
    print(f"{'loop':<12}{'segments/s':>12}\n{'fit':<12}{len(train.label) / ours:>12.1f}")
    print(f"{'bare':<12}{len(train.label) / bare:>12.1f}")
    figures = {"fit_overhead": overhead, "fit_s": ours, "bare_s": bare, "rounds": ROUNDS}
    print(json.dumps({**{k: round(v, 4) for k, v in figures.items()}, "machine": machine()}))


def seconds(loop: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    loop()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
