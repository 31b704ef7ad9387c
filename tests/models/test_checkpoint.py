"""Claims about a model on disk: it comes back as it was, or is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.builders import Toy
from torch import nn

from genrepro import models
from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.models.shared import checkpoint

SECTION = {"channels": [4, 4, 4, 4, 4], "dropout": 0.2}


def make_model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = models.build("cnn", SECTION, num_genres=3)
    model(torch.randn(8, 1, 9, 20))  # so that the batch statistics are not those of the start
    return model.eval()


def describe(toy: Toy) -> dict[str, Any]:
    return checkpoint.describe(
        model="cnn", section=SECTION, features=toy.features.description, split_sha256="of the split"
    )


def test_a_model_comes_back_as_it_was(toy: Toy, tmp_path: Path) -> None:
    model, segments = make_model(0), torch.randn(3, 1, 9, 20)
    checkpoint.save(tmp_path, model.state_dict(), describe(toy))
    loaded, description = checkpoint.load(tmp_path)
    assert torch.equal(loaded(segments), model(segments))
    assert {key: description[key] for key in describe(toy)} == describe(toy)


def test_a_loaded_model_drops_nothing_out(toy: Toy, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, make_model(0).state_dict(), describe(toy))
    assert not checkpoint.load(tmp_path)[0].training


def test_the_description_is_enough_to_predict_and_names_its_data(toy: Toy) -> None:
    description, features = describe(toy), toy.features.description
    for key in ("genres", "mel", "segments", "pooling", "frame_rate", "num_bands", "mean", "std"):
        assert description[key] == features[key]
    assert description["cnn"] == SECTION
    assert description["data"] == {"features_sha256": features["sha256"], "split_sha256": "of the split"}


def test_the_same_weights_are_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    for name in ("one", "other"):
        checkpoint.save(tmp_path / name, make_model(0).state_dict(), describe(toy))
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_swapped_weights_are_refused(toy: Toy, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "other")):
        checkpoint.save(tmp_path / name, make_model(seed).state_dict(), describe(toy))
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "one" / "model.safetensors")
    with pytest.raises(GenreproError, match=r"is not the file that model\.json describes"):
        checkpoint.load(tmp_path / "one")


def test_a_missing_file_is_named(toy: Toy, tmp_path: Path) -> None:
    for name in ["model.safetensors", "model.json"]:
        checkpoint.save(tmp_path, make_model(0).state_dict(), describe(toy))
        (tmp_path / name).unlink()
        with pytest.raises(GenreproError, match=f"{name} is missing"):
            checkpoint.load(tmp_path)


def test_the_description_carries_the_hash_of_the_weights(toy: Toy, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, make_model(0).state_dict(), describe(toy))
    assert files.read_json(tmp_path / "model.json")["weights_sha256"] == files.sha256(
        tmp_path / "model.safetensors"
    )
