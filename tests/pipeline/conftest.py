"""Checkouts of the project in which a test runs DVC."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from support.project import Project, copy_of_the_checkout


@pytest.fixture(scope="session", autouse=True)
def warm_projects(warm: Path) -> Iterator[None]:
    """Stages, `genrepro` and `dvc` of projects are forks of a process that has their libraries loaded."""
    Project.first_on_path = [str(warm)]
    yield
    Project.first_on_path = []


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A fresh small checkout in which nothing has run."""
    return copy_of_the_checkout(tmp_path / "genrepro")


@pytest.fixture(scope="session")
def finished(shared: Path) -> Project:
    """A small checkout whose pipeline has run and is committed; tests must not change it, only copy it."""
    folder = shared / "a finished checkout"  # DVC and the stages run in a folder with spaces
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
