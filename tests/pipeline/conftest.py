"""Checkouts of the project in which a test runs DVC."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support.project import ROOT, Project, copy_of_the_checkout


@pytest.fixture(scope="session", autouse=True)
def warm() -> Iterator[None]:
    """Stages, `genrepro` and `dvc` are forks of a process that has their libraries loaded: `support.warm`."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the path of a socket has 100 characters at most
    door, programs = folder / "door", folder / "bin"
    script = ROOT / "tests" / "support" / "warm.py"
    programs.mkdir()
    for name in ("python", "dvc", "genrepro"):
        what = "" if name == "python" else f'"{Path(sys.executable).parent / name}"'
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -sS "{script}" ask "{door}" {what} "$@"\n')
        program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, script, "serve", door, ROOT, programs / "python"], env=environment
    )
    while not door.exists():
        assert server.poll() is None, "it could not load the libraries"
        time.sleep(0.05)
    Project.first_on_path = [str(programs)]
    yield
    Project.first_on_path = []
    server.kill()
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A fresh small checkout in which nothing has run."""
    return copy_of_the_checkout(tmp_path / "genrepro")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small checkout whose pipeline has run and is committed; tests must not change it, only copy it.

    The first of pytest-xdist's workers that asks makes it, and the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "is-made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            project = copy_of_the_checkout(folder / "genrepro")
            project.run("dvc", "repro")
            project.commit()
            (folder / "is-made").touch()
    return Project(folder / "genrepro")


@pytest.fixture
def reproduced(finished: Project, tmp_path: Path) -> Project:
    """A copy of `finished`, cache and outputs included, that a test may change."""
    return finished.copy(tmp_path / "genrepro")
