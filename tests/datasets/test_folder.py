"""Claims about a collection of one's own."""

import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from support.builders import make_params
from support.layouts import make_audio

from genrepro.base.errors import GenreproError
from genrepro.datasets import folder

CLIP = make_audio(seed=0, duration=0.2)


def collection(root: Path, *names: str, table: str | None = None) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(CLIP)
    if table is not None:
        (root / "tracks.csv").write_text(table, "utf-8")
    return root


def read(source: Path, raw: Path) -> pd.DataFrame:
    raw.mkdir()
    folder.acquire(params=make_params(dataset="folder", source=str(source)), raw=raw)
    return folder.read_catalog(raw)


def test_genre_and_identity_come_from_the_path(tmp_path: Path) -> None:
    names = ("folk/a song.mp3", "folk/b.FLAC", "rock/a song.ogg")
    table = read(collection(tmp_path / "mine", *names), tmp_path / "raw")
    assert table["track_id"].tolist() == ["folk/a song", "folk/b", "rock/a song"]
    assert table["genre"].tolist() == ["folk", "folk", "rock"]
    assert table["path"].tolist() == list(names)
    assert table[["artist", "album", "title", "official_split", "fault"]].isna().all(axis=None)


def test_the_table_tells_artist_album_title_and_split(tmp_path: Path) -> None:
    text = "path,artist,split,year\nrock/b.wav,Zoë,test,1999\nrock/gone.wav,NA,train,2000\n"
    table = read(collection(tmp_path / "mine", "rock/a.wav", "rock/b.wav", table=text), tmp_path / "raw")
    assert table["track_id"].tolist() == ["rock/a", "rock/b", "rock/gone"]
    assert table["artist"].tolist() == [None, "Zoë", "NA"]
    assert table["official_split"].tolist() == [None, "test", "train"]
    assert table["fault"].tolist() == [None, None, "missing"]
    assert table["path"].tolist() == ["rock/a.wav", "rock/b.wav", None]


def test_an_archive_that_wraps_everything_in_one_folder_is_the_same(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "rock/a.wav", "folk/b.wav", table="path,artist\nrock/a.wav,Ann\n")
    (root / "README.txt").write_text("mine")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path))
    wrapped = read(tmp_path / "mine.zip", tmp_path / "raw1")
    pd.testing.assert_frame_equal(wrapped, read(root, tmp_path / "raw2"))


def test_a_wrong_layout_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for names, words in [
        (("rock/cover.jpg",), "no audio file"),
        (("song.wav",), "<genre>/<file>"),
        (("rock/a.wav", "folk/live/b.wav"), "equally deep"),
        (("rock/a.wav", "jazz/cover.jpg"), "'jazz' holds no audio file"),
        (("one/rock/a.wav", "two/rock/a.wav"), "twice"),
    ]:
        with subtests.test(names=names):
            tmp_path = tmp_path_factory.mktemp("case")
            with pytest.raises(GenreproError, match=words):
                read(collection(tmp_path / "mine", *names), tmp_path / "raw")


def test_an_empty_genre_folder_is_missed(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "rock/a.wav")
    (root / "jazz").mkdir()
    with pytest.raises(GenreproError, match="'jazz' holds no audio file"):
        read(root, tmp_path / "raw")


def test_a_damaged_table_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for text, words in [
        ("file,artist\nrock/a.wav,Ann\n", "needs a column `path`"),
        ("path,artist\n,Ann\n", "needs a column `path`"),
        ("path,artist\nrock/a.wav,Ann\nrock/a.wav,Bob\n", "names rock/a.wav twice"),
        ("path,split\nrock/a.wav,holdout\n", "split = 'holdout'"),
        ("path,artist\na.wav,Ann\n", "names no genre"),
        ("", "cannot be read"),
        ('path,artist\nrock/a.wav,"Ann\n', "cannot be read"),
    ]:
        with subtests.test(text=text):
            tmp_path = tmp_path_factory.mktemp("case")
            with pytest.raises(GenreproError, match=words):
                read(collection(tmp_path / "mine", "rock/a.wav", table=text), tmp_path / "raw")


def test_a_table_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "rock/a.wav")
    (root / "tracks.csv").write_bytes("path,artist\nrock/a.wav,Zoë\n".encode("latin-1"))
    with pytest.raises(GenreproError, match="UTF-8"):
        read(root, tmp_path / "raw")


def test_a_file_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "rock/a.wav")
    (Path(os.fsdecode(os.fsencode(root) + b"/rock/caf\xe9.wav"))).write_bytes(CLIP)
    with pytest.raises(GenreproError, match="UTF-8"):
        read(root, tmp_path / "raw")


def test_there_is_no_remote(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="-S source="):
        folder.acquire(params=make_params(dataset="folder"), raw=tmp_path)
