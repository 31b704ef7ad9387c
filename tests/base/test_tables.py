"""Claims about tables between stages: what is not as agreed ends in a sentence."""

import ast
from pathlib import Path

import pyarrow as pa
import pytest
from support.builders import ROOT, make_catalog

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


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    for columns in [None, ["genre", "artist"]]:
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


WORDS = ["1970", "007", "1e3", "NA", "None", "null", "nan", "inf", "true", "False", "2024-01-01", "-", "#N/A"]


def test_a_genre_that_looks_like_something_else_stays_a_word(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    rows = [[word, word, word, 0.25, 0.75] for word in WORDS]
    files.write_csv(path, ["track_id", "genre", "predicted", "1970", "NA"], rows)
    table = tables.read_predictions(path)
    for column in ("track_id", "genre", "predicted"):
        assert table[column].tolist() == WORDS
    assert table[["1970", "NA"]].to_numpy().tolist() == [[0.25, 0.75]] * len(WORDS)


def test_a_track_of_the_split_that_looks_like_something_else_stays_a_word(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    files.write_csv(path, ["track_id", "split", "reason"], [[word, "train", None] for word in WORDS])
    table = tables.read_split(path)
    assert table["track_id"].tolist() == WORDS
    assert table["reason"].isna().all()
    files.write_csv(
        path,
        ["track_id", "segment", "split", "reason"],
        [["NA", 1, "train", None], ["7", None, "excluded", "x"]],
    )
    table = tables.read_split(path)
    assert table["track_id"].tolist() == ["NA", "7"] and table["segment"].isna().tolist() == [False, True]


def test_every_reader_of_a_csv_file_fixes_its_types() -> None:
    guessed = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("src", "stages", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "read_csv"
        if "dtype" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not guessed
