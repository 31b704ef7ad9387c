"""Claims about writing: the old file, the new file, or a ``*.partial`` that nothing reads."""

import csv
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.builders import ROOT

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError

SCHEMA = pa.schema([pa.field("track_id", pa.string()), pa.field("data", pa.binary())])


def table(num_rows: int) -> pa.Table:
    rows = [{"track_id": f"t{row:04d}", "data": bytes([row % 7]) * 20} for row in range(num_rows)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_a_failing_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_block_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    with pytest.raises(ValueError), files.replacing(folder) as partial:
        partial.mkdir()
        (partial / "new.txt").write_text("half")
        raise ValueError
    assert list(tmp_path.rglob("*")) == [folder, folder / "old.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("old.txt", "new.txt"):
        with files.replacing(tmp_path / "a") as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new.txt"]


def test_a_killed_writer_leaves_the_old_file_and_a_partial(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = (
        "import sys, time; from pathlib import Path; from genrepro.base.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); print('written', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], cwd=ROOT / "src", stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "a.txt.partial"]


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "half.txt").touch()
    with files.replacing(tmp_path / "a") as partial:
        partial.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_equal_tables_are_equal_bytes_however_they_arrive(tmp_path: Path) -> None:
    for rows_per_batch in (1, 63, 64, 65):
        whole = table(150)
        files.write_parquet(tmp_path / "whole.parquet", [whole], SCHEMA)
        files.write_parquet(tmp_path / "parts.parquet", whole.to_batches(rows_per_batch), SCHEMA)
        assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    for num_rows in (0, 1, 64, 150):
        files.write_parquet(tmp_path / "t.parquet", [table(num_rows)], SCHEMA)
        assert pq.read_table(tmp_path / "t.parquet").equals(table(num_rows))


def test_row_groups_are_small_enough_to_stream(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "t.parquet", [table(150)], SCHEMA)
    metadata = pq.read_metadata(tmp_path / "t.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [64, 64, 22]


def test_a_failing_source_of_batches_leaves_the_old_table(tmp_path: Path) -> None:
    def batches() -> object:
        yield table(100)
        raise ValueError

    files.write_parquet(tmp_path / "t.parquet", [table(3)], SCHEMA)
    with pytest.raises(ValueError):
        files.write_parquet(tmp_path / "t.parquet", batches(), SCHEMA)  # type: ignore[arg-type]
    assert pq.read_table(tmp_path / "t.parquet").equals(table(3))
    assert len(list(tmp_path.iterdir())) == 1


def test_json_keeps_the_order_and_reads_as_text(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "Céline"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "b": 1,\n  "a": "Céline"\n}\n'.encode()
    assert files.read_json(tmp_path / "a.json") == {"b": 1, "a": "Céline"}


def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        files.write_json(tmp_path / "a.json", {"a": 1})
        with pytest.raises(ValueError):
            files.write_json(tmp_path / "a.json", {"a": value})
        assert files.read_json(tmp_path / "a.json") == {"a": 1}


def test_csv_has_line_feeds_and_empty_fields_for_none(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "a.csv", ["a", "b"], [["x, y", None], ["é", 2]])
    assert (tmp_path / "a.csv").read_bytes() == 'a,b\n"x, y",\né,2\n'.encode()


def test_csv_holds_any_text(tmp_path: Path) -> None:
    """Names of files may hold what other systems end their lines with."""
    texts = ["a\rb", "a\nb", "a\r\nb\r", '"q"', "a,b", " a ", "\ufeffa", "\u2028", "NA", "1970", "=1+1"]
    files.write_csv(tmp_path / "a.csv", ["track_id", "split"], [[text, "train"] for text in texts])
    assert tables.read_split(tmp_path / "a.csv")["track_id"].tolist() == texts
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == texts


def test_a_file_has_a_name_of_its_own_whatever_the_text() -> None:
    ordinary = ["rock", "Ca$h_$tyle", "...Baby", "\u30d2\u30c3\u30d7", "x" * 251]
    assert [files.file_name(text, suffix=".png") for text in ordinary] == [f"{text}.png" for text in ordinary]
    odd = [
        "",
        ".",
        "..",
        "/",
        "a/b",
        "a_b/",
        "../a",
        "/a",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 252,
        "x" * 253,
        "a.png",
    ]
    odd += ["\u30d2" * 90]
    names = [files.file_name(text, suffix=".png") for text in [*odd, *ordinary]]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) <= 255 and not set(name) & set("/\\\0") for name in names)


def test_a_missing_output_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match=r"split\.csv is missing: run `dvc repro`"):
        files.require(tmp_path / "split.csv")


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_metric_that_is_no_number_is_refused() -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match="finite"):
            files.rounded(value)


def test_a_metric_keeps_six_digits() -> None:
    assert files.rounded(2 / 3) == 0.666667
