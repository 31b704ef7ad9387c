"""Code that torchrun starts in two processes, on one machine."""

import os
import subprocess
from pathlib import Path

from support.builders import ROOT


def in_two(code: str, *arguments: Path, python: Path) -> None:
    """Run ``code`` in two processes that know of each other."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    run([*launcher, python, "-c", code, *arguments], python=python)


def in_one(code: str, *arguments: Path, python: Path) -> None:
    """Run ``code`` in a process of its own."""
    run(["-c", code, *arguments], python=python)


def run(command: list[str | Path], *, python: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))}
    done = subprocess.run(
        [python, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
