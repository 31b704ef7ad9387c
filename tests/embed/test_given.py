"""Claims about embeddings that others made: all their shapes are read, and what is wrong is one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.builders import make_catalog

from genrepro.base.errors import GenreproError
from genrepro.embed import given
from genrepro.embed.chunks import _given
from genrepro.models.shared import layers

TRACKS = ["b", "a", "c"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def parquet(path: Path, **columns: Any) -> Path:
    pd.DataFrame({name: list(values) for name, values in columns.items()}).to_parquet(path)
    return path


def test_layers_in_parquet_are_read_in_their_order(tmp_path: Path) -> None:
    columns = {f"layer_{number}": VECTORS + number for number in (10, 2, 0)}
    index, found = given.read(parquet(tmp_path / "e.parquet", track_id=TRACKS, **columns))
    assert index["track_id"].tolist() == ["a", "b", "c"] and index["segment"].tolist() == [0, 0, 0]
    assert [layer[1, 0] for layer in found] == [0, 2, 10]


def test_segments_of_one_vector_are_read_sorted(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "e.parquet",
        track_id=["b", "a", "a"],
        segment=[0, 1, 0],
        vector=VECTORS.astype(np.float16),
    )
    index, (found,) = given.read(path)
    assert list(zip(index["track_id"], index["segment"], strict=True)) == [("a", 0), ("a", 1), ("b", 0)]
    np.testing.assert_array_equal(found, VECTORS[[2, 1, 0]])


def test_npz_holds_vectors_or_all_layers(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", track_id=TRACKS, embedding=VECTORS)
    np.savez(tmp_path / "all.npz", track_id=TRACKS, layers=np.stack([VECTORS, VECTORS + 1], axis=1))
    _, one = given.read(tmp_path / "one.npz")
    _, both = given.read(tmp_path / "all.npz")
    assert len(one) == 1 and len(both) == 2
    np.testing.assert_array_equal(both[1], VECTORS[[1, 0, 2]] + 1)


def no_track_id(path: Path) -> Path:
    return parquet(path / "e.parquet", track=TRACKS, vector=VECTORS)


def two_vectors(path: Path) -> Path:
    return parquet(path / "e.parquet", track_id=TRACKS, one=VECTORS, other=VECTORS)


def twice(path: Path) -> Path:
    return parquet(path / "e.parquet", track_id=["a", "a", "c"], vector=VECTORS)


def lengths(path: Path) -> Path:
    return parquet(path / "e.parquet", track_id=["a", "b"], vector=[np.zeros(2), np.zeros(3)])


def not_finite(path: Path) -> Path:
    return parquet(path / "e.parquet", track_id=TRACKS, vector=VECTORS / np.float32(0))


def objects(path: Path) -> Path:
    np.savez(path / "e.npz", track_id=np.array(TRACKS, dtype=object), vector=VECTORS)
    return path / "e.npz"


def other_bytes(path: Path) -> Path:
    (path / "e.parquet").write_bytes(b"no table")
    return path / "e.parquet"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (no_track_id, r"has no column track_id; it has track, vector"),
        (two_vectors, r"must have columns layer_0, layer_1, \.\.\. or one column of vectors"),
        (twice, r"has segment 0 of a twice"),
        (lengths, r"cannot be read as a table of embeddings"),
        (not_finite, r"has 3 vectors with numbers that are not finite"),
        (objects, r"cannot be read as a table of embeddings \(Object arrays cannot be loaded"),
        (other_bytes, r"cannot be read as a table of embeddings"),
    ],
)
def test_what_is_wrong_is_one_sentence(make: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match=expected) as raised:
        given.read(make(tmp_path))
    assert "\n" not in str(raised.value)


def test_tracks_without_embeddings_and_embeddings_without_tracks_are_counted(tmp_path: Path) -> None:
    path = parquet(tmp_path / "e.parquet", track_id=TRACKS, vector=VECTORS)
    catalog = make_catalog([{"track_id": one, "genre": "rock"} for one in ("a", "b", "d", "e")])
    counts = _given(str(path), catalog, tmp_path / "embeddings.parquet")
    assert counts == {"tracks": 2, "segments": 2, "without": 2, "unknown": 1}
    index, found = layers.read(tmp_path / "embeddings.parquet", layer="last", pooling="mean")
    assert index["track_id"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(found, VECTORS[[1, 0]])


def test_a_file_of_another_data_set_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "e.parquet", track_id=TRACKS, vector=VECTORS)
    catalog = make_catalog([{"track_id": "blues.00000", "genre": "blues"}])
    with pytest.raises(
        GenreproError, match=r"no track of this data set; its first is 'a', the data set's 'blues"
    ):
        _given(str(path), catalog, tmp_path / "embeddings.parquet")


def test_a_file_in_the_data_folder_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "e.npz").touch()
    monkeypatch.setenv("GENREPRO_DATA", str(tmp_path))
    assert given.locate("e.npz") == tmp_path / "embeddings" / "e.npz"
    with pytest.raises(GenreproError, match=r"pretrained\.embeddings = 'f\.npz' is not a file"):
        given.locate("f.npz")
