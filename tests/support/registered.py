"""A repository whose model is registered in MLflow, and what `genrepro predict` says of its clips."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import soundfile
import torch

from genrepro import models
from genrepro.models.shared import checkpoint
from genrepro.serve import registry
from genrepro.serve.predictor import Predictor
from genrepro.spectrogram import mel
from support.builders import GENRES, make_inputs, make_mel_params, make_music

REAL_DATA = os.environ.get("GENREPRO_TEST_DATA")  # read before conftest.py clears what a person has set

RATE = 8000  # Hz
OGG = sorted(Path(REAL_DATA, "audio").glob("*.ogg"))[:1] if REAL_DATA else []
CLIPS = ["sound.wav", *OGG]


def make_model(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """A small network of sounds with random weights in ``folder``; its description."""
    torch.manual_seed(seed)
    section = {"channels": [4, 8], "dropout": 0.0}
    inputs = make_inputs(mel=mel.describe(make_mel_params()), pooling={"frames": 6, "bands": 1}, num_bands=16)
    model = models.build("cnn", section, num_genres=3, inputs=inputs)
    model(torch.randn(8, 1, 16, 20))  # so that the batch statistics are not those of the start
    description = checkpoint.describe(
        model="cnn",
        section=section,
        features={**inputs, "genres": GENRES, "sha256": "of features"},
        split_sha256="of split",
    )
    checkpoint.save(folder, model.state_dict(), description)
    return description


@dataclass(frozen=True)
class Store:
    """A repository with a model that is registered as `genrepro`."""

    folder: Path
    first: registry.Version

    @property
    def logged(self) -> Path:
        """What MLflow keeps of the first version."""
        (found,) = (path.parent for path in self.folder.glob("mlartifacts/models/*/artifacts/MLmodel"))
        return found


@contextmanager
def make_store(folder: Path, *, empty: Path) -> Iterator[Store]:
    """A model, two clips and a store in ``folder``, in which the model has been registered.

    The store is a copy of the database ``empty``.
    """
    shutil.copy(empty, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        make_model(folder / "models")
        for seed, name in enumerate(["sound.wav", "other.wav"]):
            soundfile.write(name, make_music(duration=3.0, sample_rate=RATE, seed=seed), RATE)
        version = registry.register(Path("models"), name="genrepro")
        yield Store(folder, version)
    mlflow.set_tracking_uri(None)


def expected(path: Path | str) -> dict[str, Any]:
    """The row that `genrepro predict` gives for a file."""
    probabilities = Predictor(Path("models"))(Path(path)).probabilities
    return {"genre": max(probabilities, key=probabilities.__getitem__), **probabilities, "error": None}
