"""Claims about tables between stages: what is not as agreed ends in a sentence."""

from pathlib import Path

import pyarrow as pa
import pytest
from support.builders import make_catalog

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    table = make_catalog([{"track_id": "a.0", "genre": "a"}, {"track_id": "a.1", "genre": "a"}])
    files.write_parquet(tmp_path / "catalog.parquet", [table], tables.CATALOG)
    return tmp_path / "catalog.parquet"


def test_a_table_is_read_whole_or_by_columns(catalog: Path) -> None:
    assert tables.read(catalog, tables.CATALOG).column_names == tables.CATALOG.names
    assert tables.read(catalog, tables.CATALOG, columns=["genre"]).to_pydict() == {"genre": ["a", "a"]}


@pytest.mark.parametrize("columns", [None, ["genre", "artist"]])
def test_a_missing_column_is_named(tmp_path: Path, columns: list[str] | None) -> None:
    table = make_catalog([{"track_id": "a.0", "genre": "a"}]).drop_columns(["artist"])
    files.write_parquet(tmp_path / "old.parquet", [table], table.schema)
    with pytest.raises(GenreproError, match="lacks the column artist"):
        tables.read(tmp_path / "old.parquet", tables.CATALOG, columns=columns)


def test_a_missing_table_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="run `dvc repro`"):
        tables.read(tmp_path / "catalog.parquet", tables.CATALOG)


def test_the_description_of_spectrograms_travels_in_their_file(tmp_path: Path) -> None:
    described = tables.with_mel_description({"frame_rate": 43.07, "kind": "log_mel"})
    files.write_parquet(tmp_path / "mel.parquet", [pa.Table.from_pylist([], schema=described)], described)
    assert tables.read_mel_description(tmp_path / "mel.parquet") == {"frame_rate": 43.07, "kind": "log_mel"}


def test_spectrograms_of_unknown_making_are_refused(catalog: Path) -> None:
    with pytest.raises(GenreproError, match="does not say how it was made"):
        tables.read_mel_description(catalog)
