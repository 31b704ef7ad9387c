"""Where a training step goes when nothing is pinned: ours and the usual way, operator by operator.

    GENREPRO_NATIVE=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/step.py    two minutes on two quiet cores

A step is forward, cross entropy, backward and AdamW, on one batch of `cases.py`. The other side of `ast` is
transformers' own network with the clipping of its Trainer; that of `vit_tuned` is torchvision's `vit_b_16`.
Both run in one process and take turns. Seconds are of the processor, which other work on the machine changes
least; each side's cheapest step counts. Arithmetic is what torch's profiler counts of products. Its rate is
set beside that of large products (1024 x 1024), timed before every step. Then: the operators that only one
side runs, or runs more often.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from cases import NUM_GENRES, configuration, data, transformers_ast
from noop import machine

CASES = ("ast", "vit_tuned")
ARITHMETIC = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm", "aten::convolution", "aten::conv2d")


def main() -> None:
    parser = argparse.ArgumentParser(description="Where a training step goes when nothing is pinned.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for name in arguments.cases:
        sides = {"ours": ours(name), "theirs": theirs(name)}
        taken: dict[str, list[float]] = {side: [] for side in sides}
        peak = 0.0
        for _ in range(arguments.steps):
            for side, step in sides.items():
                peak = max(peak, products_rate())
                begin = time.process_time()
                step()
                taken[side].append(time.process_time() - begin)
        operators = {side: watched(step) for side, step in sides.items()}
        print(f"{name}: large products {peak / 1e9:.0f} GFLOP per second of processor")
        for side in sides:
            seconds = min(taken[side])
            work = sum(flops for key, (_, flops) in operators[side].items() if key in ARITHMETIC)
            row = {"step_s": seconds, "GFLOP": work / 1e9, "of_peak": work / seconds / peak}
            print(f"  {side:<8}" + "".join(f"{key} {value:.3g}  " for key, value in row.items()))
            figures |= {f"{name}_{side}_{key}": value for key, value in row.items()}
        figures[f"{name}_ours_over_theirs"] = min(taken["theirs"]) / min(taken["ours"])
        print(f"  speed of ours over theirs {figures[f'{name}_ours_over_theirs']:.2f}; calls that differ:")
        for key in sorted(set().union(*operators.values())):
            one, other = (operators[side].get(key, (0, 0))[0] for side in sides)
            if one != other:
                print(f"    {key:<40}{one:>5}{other:>5}")
    print(json.dumps({**{key: round(value, 4) for key, value in figures.items()}, "machine": machine()}))


def watched(step: Callable[[], None]) -> dict[str, tuple[int, int]]:
    """Calls and arithmetic [FLOP] of every operator of a step."""
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as watching:
        step()
    return {
        event.key: (event.count, event.flops)
        for event in watching.key_averages()
        if event.key.startswith("aten::")
    }


def products_rate(size: int = 1024) -> float:
    """Arithmetic of large products in a second of processor [FLOP/s]."""
    one = torch.randn(size, size)
    begin = time.process_time()
    for _ in range(20):
        torch.matmul(one, one)
    return 20 * 2 * size**3 / (time.process_time() - begin)


def ours(name: str) -> Callable[[], None]:
    from genrepro import models
    from genrepro.base import devices
    from genrepro.exact import numerics
    from genrepro.exact.streams import generator
    from genrepro.models.shared import batches
    from genrepro.train import choose

    config = configuration(name)
    numerics.use_torch(0)
    torch.set_deterministic_debug_mode("default")
    packed, split = data(name, config)
    cutter = batches.Cutter(packed.frames, device=devices.device())
    model = models.build(
        config.model, config.architecture(), num_genres=NUM_GENRES, inputs=packed.description
    )
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = choose.optimizer(model, config.train)
    segments = iter(
        batches.of_training(packed, split, cutter, params=config.train, rng=generator(0, "benchmark"))
    )
    x, y = next(segments)

    def step() -> None:
        torch.set_deterministic_debug_mode("error")
        logits = model(x.contiguous(memory_format=torch.channels_last))
        F.cross_entropy(logits, y).backward()
        optimizer.step()
        optimizer.zero_grad()
        torch.set_deterministic_debug_mode("default")

    return step


def theirs(name: str) -> Callable[[], None]:
    config = configuration(name)
    if name == "ast":
        from genrepro.models.shared.segments import segment_frames

        packed, _ = data(name, config)
        length = segment_frames(packed.description)
        network: torch.nn.Module = transformers_ast(config, packed)
        x = torch.randn(config.train.batch_size, length, packed.frames.shape[1])
    else:
        import torchvision

        network = torchvision.models.vit_b_16(num_classes=NUM_GENRES)
        x = torch.randn(config.train.batch_size, 3, 224, 224)
    network.train()
    y = torch.arange(config.train.batch_size) % NUM_GENRES
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=name == "ast")

    def step() -> None:
        if name == "ast":
            network(input_values=x, labels=y).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        else:
            F.cross_entropy(network(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
