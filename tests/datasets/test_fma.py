"""Claims about the FMA data sets: tables and archives as they really are, nothing dropped unseen."""

import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from support.builders import make_params
from support.layouts import FMA_GENRES, fma_row, small_fma, write_fma, write_tracks_csv

from genrepro.base.errors import GenreproError
from genrepro.catalog import tracks
from genrepro.datasets import fma, fma_large, fma_medium, fma_mini, fma_small

ROWS, CLIPS = small_fma(per_genre=2, duration=0.5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the archives, each subset's audio the same."""
    folder = tmp_path_factory.mktemp("fma")
    for subset in fma.SUBSETS:
        write_fma(folder, ROWS, CLIPS, subset=subset)
    return folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def tracks_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        write_tracks_csv(file, rows)
    return path


def test_fields_with_line_feeds_quotes_and_html_are_read_whole(tmp_path: Path) -> None:
    table = fma.read_tracks(tracks_csv(tmp_path / "tracks.csv", ROWS))
    assert len(table) == len(ROWS)
    assert set(table["title"]) == {'A "title"\nover two lines'}


def test_an_artist_called_na_is_somebody(tmp_path: Path) -> None:
    rows = [fma_row(2, genre="Rock", artist="NA"), fma_row(3, genre=None, artist="None", split="test")]
    table = fma.read_tracks(tracks_csv(tmp_path / "tracks.csv", rows))
    assert table["artist"].tolist() == ["NA", "None"]
    assert table["genre"].isna().tolist() == [False, True]
    assert table["official_split"].tolist() == ["train", "test"]


def test_an_artist_is_their_id_and_not_their_name(tmp_path: Path) -> None:
    people = [
        (7, "Nirvana"),
        (8, "nirvana"),
        (9, "Björk"),
        (9, "Bjork"),
        (9, "Björk"),
        (10, None),
        (None, "Ann"),
    ]
    rows = [
        fma_row(number, genre="Rock", artist="") | {("artist", "id"): key, ("artist", "name"): name}
        for number, (key, name) in enumerate(people, start=2)
    ]
    table = fma.read_tracks(tracks_csv(tmp_path / "tracks.csv", rows))
    assert table["artist"].tolist() == [
        "Nirvana (artist 7)", "nirvana (artist 8)", "Björk", "Björk", "Björk", "artist 10", "Ann",
    ]  # fmt: skip


def test_albums_of_one_title_are_two(tmp_path: Path) -> None:
    rows = [
        fma_row(number, genre="Rock", artist="A") | {("album", "id"): number, ("album", "title"): title}
        for number, title in ((2, "Live"), (3, "LIVE"), (4, "Dead"))
    ]
    table = fma.read_tracks(tracks_csv(tmp_path / "tracks.csv", rows))
    assert table["album"].tolist() == ["Live (album 2)", "LIVE (album 3)", "Dead"]


@pytest.mark.parametrize(
    ("module", "numbers"),
    [
        (fma_small, {200, 300, 98565, 133297}),
        (fma_medium, {200, 300, 500, 98565, 133297}),
        (fma_large, {200, 300, 400, 500, 98565, 133297}),
        (fma_mini, {200, 300}),  # a draw leaves out what is declared broken
    ],
)
def test_subsets_are_cumulative(module: object, numbers: set[int], site: Path, raw: Path) -> None:
    params = make_params(dataset=module.__name__.rpartition(".")[2], source=str(site))
    module.acquire(params=params, raw=raw)
    ids = set(module.read_catalog(raw)["track_id"])
    regular = {f"{1000 * (genre + 1) + index:06d}" for genre in range(len(FMA_GENRES)) for index in range(2)}
    assert ids == regular | {f"{number:06d}" for number in numbers} | {"000999"}
    assert {path.stem for path in raw.glob("*/*.mp3")} == ids - {"000300"}


def test_everything_that_is_wrong_is_counted_by_kind(site: Path, raw: Path) -> None:
    fma_large.acquire(params=make_params(dataset="fma_large", source=str(site)), raw=raw)
    identity = fma_large.read_catalog(raw)
    table = tracks.build(identity, raw, num_workers=1)
    counts = tracks.summary(identity, table)
    assert {key: count for key, count in counts.items() if "unknown" not in key} == {
        "num_tracks": 16 + 5,
        "num_genres": 8,
        "num_declared": 2,
        "num_missing": 1,
        "num_left_out_no_genre": 1,
        "num_left_out_no_metadata": 1,
    }
    rows = {row["track_id"]: row for row in table.to_pylist()}
    assert rows["000200"]["fault"] is None and rows["000200"]["duration"] == pytest.approx(0.3, abs=0.1)
    assert rows["001000"] | {"sha256": "", "num_bytes": 0, "duration": 0.5} == {
        "track_id": "001000", "genre": "Electronic", "artist": "Electronic 0", "album": "Album, 333",
        "title": 'A "title"\nover two lines', "path": "001/001000.mp3", "sha256": "", "num_bytes": 0,
        "sample_rate": 44100, "num_channels": 2, "duration": 0.5, "official_split": "train", "fault": None,
    }  # fmt: skip


def test_a_clip_that_is_not_what_fma_published_is_corrupt(site: Path, raw: Path) -> None:
    fma_small.acquire(params=make_params(dataset="fma_small", source=str(site)), raw=raw)
    changed = raw / "001" / "001000.mp3"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\xff")
    table = tracks.build(fma_small.read_catalog(raw), raw, num_workers=1)
    faults = dict(zip(table["track_id"].to_pylist(), table["fault"].to_pylist(), strict=True))
    assert faults["001000"] == "corrupt: its sha1 is not the published one"
    assert faults["001001"] is None


@pytest.mark.parametrize("form", ["folder", "archive", "extracted", "extracted audio", "a larger archive"])
def test_every_form_of_the_source_gives_the_same_raw_files(
    form: str, site: Path, raw: Path, tmp_path: Path
) -> None:
    source = site
    if form == "archive":
        source = site / "fma_small.zip"
    elif form.startswith("extracted"):
        for name in ("fma_metadata.zip", "fma_small.zip"):
            with zipfile.ZipFile(site / name) as archive:
                archive.extractall(tmp_path / "out")
        source = tmp_path / "out" / ("fma_small" if form == "extracted audio" else "")
    elif form == "a larger archive":
        source = site / "fma_large.zip"
    fma.acquire(str(source), raw=raw, subset="small")
    expected = {f"{number:06d}" for number in CLIPS} - {"000400", "000500"}
    assert {path.stem for path in raw.glob("*/*.mp3")} == expected
    assert (raw / "checksums").is_file() and (raw / "fma_metadata" / "tracks.csv").is_file()


def test_the_draw_of_mini_takes_as_many_of_each_genre_and_depends_on_no_other_track() -> None:
    names = [f"{number:06d}" for number in range(600)]
    table = pd.DataFrame(
        {"subset": "small", "genre": ["Rock", "Folk", "Pop"] * 200}, index=pd.Index(names, name="track_id")
    )
    drawn = fma.wanted(table, subset="small", per_genre=20)
    assert Counter(drawn["genre"]) == {"Rock": 20, "Folk": 20, "Pop": 20}
    fewer = fma.wanted(table.drop(index=drawn.index[0]), subset="small", per_genre=20)
    assert set(drawn.index[1:]) <= set(fewer.index) and len(fewer) == 60


def test_another_table_is_named(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for text, words in [
        ("track_id,genre\n2,Rock\n", "lacks the column|not FMA's tracks.csv"),
        ("", "not FMA's tracks.csv"),
        ("<!doctype html><html>not found</html>", "not FMA's tracks.csv"),
    ]:
        with subtests.test(text=text):
            (tmp_path / "tracks.csv").write_text(text)
            with pytest.raises(GenreproError, match=words):
                fma.read_tracks(tmp_path / "tracks.csv")


def test_a_damaged_table_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for change, words in [
        ({"track_id": 2}, "000002 occurs twice"),
        ({"track_id": "two"}, "not FMA's tracks.csv"),
        ({("set", "subset"): "tiny"}, "subset = 'tiny'"),
        ({("set", "split"): "dev"}, "official_split = 'dev'"),
    ]:
        with subtests.test(change=change):
            rows = [fma_row(2, genre="Rock", artist="A"), fma_row(3, genre="Rock", artist="B") | change]
            with pytest.raises(GenreproError, match=words):
                fma.read_tracks(tracks_csv(tmp_path / "tracks.csv", rows))


def test_a_source_without_metadata_says_where_there_is_some(tmp_path: Path, raw: Path) -> None:
    write_fma(tmp_path, ROWS, CLIPS)
    (tmp_path / "fma_metadata.zip").unlink()
    with pytest.raises(GenreproError, match=r"no fma_metadata.zip .* download https://"):
        fma.acquire(str(tmp_path / "fma_small.zip"), raw=raw, subset="small")


def test_an_archive_without_clips_says_what_it_should_hold(tmp_path: Path, raw: Path) -> None:
    write_fma(tmp_path, ROWS, {})
    with pytest.raises(GenreproError, match=r"000/000002\.mp3"):
        fma.acquire(str(tmp_path), raw=raw, subset="small")
