"""Claims about the catalog: every file keeps its row, with what its header and bytes say."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.builders import make_music

from genrepro import datasets
from genrepro.base.errors import GenreproError
from genrepro.base.tables import CATALOG
from genrepro.catalog import tracks


def identity(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([{name: row.get(name) for name in datasets.IDENTITY} for row in rows])


def track(track_id: str, path: str | None, **more: str | None) -> dict:
    return {"track_id": track_id, "genre": track_id.split(".")[0], "path": path, **more}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "mono.wav", make_music(duration=0.5, sample_rate=22050), 22050)
    soundfile.write(
        tmp_path / "stereo.wav", make_music(duration=0.25, sample_rate=48000, num_channels=2), 48000
    )
    (tmp_path / "text.wav").write_text("these are words")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "picture.png").write_bytes(b"pixels")
    return tmp_path


def build(raw: Path, *rows: dict, num_workers: int = 1) -> dict[str, dict]:
    table = tracks.build(identity(*rows), raw, num_workers=num_workers)
    assert table.schema.equals(CATALOG)
    return {row["track_id"]: row for row in table.to_pylist()}


def test_header_facts_are_those_of_the_file(raw: Path) -> None:
    rows = build(raw, track("a.0", "mono.wav"), track("a.1", "stereo.wav"))
    facts = [
        (row["sample_rate"], row["num_channels"], row["duration"], row["fault"]) for row in rows.values()
    ]
    assert facts == [(22050, 1, 0.5, None), (48000, 2, 0.25, None)]


def test_identity_of_the_bytes_is_recorded(raw: Path) -> None:
    row = build(raw, track("a.0", "mono.wav"))["a.0"]
    content = (raw / "mono.wav").read_bytes()
    assert (row["sha256"], row["num_bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_file_that_cannot_be_read_keeps_its_row(raw: Path) -> None:
    for name in ["text.wav", "empty.wav"]:
        row = build(raw, track("a.0", "mono.wav"), track("a.1", name))["a.1"]
        assert row["fault"].startswith("undecodable: ") and row["sha256"] and row["duration"] is None


@pytest.mark.parametrize("num_samples", [0, 2**36 - 1], ids=["unknown", "weeks"])
def test_a_header_without_a_sane_length_gives_no_duration(raw: Path, num_samples: int) -> None:
    soundfile.write(raw / "a.flac", make_music(duration=0.5, sample_rate=22050), 22050)
    content = bytearray((raw / "a.flac").read_bytes())
    content[21] = content[21] & 0xF0 | num_samples >> 32
    content[22:26] = (num_samples & 0xFFFFFFFF).to_bytes(4, "big")
    (raw / "a.flac").write_bytes(bytes(content))
    row = build(raw, track("a.0", "a.flac"))["a.0"]
    assert (row["sample_rate"], row["duration"], row["fault"]) == (22050, None, None)


def test_a_track_without_a_file_keeps_its_row(raw: Path) -> None:
    row = build(raw, track("a.0", "mono.wav"), track("a.1", None, fault="missing"))["a.1"]
    assert (row["fault"], row["path"], row["sha256"], row["num_bytes"]) == ("missing", None, None, None)


def test_a_declared_fault_outweighs_the_header(raw: Path) -> None:
    row = build(raw, track("a.0", "text.wav", fault="undecodable: declared"))["a.0"]
    assert row["fault"] == "undecodable: declared"


def test_a_picture_has_an_identity_and_no_audio(raw: Path) -> None:
    row = build(raw, track("a.0", "picture.png"))["a.0"]
    assert row["sha256"] == hashlib.sha256(b"pixels").hexdigest()
    assert (row["sample_rate"], row["num_channels"], row["duration"], row["fault"]) == (None,) * 4


def test_unknown_artists_are_null_and_no_word(raw: Path) -> None:
    frame = identity(track("a.0", "mono.wav", artist="Nina"), track("a.1", "mono.wav"))
    frame.loc[1, "artist"] = np.nan
    assert tracks.build(frame, raw, num_workers=1)["artist"].to_pylist() == ["Nina", None]


def test_what_programs_write_for_an_unknown_artist_is_nobody(raw: Path) -> None:
    """Else all such tracks would be one artist's, and the share of unknown artists 0."""
    names = ["Unknown Artist", "<unknown>", "VARIOUS ARTISTS", "unknown artist "]
    rows = build(raw, *(track(f"a.{k}", "mono.wav", artist=name) for k, name in enumerate(names)))
    assert [row["artist"] for row in rows.values()] == [None] * 4
    bands = ["The Unknown", "Various", "Unknown Mortal Orchestra", "?"]
    rows = build(raw, *(track(f"a.{k}", "mono.wav", artist=name) for k, name in enumerate(bands)))
    assert [row["artist"] for row in rows.values()] == bands


