"""The stages' arithmetic and an environment of the tests' own."""

from genrepro.numerics import pin

# ruff: noqa: E402 - every other import comes after pin()
pin()  # before numpy is imported: instruction sets and thread counts are read once

import os

import pytest
from builders import Toy, make_toy


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests reaches them, and no test opens a window or a GPU."""
    for name in list(os.environ):
        if name.startswith(("GENREPRO_", "MLFLOW_", "DVC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GENREPRO_ACCELERATOR", "cpu")
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"))
