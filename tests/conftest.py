"""The stages' arithmetic and an environment of the tests' own."""

from genrepro.exact.numerics import pin

# ruff: noqa: E402 - every other import comes after pin()
pin()  # before numpy is imported: instruction sets and thread counts are read once

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.builders import Toy, make_toy
from support.processes import Warm
from support.server import Server

# The claims about real data are made where there is some: a folder that holds gtzan_images/<genre>/*.png.
REAL_DATA = os.environ.get("GENREPRO_TEST_DATA")
collect_ignore = [] if REAL_DATA else ["datasets/test_real_data.py"]


# A worker of pytest-xdist gets a file at a time. These take 10 to 50 s, so they start first, else one worker
# would wait for the other in the end. The second needs none of what the first makes or waits for.
LONGEST = (
    "pipeline/test_experiment.py",
    "datasets/test_folder_fuzz.py",
    "test_tracking.py",
    "pipeline/test_repro.py",
    "pipeline/test_downloads.py",
    "pipeline/test_sweeps.py",
    "pipeline/test_tutorial.py",
    "pipeline/test_review.py",
    "pipeline/test_bodies.py",
    "pipeline/test_clones.py",
    "pipeline/test_starts.py",
    "models/test_published.py",
    "models/test_weights.py",
    "sweep/test_heads.py",
    "render/test_write.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first. The tests of a file, and all other files, keep their order."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that GENREPRO_TEST_DATA names."""
    assert REAL_DATA is not None, "test_real_data.py is collected only where there is some"
    return Path(REAL_DATA)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests reaches them, and no test opens a window or a GPU."""
    for name in list(os.environ):
        # The three of git's are set in a hook, and would lead from a test's repository into this one.
        if name.startswith(("GENREPRO_", "MLFLOW_", "DVC_", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GENREPRO_ACCELERATOR", "cpu")
    monkeypatch.setenv("GENREPRO_WORKERS", "1")  # pytest's workers have the processors already
    monkeypatch.setenv("MPLBACKEND", "Agg")


def pytest_configure(config: pytest.Config) -> None:
    """Collect no garbage while tests are collected: imports make millions of objects, and all stay."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Do not look through what was imported whenever garbage is collected."""
    gc.freeze()
    gc.enable()


SERVER = pytest.StashKey[Warm]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist's workers share one server, which loads its libraries while they collect the tests."""
    stash = node.config.stash
    if SERVER not in stash:
        stash[SERVER] = Warm()
    node.workerinput["warm"] = str(stash[SERVER].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVER in config.stash:
        config.stash[SERVER].stop()


@pytest.fixture(scope="session")
def warm(pytestconfig: pytest.Config) -> Iterator[Path]:
    """A folder with `python`, `dvc` and `genrepro`, which start at once: see `support.warm`."""
    shared = getattr(pytestconfig, "workerinput", {}).get("warm")
    server = None if shared else Warm()
    folder = Path(shared) if server is None else server.folder
    deadline = time.monotonic() + 120
    while not (folder / "door").exists():
        assert time.monotonic() < deadline and (server is None or server.runs()), "it loads no libraries"
        time.sleep(0.05)
    yield folder / "bin"
    if server is not None:
        server.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of pytest-xdist's workers have: what one of them makes there, the others wait for."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Path:
    """MLflow's database with nothing in it, to be copied: MLflow takes two seconds to make one."""
    path = shared / "empty" / "mlflow.db"
    with FileLock(shared / "empty.lock"):
        if not path.exists():
            from mlflow import MlflowClient

            making = shared / "making" / "mlflow.db"
            making.parent.mkdir()
            MlflowClient(f"sqlite:///{making}").search_experiments()
            making.parent.rename(path.parent)
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An HTTP server of this test's own, which no proxy of the person who runs it stands in front of."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"))
