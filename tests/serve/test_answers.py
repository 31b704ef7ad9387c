"""Claims about the answers of `genrepro predict` for many files: folders, CSV, names with escapes."""

import csv
import io
import json
from pathlib import Path

import pytest
from support.builders import GENRES
from support.registered import Store, expected, make_store
from typer.testing import CliRunner, Result

from genrepro.cli import app


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path):  # type: ignore[no-untyped-def]
    with make_store(tmp_path_factory.mktemp("repository"), empty=empty_store) as found:
        yield found


@pytest.fixture
def collection(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two tracks, one of them below, and of what is no music."""
    monkeypatch.chdir(store.folder)
    (tmp_path / "b").mkdir()
    (tmp_path / "a.wav").write_bytes(Path("sound.wav").read_bytes())
    (tmp_path / "b" / "c.WAV").write_bytes(Path("other.wav").read_bytes())
    for name in ("cover.jpg", "notes.txt", ".DS_Store", "._a.wav"):
        (tmp_path / name).write_bytes(b"not music")
    (tmp_path / "b" / "around").symlink_to(tmp_path)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_a_folder_stands_for_the_music_below_it(collection: Path) -> None:
    done = run(collection, "--format", "jsonl")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["file"] for row in rows] == [str(collection / "a.wav"), str(collection / "b" / "c.WAV")]
    for row, name in zip(rows, ("sound.wav", "other.wav"), strict=True):
        assert row["probabilities"] == {genre: expected(name)[genre] for genre in GENRES}


def test_csv_has_a_line_a_file_and_every_digit(collection: Path) -> None:
    done = run(collection, "absent.wav", "--format", "csv")
    assert done.exit_code == 1 and "absent.wav does not exist" in done.stderr
    header, *rows = csv.reader(io.StringIO(done.stdout))
    assert header == ["file", "genre", *GENRES]
    for row, name in zip(rows, ("sound.wav", "other.wav"), strict=True):
        wanted = expected(name)
        assert row[1:] == [wanted["genre"], *(str(wanted[genre]) for genre in GENRES)]


def test_a_folder_without_known_music_gets_a_sentence(collection: Path, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("empty")
    (folder / "cover.jpg").write_bytes(b"")
    done = run(folder)
    assert done.exit_code == 1
    assert f"genrepro: {folder} is a folder: name the files in it." in done.stderr


def test_a_name_cannot_command_the_terminal(collection: Path) -> None:
    evil = "\x1b]0;mine\x07\x1b[2J\n\u2028.wav"
    (collection / evil).write_bytes(Path("sound.wav").read_bytes())
    (collection / ("bad" + evil)).write_bytes(b"no sound")
    for form in ("text", "csv", "jsonl"):
        done = run(collection, "--format", form)
        assert done.exit_code == 1
        for said in (done.stdout, done.stderr):
            assert not {"\x1b", "\x07", "\u2028"} & set(said)
        assert len([line for line in done.stderr.splitlines() if line.startswith("genrepro: ")]) == 1
        assert len([line for line in done.stdout.splitlines() if line[0] not in " f"]) == 3
