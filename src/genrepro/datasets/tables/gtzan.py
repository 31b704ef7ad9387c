"""Genres, artists and the fault-filtered split of the 1000 GTZAN clips, whether audio or pictures.

Artist and title in the table ``gtzan_tracks.csv`` are from B. L. Sturm's index ("An analysis of the GTZAN
music genre dataset", MIRUM 2012), which knows 919 of 1000 artists. `official_split` has the fault-filtered,
artist-aware lists of Kereliuk, Sturm and Larsen ("Deep learning and music adversaries", IEEE Trans.
Multimedia 2015): 443 train, 197 validation and 290 test. 70 clips are in no list.
"""

from importlib import resources

import pandas as pd

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

# SHA-256 of the published lists. The table's rows, joined as "genre/track_id.wav" lines, give the same bytes.
FAULT_FILTERED_SHA256 = {
    "train": "2b04966cef1486f1a7767b74271533fa23e220388db804a1937835e1fc4fa3fa",
    "validation": "f8fbee7c52397a0e0f3a91dc54fedecb2e27f5bdc9a9daeab8cb10d077e26956",
    "test": "09cafa6a89ce0a27f30ed250d56ecb4d03c22fffb5a693f96c7ae655ee02ac72",
}


def tracks() -> pd.DataFrame:
    """The declared table: one row for each of the 1000 tracks, sorted by ``track_id``.

    Its columns are ``track_id``, ``genre``, ``artist``, ``title`` and ``official_split``.
    """
    with (
        resources.files("genrepro.datasets.tables")
        .joinpath("gtzan_tracks.csv")
        .open(encoding="utf-8") as file
    ):
        table = pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""])
    table.insert(1, "genre", table["track_id"].str.split(".").str[0])
    return table.sort_values("track_id", ignore_index=True)
