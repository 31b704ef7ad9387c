"""Claims about a collection of one's own."""

import logging
import os
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from support.builders import make_params
from support.layouts import make_audio

from genrepro.base.errors import GenreproError
from genrepro.catalog import tracks
from genrepro.datasets import folder

FORMS = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
CLIP = make_audio(seed=0, duration=0.2)


def collection(root: Path, *names: str, table: str | None = None) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(CLIP)
    if table is not None:
        (root / "tracks.csv").write_text(table, "utf-8")
    return root


def read_all(source: Path, raw: Path, *, layout: str = "genre/file") -> pd.DataFrame:
    raw.mkdir()
    params = make_params(dataset="folder", source=str(source), folder={"layout": layout})
    folder.acquire(params=params, raw=raw)
    return folder.read_catalog(raw)


def read(source: Path, raw: Path, *, layout: str = "genre/file") -> pd.DataFrame:
    """The tracks alone."""
    identity = read_all(source, raw, layout=layout)
    return identity[identity["genre"].notna()]


def left_out(identity: pd.DataFrame) -> dict[str, str]:
    rows = identity[identity["genre"].isna()]
    return dict(zip(rows["track_id"], rows["fault"], strict=True))


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


def test_a_layout_that_is_not_meant_is_refused_by_what_was_seen(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for names, words in [
        (("rock/cover.jpg",), ["no audio file"]),
        (("song.wav",), ["holds song.wav", "folder.layout = genre/file"]),
        (("rock/a.wav", "folk/live/b.wav"), ["equally deep", "genre/**/file"]),
        (("one/rock/a.wav", "two/rock/b.wav"), ["2 folders (one, two) lie above 1 (rock)"]),
        (
            ("pop/Ann/a.wav", "pop/Bob/b.wav", "rock/Cyd/c.wav", "rock/Dot/d.wav"),
            ["2 folders (pop, rock) lie above 4 (Ann, Bob, Cyd, ...)", "layout=genre/artist/file or split/"],
        ),
        (
            ("Train/pop/a.wav", "Train/rock/b.wav", "Test/pop/c.wav", "val/rock/d.wav"),
            ["3 folders (Test, Train, val) lie above 2 (pop, rock)", "layout=split/genre/file or genre/"],
        ),
        (("train/a.wav", "test/b.wav"), ["test, train stand for genre", "sides of a split"]),
        (
            ("Rock/Ann/a.wav", "Rock/Bob/b.wav"),
            ["holds only Rock", "above 2 (Ann, Bob)", "layout=genre/artist/file", "layout=*/genre/file"],
        ),
    ]:
        with subtests.test(names=names):
            tmp_path = tmp_path_factory.mktemp("case")
            with pytest.raises(GenreproError) as caught:
                read(collection(tmp_path / "mine", *names), tmp_path / "raw")
            assert all(word in str(caught.value) for word in words), caught.value


def test_a_named_layout_says_what_the_folders_are(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for layout, names, expected in [
        (
            "genre/artist/file",
            ("pop/Ann/a.wav", "rock/Bob/a.wav"),
            [("pop", "Ann", None), ("rock", "Bob", None)],
        ),
        (
            "split/genre/file",
            ("Training/pop/a.wav", "test/rock/a.wav", "VAL/pop/b.wav"),
            [("pop", None, "train"), ("pop", None, "validation"), ("rock", None, "test")],
        ),
        (
            "genre/split/file",
            ("pop/train/a.wav", "rock/dev/a.wav"),
            [("pop", None, "train"), ("rock", None, "validation")],
        ),
        (
            "artist/genre/*/file",
            ("Ann/pop/1/a.wav", "Bob/rock/2/b.wav"),
            [("pop", "Ann", None), ("rock", "Bob", None)],
        ),
        ("genre/**/file", ("pop/a.wav", "rock/x/y/z/b.wav"), [("pop", None, None), ("rock", None, None)]),
        (
            "genre/artist/**/file",
            ("pop/Ann/a.wav", "rock/Bob/Live/1/b.wav"),
            [("pop", "Ann", None), ("rock", "Bob", None)],
        ),
        ("**/genre/file", ("a/pop/a.wav", "rock/b.wav"), [("pop", None, None), ("rock", None, None)]),
    ]:
        for wrapper in ["", "My Music/2024/"]:
            with subtests.test(layout=layout, wrapper=wrapper):
                tmp_path = tmp_path_factory.mktemp("case")
                source = collection(tmp_path / "mine", *(wrapper + name for name in names))
                table = read(source, tmp_path / "raw", layout=layout)
                found = table[["genre", "artist", "official_split"]].itertuples(index=False)
                assert sorted(map(tuple, found), key=str) == sorted(expected, key=str)
                assert set(table["path"]) == set(names) and table["track_id"].is_unique


def test_one_genre_over_its_artists_is_one_genre_once_it_is_said(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "Rock/Ann/a.wav", "Rock/Bob/b.wav")
    table = read(root, tmp_path / "raw", layout="genre/artist/file")
    assert table["genre"].tolist() == ["Rock", "Rock"] and table["artist"].tolist() == ["Ann", "Bob"]
    table = read(root, tmp_path / "raw2", layout="*/genre/file")
    assert table["genre"].tolist() == ["Ann", "Bob"]


def test_a_folder_around_genres_is_no_genre_and_is_said(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests, caplog: pytest.LogCaptureFixture
) -> None:
    for wrapper, genres, said in [
        ("My Music", ["pop", "rock"], False),  # what is in it has names of genres
        ("Metal", ["death metal", "Thrash Metal"], False),
        ("Volksmusik", ["Helene", "Heino"], True),  # nobody can tell
    ]:
        with subtests.test(wrapper=wrapper):
            caplog.clear()
            tmp_path = tmp_path_factory.mktemp("case")
            root = collection(tmp_path / "mine", *(f"{wrapper}/{genre}/a.wav" for genre in genres))
            assert sorted(read(root, tmp_path / "raw")["genre"]) == sorted(genres)
            assert ("folder.layout=genre/artist/file" in caplog.text) == said


def test_a_layout_whose_sides_are_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="'pop' is a side of the split"):
        read(collection(tmp_path / "mine", "pop/Ann/a.wav"), tmp_path / "raw", layout="split/genre/file")


def test_every_file_is_a_track_or_is_left_out_by_kind(tmp_path: Path) -> None:
    others = {
        "README.txt": "not_audio", "rock/cover.jpg": "not_audio", "rock/Scans/back.png": "not_audio",
        "rock/new.mp3.part": "not_audio", "features.csv": "not_audio", "rock/track07": "no_suffix",
        ".stfolder/old.wav": "hidden_folder", ".cache/x/a.wav": "hidden_folder",
        "rock/.nomedia": "hidden_file", "rock/.wav": "hidden_file", "rock/._a.wav": "litter",
        "__MACOSX/rock/._a.wav": "litter",
        "rock/@eaDir/a.wav/SYNOINDEX": "litter", "Thumbs.db": "litter", "rock/desktop.ini": "litter",
        ".DS_Store": "litter", "$RECYCLE.BIN/$R.wav": "litter", ".Trash-1000/files/a.wav": "hidden_folder",
        "jazz/cover.jpg": "not_audio",
    }  # fmt: skip
    music = (
        "rock/a.wav",
        "rock/...Baby.wav",
        "rock/.hidden.mp3",
        "..And Justice/b.M4A",
        "pop/takes.wav",
        "pop/b.webm",
    )
    root = collection(tmp_path / "mine", *music, *others)
    (root / "blues").mkdir()
    (root / "lost+found").mkdir()
    (root / "rock" / "gone.wav").symlink_to("/nowhere/a.wav")
    os.mkfifo(root / "rock" / "pipe.wav")
    identity = read_all(root, tmp_path / "raw")
    silent = {"jazz": "folder_without_music", "blues": "folder_without_music"}
    no_files = {"rock/gone.wav": "not_a_file", "rock/pipe.wav": "not_a_file"}
    assert left_out(identity) == others | silent | no_files
    assert set(identity["path"].dropna()) == set(music)
    assert set(identity["genre"].dropna()) == {"rock", "pop", "..And Justice"}


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    identity = read_all(
        collection(tmp_path / "mine", "rock/a.wav", "rock/b", "a.txt", "b.txt"), tmp_path / "raw"
    )
    counts = tracks.summary(identity, tracks.build(identity, tmp_path / "raw", num_workers=1))
    assert counts["num_left_out_not_audio"] == 2 and counts["num_left_out_no_suffix"] == 1


def test_every_suffix_of_music_is_a_track(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for suffix in folder.layouts.SUFFIXES:
        with subtests.test(suffix=suffix):
            tmp_path = tmp_path_factory.mktemp("case")
            table = read(
                collection(tmp_path / "mine", f"rock/a{suffix}", f"rock/b{suffix.upper()}"), tmp_path / "raw"
            )
            assert table["track_id"].tolist() == ["rock/a", "rock/b"]


def test_two_files_of_one_name_keep_their_suffixes(tmp_path: Path) -> None:
    names = ("rock/a.mp3", "rock/a.wav", "rock/b.wav", *(f"rock/{form}.wav" for form in FORMS))
    table = read(collection(tmp_path / "mine", *names), tmp_path / "raw")
    assert table["track_id"].tolist() == [
        "rock/a.mp3",
        "rock/a.wav",
        "rock/b",
        "rock/é.wav",
        "rock/é.wav (2)",
    ]


def test_a_damaged_table_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for text, words in [
        ("file,artist\nrock/a.wav,Ann\n", "needs a column `path`.*it has file, artist"),
        ("path,artist\n,Ann\n", "needs a column `path`.*line 2"),
        ("path,artist\nrock/a.wav,Ann\nrock/a.wav,Bob\n", "names rock/a.wav twice"),
        ("path,artist\nrock/a.wav,Ann\nRock/A.wav,Bob\n", "names rock/a.wav twice"),
        ("path,artist\nrock/x.wav,Ann\nRock/X.wav,Bob\n", "names Rock/X.wav twice"),
        ("path,split\nrock/a.wav,holdout\n", "split = 'holdout'"),
        ("path,artist\na.wav,Ann\n", "names no genre"),
        ("path,artits\nrock/a.wav,Ann\n", "column 'artits', much like `artist`.*it has path, artits"),
        ("path,Artists\nrock/a.wav,Ann\n", "column 'Artists', much like `artist`"),
        ("path,artist, Artist\nrock/a.wav,Ann,Bob\n", "column `artist` twice"),
        ("path,artist\nrock/a.wav,Ann,Bob\n", "line 2 has 3 fields"),
        ("", "cannot be read"),
        ('path,artist\nrock/a.wav,"Ann\n', "cannot be read"),
        ("path,artist\n\0rock/a.wav,Ann\n", "not text"),
    ]:
        with subtests.test(text=text):
            tmp_path = tmp_path_factory.mktemp("case")
            with pytest.raises(GenreproError, match=words):
                read(collection(tmp_path / "mine", "rock/a.wav", table=text), tmp_path / "raw")


TABLE = 'path,artist,split\nrock/a.wav,Zoë,test\nrock/b.wav,"Bob, Jr",train\n'
SAVED = {
    "UTF-8": TABLE.encode(),
    "a byte order mark": TABLE.encode("utf-8-sig"),
    "Windows' line ends": TABLE.replace("\n", "\r\n").encode(),
    "an old Mac's line ends": TABLE.replace("\n", "\r").encode(),
    "cp1252": TABLE.encode("cp1252"),
    "semicolons": TABLE.replace("Bob, Jr", "Bob; Jr").translate(str.maketrans(",;", ";,")).encode(),
    "semicolons that are announced": ("sep=;\r\n" + TABLE.translate(str.maketrans(",;", ";,"))).encode(),
    "UTF-16 and tabs": TABLE.replace(", Jr", "_ Jr").replace(",", "\t").replace("_", ",").encode("utf-16"),
    "UTF-16 without a mark": TABLE.encode("utf-16-le"),
    "empty rows and columns": TABLE.replace("\n", ",,\n").encode() + b",,,,\n,,,,\n",
    "names in capitals": TABLE.replace("path,artist,split", "PATH,Artist,SPLIT").encode(),
    "names in spaces": TABLE.replace("path,artist,split", " path , artist, split ").encode(),
    "quoted names": TABLE.replace("path,artist,split", '"path","artist","split"').encode(),
    "Windows' paths": TABLE.replace("rock/", "rock\\").encode(),
    "whole paths": TABLE.replace("rock/", "C:\\Music\\rock\\").encode(),
    "whole paths of Unix": TABLE.replace("rock/", "/home/me/rock/").encode(),
    "another case": TABLE.replace("rock/a", "Rock/A").encode(),
    "another suffix": TABLE.replace(".wav", ".mp3").encode(),
    "other words for a split": TABLE.replace("test", "Testing").replace("train", " TRAIN").encode(),
}


def test_a_table_is_read_in_every_form_that_spreadsheets_save(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for form in SAVED:
        with subtests.test(form=form):
            tmp_path = tmp_path_factory.mktemp("case")
            content = SAVED[form]
            root = collection(tmp_path / "mine", "rock/a.wav", "rock/b.wav")
            (root / "tracks.csv").write_bytes(content)
            table = read(root, tmp_path / "raw")
            artists = [name.replace(";", ",") for name in table["artist"]]
            assert artists == ["Zoë", "Bob, Jr"] and table["official_split"].tolist() == ["test", "train"]
            assert table["path"].tolist() == ["rock/a.wav", "rock/b.wav"]


def test_a_table_is_found_in_any_case(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in ["tracks.csv", "Tracks.csv", "TRACKS.CSV", "tracks.tsv", "Tracks.txt"]:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            root = collection(tmp_path / "mine", "rock/a.wav")
            (root / name).write_text("path,artist\nrock/a.wav,Ann\n")
            assert read(root, tmp_path / "raw")["artist"].tolist() == ["Ann"]


def test_a_misspelt_name_of_a_table_is_refused(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in ["track.csv", "Traks.csv", "tracks (1).csv", "tracks.xlsx", "my tracks.csv"]:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            root = collection(tmp_path / "mine", "rock/a.wav")
            (root / name).write_text("path,artist\nrock/a.wav,Ann\n")
            with pytest.raises(GenreproError, match=r"but no tracks\.csv"):
                read(root, tmp_path / "raw")


def test_two_tables_are_refused(tmp_path: Path) -> None:
    root = collection(tmp_path / "mine", "rock/a.wav", "pop/a.wav")
    for genre in ("rock", "pop"):
        (root / genre / "tracks.csv").write_text(f"path,artist\n{genre}/a.wav,Ann\n")
    with pytest.raises(GenreproError, match=r"pop/tracks.csv and rock/tracks.csv: join them"):
        read(root, tmp_path / "raw")


def test_columns_that_are_not_used_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(
            collection(tmp_path / "mine", "rock/a.wav", table="path,year,label\nrock/a.wav,1999,X\n"),
            tmp_path / "raw",
        )
    assert "not used: year, label" in caplog.text


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFKD")])
def test_a_table_in_another_unicode_form_names_the_same_files(
    on_disk: str, in_table: str, tmp_path: Path
) -> None:
    names = [f"schlagér/Café {number}.wav" for number in range(4)]
    rows = "".join(f"{unicodedata.normalize(in_table, name)},Zoë\n" for name in names)
    disk = [unicodedata.normalize(on_disk, name) for name in names]
    table = read(collection(tmp_path / "mine", *disk, table="path,artist\n" + rows), tmp_path / "raw")
    assert table["fault"].isna().all() and table["artist"].tolist() == ["Zoë"] * 4
    assert table["path"].tolist() == disk
    assert table["track_id"].tolist() == [name.removesuffix(".wav") for name in names]


def test_a_row_may_be_the_address_of_its_file(tmp_path: Path) -> None:
    """As players export their libraries."""
    text = "path,artist\nfile:///C:/Music/rock/a%20b%23.wav,Ann\nrock/100%25.wav,Bob\nrock/5%.wav,Cyd\n"
    names = ["rock/100%25.wav", "rock/5%.wav", "rock/a b#.wav"]  # the first is a name as it stands
    table = read(collection(tmp_path / "mine", *names, table=text), tmp_path / "raw")
    assert table["path"].tolist() == names and table["artist"].tolist() == ["Bob", "Cyd", "Ann"]


def test_a_row_that_may_be_two_files_is_refused(tmp_path: Path) -> None:
    names = ("train/rock/a.wav", "test/rock/a.wav")
    root = collection(tmp_path / "mine", *names, table="path,artist\nrock/a.wav,Ann\n")
    with pytest.raises(GenreproError, match=r"may be test/rock/a\.wav or train/rock/a\.wav"):
        read(root, tmp_path / "raw", layout="split/genre/file")


def test_a_row_of_a_file_that_was_encoded_anew_is_not_a_second_track(tmp_path: Path) -> None:
    text = "path,artist\nrock/a.mp3,Ann\nrock/b.mp3,Bob\nrock/b.flac,Cyd\n"
    table = read(collection(tmp_path / "mine", "rock/a.wav", "rock/b.mp3", table=text), tmp_path / "raw")
    assert table["track_id"].tolist() == ["rock/a", "rock/b.flac", "rock/b.mp3"]
    assert table["artist"].tolist() == ["Ann", "Cyd", "Bob"]
    assert table["fault"].tolist() == [None, "missing", None]


def test_names_that_are_not_utf8_are_read_as_windows_wrote_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = collection(
        tmp_path / "mine", "rock/a.wav", "rock/caf\u00e9.wav", table="path,artist\nb/\u00fc.wav,Ann\n"
    )
    for name in (
        b"rock/caf\xe9.wav",
        b"r\xe9ggae/\xfc.wav",
        b"r\xe9ggae/\x81.wav",
        b"b/\xfc.wav",
        b"\xe9/no.jpg",
    ):
        path = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CLIP)
    identity = read_all(root, tmp_path / "raw")
    tracks = identity[identity["genre"].notna()]
    names = [
        "b/\u00fc",
        "rock/a",
        "rock/caf\u00e9",
        "rock/caf\u00e9 (2)",
        "r\u00e9ggae/\x81",
        "r\u00e9ggae/\u00fc",
    ]
    assert tracks["track_id"].tolist() == names
    assert tracks["artist"].tolist() == ["Ann"] + [None] * 5
    assert all((tmp_path / "raw" / path).read_bytes() == CLIP for path in tracks["path"])
    assert left_out(identity) == {"\\udce9/no.jpg": "not_audio", "\u00e9": "folder_without_music"}
    assert "4 names are not UTF-8: read as cp1252" in caplog.text


@pytest.mark.parametrize("packed", [False, True])
def test_a_name_as_long_as_a_system_takes_is_kept(tmp_path: Path, packed: bool) -> None:
    names = ["rock/" + "x" * 251 + ".wav", "\u30d2" * 80 + "/" + "\u30d2" * 83 + ".mp3"]
    root = collection(tmp_path / "mine", *names)
    latin = b"rock/" + b"\xe9" * 250 + b".wav"  # 504 bytes in UTF-8: cut
    Path(os.fsdecode(os.fsencode(root) + b"/" + latin)).write_bytes(CLIP)
    if packed:
        with tarfile.open(tmp_path / "mine.tar", "w") as archive:
            archive.add(root, "mine")
        root = tmp_path / "mine.tar"
    tracks = read(root, tmp_path / "raw")
    assert len(tracks) == 3 and set(names) < set(tracks["path"])
    assert all((tmp_path / "raw" / path).is_file() for path in tracks["path"])


def test_there_is_no_remote(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="-S source="):
        folder.acquire(params=make_params(dataset="folder"), raw=tmp_path)
