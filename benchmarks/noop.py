"""`dvc repro` with nothing to do: this pipeline against a dummy project of one stage, in turn.

    make repro && python benchmarks/noop.py

The difference is what eight stages with their parameters, dependencies and outputs cost to look through; the
start of DVC itself is in both. Whole processes, wall time, medians; the ratio is of paired runs.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
DVC = [sys.executable, "-m", "dvc", "repro"]


def main() -> None:
    # Stages run `python`: the environment's own must be the one that is found.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        dummy = one_stage_project(Path(folder))
        here = Path.cwd()
        for project in (here, dummy):  # nothing is left to do, and everything is in the page cache
            seconds(project)
        pairs = [(seconds(here), seconds(dummy)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{'project':<22}{'seconds':>9}")
    print(f"{'genrepro, 8 stages':<22}{ours:>9.2f}")
    print(f"{'dummy, 1 stage':<22}{theirs:>9.2f}")
    figures = {"noop_ratio": ratio, "genrepro_s": ours, "dummy_s": theirs, "rounds": ROUNDS}
    print(json.dumps({**{k: round(v, 3) for k, v in figures.items()}, "machine": machine()}))


def one_stage_project(folder: Path) -> Path:
    """A DVC project with one stage that has run."""
    (folder / "dvc.yaml").write_text("stages:\n  dummy:\n    cmd: echo done > out\n    outs: [out]\n")
    for command in (["git", "init", "--quiet"], [*DVC[:3], "init", "--quiet"], DVC):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def seconds(project: Path) -> float:
    """Wall time of `dvc repro` in ``project``, where it must find nothing to do."""
    start = time.perf_counter()
    done = subprocess.run(DVC, cwd=project, check=True, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    if "Running stage" in done.stdout:
        sys.exit(f"{project} had something to do: run `make repro` first.")
    return elapsed


def machine() -> str:
    """The processor's name and count."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{names[0].split(': ')[1] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
