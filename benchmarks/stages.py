"""The eight stages on the committed default: what each imports, what it takes, and its peak memory.

    make repro && python benchmarks/stages.py     every stage runs once more, as long as `dvc repro`

    imports             of the stage's own process, in s, as `-X importtime` adds them up
    wall, processor     of the whole process and its children, in s; `train` has one epoch
    peak                memory of the stage and its children together, sampled, in MB; shared pages once

In a clone of this checkout's last commit, with this checkout's cache. Times mean something only beside the
machine's name. The ratio is of the imports over those of `import torch`, measured after them.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from experiment import clone
from noop import machine

STAGES = ("download", "catalog", "render", "audit", "split", "features", "train", "evaluate")


def main() -> None:
    parser = argparse.ArgumentParser(description="Imports, time and memory of the eight stages.")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder, "genrepro"))
        params = project / "params.yaml"
        params.write_text(params.read_text().replace("\n  epochs: 100 ", "\n  epochs: 1 "))
        rows = {stage: measured([f"-mstages.{stage}"], project) for stage in arguments.stages}
        torch = min(measured(["-c", "import torch"], project)["imports_s"] for _ in range(3))
    print(f"{'stage':<10}{'imports':>9}{'over torch':>12}{'wall':>8}{'processor':>11}{'peak MB':>9}")
    for stage, row in rows.items():
        print(
            f"{stage:<10}{row['imports_s']:>9.2f}{row['imports_s'] / torch:>12.2f}{row['wall_s']:>8.1f}"
            f"{row['processor_s']:>11.1f}{row['peak_MB']:>9.0f}"
        )
    figures = {
        **{f"{stage}_imports_over_torch": row["imports_s"] / torch for stage, row in rows.items()},
        **{f"{stage}_{key}": value for stage, row in rows.items() for key, value in row.items()},
    }
    print(json.dumps({**{key: round(value, 3) for key, value in figures.items()}, "machine": machine()}))


def used() -> float:
    """Seconds of processor time of all children so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def measured(arguments: list[str], project: Path) -> dict[str, float]:
    """Imports, wall time, processor time and peak memory of Python with these arguments."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    before, begin, peak = used(), time.perf_counter(), 0
    # DVC makes outputs read-only; a stage writes beside them and renames, so nothing needs to be removed.
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said: list[bytes] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)
    reader.start()
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    wall = time.perf_counter() - begin
    reader.join()
    lines = said[0].decode().splitlines()
    if process.returncode:
        sys.exit("\n".join(["failed:", *(line for line in lines if "import time:" not in line)]))
    spent = [re.match(r"import time: +(\d+) \|", line) for line in lines]
    imports = sum(int(found[1]) for found in spent if found) / 1e6
    return {"imports_s": imports, "wall_s": wall, "processor_s": used() - before, "peak_MB": peak / 1e6}


def resident(pid: int) -> int:
    """Bytes that a process and its children hold, what they share counted once."""
    total = 0
    try:
        family = psutil.Process(pid)
        for member in (family, *family.children(recursive=True)):
            total += member.memory_full_info().pss
    except psutil.Error:  # it has ended
        pass
    return total


if __name__ == "__main__":
    main()
