"""Claims about the declared GTZAN table: it holds the published lists to the byte."""

import hashlib

import pandas as pd
import pytest

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


@pytest.mark.parametrize("side", PUBLISHED)
def test_the_table_regenerates_the_published_lists(tracks: pd.DataFrame, side: str) -> None:
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


@pytest.mark.parametrize(
    ("genre", "artist", "count"), [("reggae", "Bob Marley", 35), ("pop", "Britney Spears", 24)]
)
def test_the_artists_that_sturm_counts_are_there(
    tracks: pd.DataFrame, genre: str, artist: str, count: int
) -> None:
    assert ((tracks["genre"] == genre) & (tracks["artist"] == artist)).sum() == count


def test_the_opening_blues_are_all_john_lee_hooker(tracks: pd.DataFrame) -> None:
    assert set(tracks["artist"].head(12)) == {"John Lee Hooker"}
