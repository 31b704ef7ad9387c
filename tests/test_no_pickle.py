"""Claims about models on disk: safetensors and JSON alone, and nothing that is read can run code."""

import ast
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pytest
import torch
from support.builders import ROOT, Toy

from genrepro import models
from genrepro.models.shared import checkpoint
from genrepro.serve import registry

SOURCES = sorted(path for folder in ("src", "stages") for path in (ROOT / folder).rglob("*.py"))
PICKLING_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
# Functions that write pickles, or read them whatever their arguments.
PICKLING_CALLS = {"torch.save", "joblib.dump", "joblib.load", "read_pickle", "to_pickle"}
# Functions that read pickles unless an argument says otherwise; numpy's reads none unless it says so.
SAFE_WITH = {"torch.load": ("weights_only", True), "from_pretrained": ("use_safetensors", True)}
# Processors have no weights: these read JSON alone.
WITHOUT_WEIGHTS = {"AutoFeatureExtractor.from_pretrained", "AutoImageProcessor.from_pretrained"}


def offences(source: str) -> list[str]:
    """What a module does with pickles: each as its line and its words."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
            bad = [
                n
                for n in names
                if n.split(".")[0] in PICKLING_MODULES or n in PICKLING_CALLS | {"torch.load"}
            ]
            found += [f"{node.lineno}: import {name}" for name in bad]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            matches = {called, called.split(".")[-1]}
            if matches & PICKLING_CALLS or "allow_pickle" in given:
                found.append(f"{node.lineno}: {called}")
            for name in set() if called in WITHOUT_WEIGHTS else matches & SAFE_WITH.keys():
                word, value = SAFE_WITH[name]
                if given.get(word) != repr(value):
                    found.append(f"{node.lineno}: {called} without {word}={value}")
    return found


def test_no_module_reads_or_writes_a_pickle(subtests: pytest.Subtests) -> None:
    for path in SOURCES:
        with subtests.test(path=path.relative_to(ROOT).as_posix()):
            assert offences(path.read_text("utf-8")) == []


def test_the_one_place_that_reads_torchs_files_is_among_them() -> None:
    # Otherwise the claim above could hold because nothing was looked at.
    assert any("torch.load(" in path.read_text("utf-8") for path in SOURCES)


def test_a_pickle_would_be_found(subtests: pytest.Subtests) -> None:
    for source in [
        "import pickle",
        "from pickle import loads",
        "from torch import load",
        "torch.save(state, path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "joblib.dump(model, path)",
        "AutoModel.from_pretrained(name)",
    ]:
        with subtests.test(source=source):
            assert offences(source)


def test_a_model_is_saved_and_read_without_pickle(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle")

    for module, names in (
        (torch, ["save", "load"]),
        (pickle, ["load", "loads", "dump", "dumps", "Pickler", "Unpickler"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    section = {"channels": [4], "dropout": 0.0}
    description = checkpoint.describe(
        model="cnn", section=section, features=toy.features.description, split_sha256="-"
    )
    model = models.build("cnn", section, num_genres=3)
    checkpoint.save(tmp_path, model.state_dict(), description)
    loaded, _ = checkpoint.load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def test_a_model_in_mlflows_registry_is_logged_and_loaded_without_pickle(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = {"channels": [4], "dropout": 0.0}
    description = checkpoint.describe(
        model="cnn", section=section, features=toy.features.description, split_sha256="-"
    )
    checkpoint.save(Path("models"), models.build("cnn", section, num_genres=3).state_dict(), description)
    registry.register(Path("models"), name="genrepro")
    mlflow.set_tracking_uri(None)
    (logged,) = (path.parent for path in tmp_path.glob("mlartifacts/models/*/artifacts/MLmodel"))
    kept = [path for path in logged.rglob("*") if path.is_file()]
    wanted = {"", ".css", ".csv", ".js", ".json", ".py", ".safetensors", ".sha256", ".txt", ".yaml"}
    assert {path.suffix for path in kept} == wanted
    assert not [path for path in kept if path.read_bytes()[:1] == b"\x80"]  # the first byte of a pickle

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle")

    for module in (pickle, cloudpickle):
        for name in ("load", "loads"):
            monkeypatch.setattr(module, name, refuse)
    assert mlflow.pyfunc.load_model(str(logged)).metadata.signature
