"""The fit loop against a bare loop of the same module, and against what a user would train with instead.

    python benchmarks/train.py          about four minutes on two cores; --cases cnn ast for less

The contestants of a case have batches of the same size, shape and precision, made here (`cases.py`):

    fit         genrepro.train.loop.fit without augmentation and average: the same work as the bare loop
    augmented   genrepro.train.loop.fit with the recipe of params.yaml
    bare        the same module and arithmetic, data on the device: forward, cross entropy, backward, AdamW
    native      fit with GENREPRO_NATIVE=1: what the pinned arithmetic costs (on a CPU)
    user        for ast transformers' Trainer on precomputed inputs; for vit the loop of torchvision's own
                script, vit_b_16 on an ImageFolder of PNGs, frozen with its body in the loop under no_grad
    embed       the frozen body once on every segment, as the features stage runs it
    lr          a whole training with the recipe of params.yaml on embeddings: what another train.lr costs

`user` runs as it comes, with default threads and kernels, but for one thing that all have in common: threads
that wait do not spin (OMP_WAIT_POLICY), so that work beside it does not decide who wins.

Each is a process of its own. They take turns of a few steps; ratios are of each one's quietest turn, those
that end in `busy` of its least processor time. Memory is the peak of a process, on a GPU of its tensors.
Utilisation is the model's own arithmetic over the GPU's published bfloat16 rate; on a CPU, over that of large
matrix products measured here, nothing pinned.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import torch

from cases import CASES, GPU, NUM_TRACKS, WHOLE, draw
from noop import machine

# Dense bfloat16 in NVIDIA's data sheets [FLOP/s]; the first name that the device's contains.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
# ViT-B/16's forward pass on one picture [FLOP]: 196 patches of 768 values, 12 blocks over 197 tokens, each
# 24 n d^2 + 4 n^2 d. The backward pass costs twice that.
FORWARD = 2 * 196 * 768**2 + 12 * (24 * 197 * 768**2 + 4 * 197**2 * 768)
RATIOS = (
    ("fit", "bare"),
    ("fit", "user"),
    ("native", "user"),
    ("augmented", "user"),
    ("augmented", "fit"),
    ("fit", "native"),
)
LABELS = {
    "fit": "fit",
    "augmented": "fit, default recipe",
    "native": "fit, not pinned",
    "bare": "bare loop",
    "user": "Trainer, torchvision's loop",
    "embed": "embedding, once",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The fit loop against a bare loop and the usual ones.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, help="turns of each contestant instead of the case's own")
    arguments = parser.parse_args()
    wanted = arguments.cases
    seconds: dict[tuple[str, str], tuple[float, float]] = {}
    memory: dict[tuple[str, str], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        number = max(num_samples(name, "user") for name in ("vit_frozen", "vit_tuned"))
        draw(Path(folder, "pictures"), number=number)
        for name in wanted:
            rounds = arguments.rounds or CASES[name].rounds
            race(name, rounds, folder=Path(folder), seconds=seconds, memory=memory)
    whole = {key: seconds.pop(key) for key in list(seconds) if key[1] == "lr"}
    rate = {key: num_samples(*key) / wall for key, (wall, _) in seconds.items()}
    # The same by processor time, which work beside it changes less; of a GPU it says nothing.
    busy = {} if GPU else {key: num_samples(*key) / value for key, (_, value) in seconds.items()}
    figures = {
        f"{name}_{one}_over_{other}{suffix}": per_second[name, one] / per_second[name, other]
        for name in wanted
        for one, other in RATIOS
        for suffix, per_second in (("", rate), ("_busy", busy))
        if (name, one) in per_second and (name, other) in per_second
    }
    peak = peak_rate()
    for key, passes in ((("vit_tuned", "fit"), 3), (("vit_frozen", "embed"), 1)):
        if key in rate:
            figures["_".join([*key, "utilisation"])] = passes * FORWARD * rate[key] / peak
    print(f"{'samples/s (peak MB)':<28}" + "".join(f"{name:>18}" for name in wanted))
    for contestant, label in LABELS.items():
        keys = [(name, contestant) for name in wanted]
        cells = [f"{rate[key]:.4g} ({memory[key]})" if key in rate else "" for key in keys]
        print(f"{label:<28}" + "".join(f"{cell:>18}" for cell in cells))
    for label, value in figures.items():
        print(f"{label:<36}{value:>10.3f}")
    figures |= {f"{name}_{contestant}_per_s": value for (name, contestant), value in rate.items()}
    figures |= {"matmul_TFLOP_per_s": peak / 1e12}
    if "cnn" in wanted:
        figures["cnn_epoch_s"] = seconds["cnn", "augmented"][0]
        print(f"an epoch of the CNN, {NUM_TRACKS} tracks: {figures['cnn_epoch_s']:.3f} s")
    if "vit_frozen" in wanted:
        figures["lr_change_s"] = whole["vit_frozen", "lr"][0]
        num_tracks = CASES["vit_frozen"].num_tracks
        print(f"another train.lr on embeddings of {num_tracks} tracks: {figures['lr_change_s']:.1f} s")
    figures |= {f"{name}_{contestant}_peak_MB": value for (name, contestant), value in memory.items()}
    rounded = {key: float(f"{value:.4g}") for key, value in figures.items()}
    device = torch.cuda.get_device_name() if GPU else machine()
    print(json.dumps({**rounded, "machine": device, "torch": torch.__version__}))


def race(
    name: str,
    rounds: int,
    *,
    folder: Path,
    seconds: dict[tuple[str, str], tuple[float, float]],
    memory: dict[tuple[str, str], int],
) -> None:
    """Add the seconds of every contestant's quietest turn, its least processor time, its peak memory [MB]."""
    case = CASES[name]
    processes = {contestant: start(contestant, name, folder) for contestant in case.contestants}
    turns: dict[str, list[list[float]]] = {contestant: [] for contestant in processes}
    try:
        for number in range(rounds):
            for contestant, process in processes.items():
                if number < 2 or contestant not in (*WHOLE, "lr") or not case.slow_steps:
                    turns[contestant].append(ask(process, "go"))
        for contestant, process in processes.items():
            wall, busy = (min(values) for values in zip(*turns[contestant], strict=True))
            seconds[name, contestant] = wall, busy
            memory[name, contestant] = int(ask(process, "end")[0])
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def start(contestant: str, name: str, folder: Path) -> "subprocess.Popen[str]":
    side = "user" if contestant == "user" else "ours"
    return subprocess.Popen(
        [
            sys.executable,
            Path(__file__).with_name("trainers.py"),
            side,
            contestant,
            name,
            folder / "pictures",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "GENREPRO_NATIVE": "1" if contestant == "native" else "0",
            "OMP_WAIT_POLICY": "PASSIVE",
        },
    )


def ask(process: "subprocess.Popen[str]", word: str) -> list[float]:
    assert process.stdin is not None and process.stdout is not None
    print(word, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{process.args} ended before its turn; it has said why above.")
    return [float(value) for value in answer.split()]


def num_samples(name: str, contestant: str) -> int:
    """In a turn."""
    case = CASES[name]
    return case.batch_size * (case.slow_steps if case.slow_steps and contestant in WHOLE else case.steps)


def peak_rate() -> float:
    """FLOP/s that the device can do: published, or measured here where no figure is known."""
    if GPU:
        for name, published in PEAKS.items():
            if name in torch.cuda.get_device_name():
                return published
    size = 8192 if GPU else 1024
    one = torch.randn(
        size, size, dtype=torch.bfloat16 if GPU else torch.float32, device="cuda" if GPU else "cpu"
    )
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        torch.matmul(one, one)
        if GPU:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 2 * size**3 / min(times)


if __name__ == "__main__":
    main()
