"""The stages' arithmetic and an environment of the tests' own."""

from genrepro.exact.numerics import pin

# ruff: noqa: E402 - every other import comes after pin()
pin()  # before numpy is imported: instruction sets and thread counts are read once

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import ROOT, Toy, make_toy
from support.server import Server

# The claims about real data are made where there is some: a folder that holds gtzan_images/<genre>/*.png.
REAL_DATA = os.environ.get("GENREPRO_TEST_DATA")
collect_ignore = [] if REAL_DATA else ["datasets/test_real_data.py"]


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


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A folder with `python`, `dvc` and `genrepro`, which start at once: see `support.warm`."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # the path of a socket has 100 characters at most
    door, programs, real = folder / "door", folder / "bin", Path(sys.executable)
    script = ROOT / "tests" / "support" / "warm.py"
    programs.mkdir()
    for name, what in {
        "python": "",
        "dvc": f"'{real.parent}/dvc'",
        "genrepro": f"'{real.parent}/genrepro'",
    }.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\nexec '{real}' -sS '{script}' ask '{door}' {what} \"$@\"\n")
        program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    server = subprocess.Popen([real, script, "serve", door, ROOT, programs / "python"], env=environment)
    while not door.exists():
        assert server.poll() is None, "it could not load the libraries"
        time.sleep(0.05)
    yield programs
    server.kill()
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with nothing in it, to be copied: MLflow takes two seconds to make one."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
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