def test_names_are_kept_in_one_unicode_form_and_blank_ones_are_null(raw: Path) -> None:
    apart = {"artist": " Bjo\u0308rk", "album": "De\u0301but\u200b", "title": "\u00a0"}
    row = build(raw, track("a.0", "mono.wav", **apart))["a.0"]
    assert (row["artist"], row["album"], row["title"]) == ("Björk", "Début", None)


def test_one_genre_in_several_spellings_is_one_genre(raw: Path) -> None:
    names = ["Schlage\u0301r", "Schlagér", "Schlagér", "schlagér ", "pop"]
    rows = [track(f"a.{n}", "mono.wav", genre=name) for n, name in enumerate(names)]
    assert [row["genre"] for row in build(raw, *rows).values()] == ["Schlagér"] * 4 + ["pop"]


def test_rows_are_sorted_whatever_the_order_and_the_workers(raw: Path) -> None:
    rows = [track(f"a.{number}", name) for number, name in enumerate(["mono.wav", "stereo.wav", "text.wav"])]
    one = tracks.build(identity(*rows), raw, num_workers=1)
    other = tracks.build(identity(*rows[::-1]), raw, num_workers=3)
    assert one["track_id"].to_pylist() == ["a.0", "a.1", "a.2"]
    assert one.equals(other)


def test_the_same_track_twice_is_refused(raw: Path) -> None:
    with pytest.raises(GenreproError, match=r"the track id a\.0 occurs twice"):
        build(raw, track("a.0", "mono.wav"), track("a.0", "stereo.wav"))


@pytest.mark.parametrize("genre", ["track_id", "genre", "predicted", "group", " group "])
def test_a_genre_that_is_a_column_of_the_predictions_is_refused(raw: Path, genre: str) -> None:
    with pytest.raises(GenreproError, match=f"the genre '{genre.strip()}' has the name of a column"):
        build(raw, track("a.0", "mono.wav"), track("a.1", "stereo.wav", genre=genre))


def test_genres_that_are_almost_columns_are_genres(raw: Path) -> None:
    names = ["Group", "groups", "reason", "split", "17", "(17)"]  # numbers of ID3 are names like others
    rows = build(raw, *(track(f"a.{k}", "mono.wav", genre=name) for k, name in enumerate(names)))
    assert [row["genre"] for row in rows.values()] == names


def test_a_data_set_without_tracks_is_refused(raw: Path) -> None:
    with pytest.raises(GenreproError, match="holds no track"):
        tracks.build(pd.DataFrame(columns=list(datasets.IDENTITY)), raw, num_workers=1)


def test_what_has_no_genre_is_counted_by_kind_and_left_out(raw: Path) -> None:
    rows = identity(
        track("a.0", "mono.wav", artist="Nina"),
        track("a.1", "text.wav"),
        track("a.2", None, fault="missing"),
        track("a.3", "mono.wav", genre=None, fault="no_genre"),
        track("a.4", "mono.wav", genre=None, fault="no_metadata"),
        track("a.5", "mono.wav", genre=None, fault="no_metadata"),
    )
    table = tracks.build(rows, raw, num_workers=1)
    assert table["track_id"].to_pylist() == ["a.0", "a.1", "a.2"]
    assert tracks.summary(rows, table) == {
        "num_tracks": 3,
        "num_genres": 1,
        "num_unknown_artist": 2,
        "num_unknown_album": 3,
        "num_unknown_official_split": 3,
        "num_missing": 1,
        "num_undecodable": 1,
        "num_left_out_no_genre": 1,
        "num_left_out_no_metadata": 2,
    }


def test_a_file_is_held_against_its_published_hash(raw: Path) -> None:
    for algorithm in ["sha1", "md5"]:
        right = hashlib.new(algorithm, (raw / "mono.wav").read_bytes()).hexdigest()
        rows = identity(track("a.0", "mono.wav"), track("a.1", "mono.wav"), track("a.2", "mono.wav"))
        rows["checksum"] = [f"{algorithm}:{right}", f"{algorithm}:{right[::-1]}", None]
        faults = tracks.build(rows, raw, num_workers=1)["fault"].to_pylist()
        assert faults == [None, f"corrupt: its {algorithm} is not the published one", None]
