"""Checkouts of the project in which a test runs DVC."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.project import Project, copy_of_the_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A fresh small checkout in which nothing has run."""
    return copy_of_the_checkout(tmp_path / "genrepro")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small checkout whose pipeline has run and is committed; tests must not change it, only copy it."""
    project = copy_of_the_checkout(tmp_path_factory.mktemp("finished") / "genrepro")
    project.run("dvc", "repro")
    project.commit()
    return project


@pytest.fixture
def reproduced(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of `finished`, cache and outputs included, that a test may change."""
    shutil.copytree(finished.path, tmp_path / "genrepro", symlinks=True)
    yield Project(tmp_path / "genrepro")


@pytest.fixture
def wait_for_queue() -> Callable[[Project], None]:
    """Block until the queue's workers have nothing left, or fail after five minutes."""

    def wait(project: Project) -> None:
        import time

        for _ in range(300):
            status = project.run("dvc", "queue", "status").stdout
            if "Queued" not in status and "Running" not in status:
                return
            time.sleep(1)
        raise AssertionError(status)

    return wait
