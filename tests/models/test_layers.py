"""Claims about embeddings.parquet: another layer or pooling reads other numbers of the same table."""

from pathlib import Path

import numpy as np
import pytest

from genrepro.base.errors import GenreproError
from genrepro.models.shared import layers

RNG = np.random.default_rng(0)
PARTS = ["mean", "std", "cls"]
LAYERS = [RNG.standard_normal((3, 6)).astype(np.float32) for _ in range(3)]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    rows = (["a", "a", "b"], [0, 1, 0], LAYERS)
    layers.write(
        tmp_path / "e.parquet",
        [rows],
        sizes=[6] * 3,
        dtype="float32",
        description={"kind": "audio", "parts": PARTS},
    )
    return tmp_path / "e.parquet"


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (0, LAYERS[0]),
        (1, LAYERS[1]),
        ("last", LAYERS[2]),
        ("mean", sum(LAYERS) / 3),
        ("all", np.concatenate([layer[:, :2] for layer in LAYERS], axis=1)),
    ],
)
def test_a_layer_is_one_column_or_a_mean_or_all(kept: Path, layer: int | str, expected: np.ndarray) -> None:
    index, found = layers.read(kept, layer=layer, pooling="mean")
    assert index["track_id"].tolist() == ["a", "a", "b"] and index["segment"].tolist() == [0, 1, 0]
    np.testing.assert_allclose(found, expected if layer == "all" else expected[:, :2], rtol=1e-6)


def test_pooling_chooses_parts(kept: Path) -> None:
    for pooling, columns in {"mean_std": [0, 1, 2, 3], "cls": [4, 5], "cls_mean": [4, 5, 0, 1]}.items():
        _, found = layers.read(kept, layer=1, pooling=pooling)
        np.testing.assert_array_equal(found, LAYERS[1][:, columns])


def test_a_track_is_the_mean_of_its_segments(kept: Path) -> None:
    index, found = layers.by_track(*layers.read(kept, layer=0, pooling="mean"))
    assert index["track_id"].tolist() == ["a", "b"]
    np.testing.assert_allclose(found[0], LAYERS[0][:2, :2].mean(0), rtol=1e-6)


def test_what_a_body_does_not_have_is_one_sentence(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match=r"layer = 3, but the body has layers 0 to 2"):
        layers.read(kept, layer=3, pooling="mean")
    rows = (["a"], [0], [np.zeros((1, 2)), np.zeros((1, 4))])
    path = tmp_path / "other.parquet"
    layers.write(
        path, [rows], sizes=[2, 4], dtype="float16", description={"kind": "given", "parts": ["mean"]}
    )
    with pytest.raises(
        GenreproError, match=r"pooling = cls, but these embeddings have no cls: choose mean\."
    ):
        layers.read(path, layer=0, pooling="cls")
    for layer in ("mean", "weighted"):
        with pytest.raises(GenreproError, match=r"layers have different sizes"):
            layers.read(path, layer=layer, pooling="mean")
    assert layers.read(path, layer="all", pooling="mean")[1].shape == (1, 6)
    assert layers.describe(path)["num_sizes"] == 2


def test_equal_tables_are_equal_bytes(kept: Path, tmp_path: Path) -> None:
    rows = [(["a", "a"], [0, 1], [one[:2] for one in LAYERS]), (["b"], [0], [one[2:] for one in LAYERS])]
    description = {"parts": PARTS, "kind": "audio"}
    layers.write(tmp_path / "f.parquet", rows, sizes=[6] * 3, dtype="float32", description=description)
    assert (tmp_path / "f.parquet").read_bytes() == kept.read_bytes()
