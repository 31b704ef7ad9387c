"""Claims about GTZAN: its declared table holds the published lists to the byte, and every known copy is
read."""

import hashlib
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from support.builders import make_params
from support.layouts import APPLE_DOUBLE, BROKEN_WAV, gtzan_clips, write_gtzan_tar

from genrepro.base.errors import GenreproError
from genrepro.catalog import tracks as catalog
from genrepro.datasets import gtzan as audio
from genrepro.datasets.tables import gtzan

# Of the three files that Kereliuk, Sturm and Larsen published.
PUBLISHED = {
    "train": ("2b04966cef1486f1a7767b74271533fa23e220388db804a1937835e1fc4fa3fa", 443),
    "validation": ("f8fbee7c52397a0e0f3a91dc54fedecb2e27f5bdc9a9daeab8cb10d077e26956", 197),
    "test": ("09cafa6a89ce0a27f30ed250d56ecb4d03c22fffb5a693f96c7ae655ee02ac72", 290),
}


@pytest.fixture(scope="module")
def tracks() -> pd.DataFrame:
    return gtzan.tracks()


def test_the_table_regenerates_the_published_lists(tracks: pd.DataFrame) -> None:
    for side in PUBLISHED:
        listed = tracks[tracks["official_split"] == side]
        lines = "".join(f"{row.genre}/{row.track_id}.wav\n" for row in listed.itertuples())
        assert (hashlib.sha256(lines.encode()).hexdigest(), len(listed)) == PUBLISHED[side]


def test_the_declared_hashes_are_the_published_ones() -> None:
    assert {side: digest for side, (digest, _) in PUBLISHED.items()} == gtzan.FAULT_FILTERED_SHA256


def test_no_known_artist_crosses_the_published_split(tracks: pd.DataFrame) -> None:
    listed = tracks.dropna(subset=["official_split", "artist"])
    assert listed.groupby("artist")["official_split"].nunique().max() == 1


def test_there_are_a_hundred_tracks_of_each_genre(tracks: pd.DataFrame) -> None:
    expected = [f"{genre}.{number:05d}" for genre in sorted(gtzan.GENRES) for number in range(100)]
    assert tracks["track_id"].tolist() == expected
    assert tracks["genre"].value_counts().to_dict() == dict.fromkeys(gtzan.GENRES, 100)


def test_919_artists_are_known(tracks: pd.DataFrame) -> None:
    assert tracks["artist"].notna().sum() == 919
    assert tracks["official_split"].isna().sum() == 70


def test_the_artists_that_sturm_counts_are_there(tracks: pd.DataFrame) -> None:
    for genre, artist, count in [("reggae", "Bob Marley", 35), ("pop", "Britney Spears", 24)]:
        assert ((tracks["genre"] == genre) & (tracks["artist"] == artist)).sum() == count


def test_the_opening_blues_are_all_john_lee_hooker(tracks: pd.DataFrame) -> None:
    assert set(tracks["artist"].head(12)) == {"John Lee Hooker"}


def read(source: Path, raw: Path) -> pd.DataFrame:
    raw.mkdir()
    audio.acquire(params=make_params(dataset="gtzan", source=str(source)), raw=raw)
    return audio.read_catalog(raw)


def test_the_tar_is_read_without_its_apple_doubles(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for kind in ["WAV", "AU"]:
        with subtests.test(kind=kind):
            tmp_path = tmp_path_factory.mktemp("case")
            clips = gtzan_clips(per_side=1, duration=0.2, kind=kind)
            broken = f"jazz/jazz.00054.{kind.lower()}"
            raw = tmp_path / "raw"
            identity = read(write_gtzan_tar(tmp_path / "genres.tar.gz", clips, broken=broken), raw)
            assert {path.relative_to(raw).as_posix() for path in raw.rglob("*.*")} == {*clips, broken}
            table = catalog.build(identity, raw, num_workers=1)
            rows = {row["track_id"]: row for row in table.to_pylist()}
            assert len(rows) == 1000
            assert rows["jazz.00054"]["fault"].startswith("undecodable: ")
            assert rows["blues.00001"]["fault"] == "missing" and rows["blues.00001"]["path"] is None
            assert (rows["blues.00000"]["sample_rate"], rows["blues.00000"]["num_channels"]) == (22050, 1)
            assert rows["blues.00000"]["artist"] == "John Lee Hooker"


def test_kaggles_archive_and_folder_are_the_same(tmp_path: Path) -> None:
    clips = gtzan_clips(per_side=1, duration=0.2)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name, data in (clips | {"jazz/jazz.00054.wav": BROKEN_WAV}).items():
            archive.writestr(f"Data/genres_original/{name}", data)
            archive.writestr(f"__MACOSX/Data/genres_original/{name.replace('/', '/._')}", APPLE_DOUBLE)
            archive.writestr(f"Data/images_original/{name.replace('.wav', '.png')}", b"a picture")
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        archive.extractall(tmp_path / "kaggle")
    zipped = read(tmp_path / "archive.zip", tmp_path / "raw1")
    assert zipped["path"].notna().sum() == 31
    for number, part in enumerate((".", "Data", "Data/genres_original")):
        unpacked = read(tmp_path / "kaggle" / part, tmp_path / f"raw2{number}")
        pd.testing.assert_frame_equal(zipped, unpacked)


def test_a_clip_in_two_formats_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    for suffix in ("wav", "au"):
        (tmp_path / "genres" / "blues" / f"blues.00000.{suffix}").write_bytes(b"music")
    with pytest.raises(GenreproError, match="as both"):
        read(tmp_path / "genres", tmp_path / "raw")


def test_a_source_without_clips_says_what_it_should_hold(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.wav").write_bytes(b"music")
    with pytest.raises(GenreproError, match=r"blues/blues\.00000\.wav"):
        read(tmp_path / "music", tmp_path / "raw")
