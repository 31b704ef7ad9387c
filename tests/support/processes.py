"""Processes of tests: a server whose forks start at once, and code that torchrun starts in two processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from support.builders import ROOT


class Warm:
    """A process of `support.warm` with the libraries loaded, and a folder of programs that are its forks.

    It answers once ``folder / "door"`` exists.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the path of a socket has 100 characters at most
        door, programs, real = self.folder / "door", self.folder / "bin", Path(sys.executable)
        support = ROOT / "tests" / "support"
        programs.mkdir()
        for name, what in {
            "python": "",
            "dvc": f"'{real.parent}/dvc'",
            "genrepro": f"'{real.parent}/genrepro'",
        }.items():
            program = programs / name
            program.write_text(f"#!/bin/sh\nexec '{real}' -sS '{support}/ask.py' '{door}' {what} \"$@\"\n")
            program.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [real, support / "warm.py", door, ROOT, programs / "python"], env=environment
        )

    def runs(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)


def kill(process: subprocess.Popen) -> None:
    """Kill a program that writes to a pipe, and wait until nobody holds its other end: no fork of `Warm`."""
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL and process.stdout is not None
    with process.stdout as output:
        output.read()


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
