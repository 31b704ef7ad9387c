"""Claims about the audit: every fault is found, counted, and left out only where the parameters say so."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.builders import make_catalog, make_params, write_mels

from genrepro.audit import faults
from genrepro.audit.duplicates import Pair
from genrepro.base import tables as schema
from genrepro.base.errors import GenreproError
from genrepro.base.tables import pack_mel

RNG = np.random.default_rng(0)


def clip(track_id: str, **changes: object) -> dict:
    """One track: what catalog, levels and mel say about it. A healthy one, but for ``changes``."""
    return {
        "track_id": track_id,
        "genre": track_id.split(".")[0],
        "sha256": f"file of {track_id}",
        "sample_rate": 22050,
        "header": 30.0,
        "duration": 30.0,
        "peak": 0.8,
        "rms": 0.1,
        "clipped_share": 0.0,
        "channel_difference": 0.3,
        "mel": pack_mel(RNG.uniform(-80, 0, (4, 4))),
        "fault": None,
        **changes,
    }


def tables(clips: tuple[dict, ...]) -> tuple[pa.Table, pa.Table, list[dict]]:
    """Catalog, levels and rows of mel.parquet."""
    catalog = make_catalog(
        [
            {
                key: one.get(key)
                for key in ("track_id", "genre", "artist", "album", "official_split", "sha256")
            }
            | {"duration": one["header"], "sample_rate": one["sample_rate"]}
            for one in clips
        ]
    )
    levels = [{key: one[key] for key in schema.LEVELS.names} for one in clips]
    mels = [{key: one[key] for key in ("track_id", "mel", "fault")} for one in clips]
    return catalog, pa.Table.from_pylist(levels, schema=schema.LEVELS), mels


def examine(
    *clips: dict,
    exclude: tuple[str, ...] = ("missing", "undecodable", "silent", "short"),
    pairs: tuple[Pair, ...] = (),
) -> pa.Table:
    thresholds = {"short_share": 0.5, "silence_db": -60.0, "clipped_share": 0.001}
    params = make_params(audit={**thresholds, "exclude": exclude}).audit
    return faults.audit(faults.findings(*tables(clips), params=params), pairs, params=params)


def pair(first: str, second: str) -> Pair:
    return Pair(first=first, second=second, offset=2.5, similarity=0.9, overlap=27.5)


def reasons(table: pa.Table) -> list[list[str]]:
    return table["reasons"].to_pylist()


PICTURE = dict.fromkeys(("duration", "peak", "rms", "clipped_share", "channel_difference"))
BROKEN = {**PICTURE, "mel": None}


def test_a_fault_is_found_and_no_other_track_has_it(subtests: pytest.Subtests) -> None:
    for changes, finding in [
        ({**BROKEN, "fault": "missing"}, "missing"),
        ({**BROKEN, "fault": "undecodable: no samples"}, "undecodable"),
        ({**BROKEN, "fault": "not_a_spectrogram: transparent"}, "undecodable"),
        ({**BROKEN, "fault": "corrupt: its sha1 is not the published one"}, "corrupt"),
        ({**BROKEN, "fault": "declared: short or empty clip"}, "declared"),
        ({"rms": 0.0}, "silent"),
        ({"rms": 0.00099}, "silent"),  # -60 dB is 0.001
        ({"duration": 14.9, "header": 14.9}, "short"),
        ({"duration": 29.7}, "truncated"),
        ({"clipped_share": 0.001}, "clipped"),
        ({"sample_rate": 44100}, "odd_sample_rate"),
        ({"channel_difference": 0.0}, "mono_in_stereo"),
        ({**PICTURE, "mel": pack_mel(np.full((4, 4), -80.0))}, "silent"),
    ]:
        with subtests.test(finding=finding, changes=changes):
            table = examine(clip("a.0"), clip("a.1", **changes), clip("a.2"), clip("a.3"))
            assert reasons(table) == [[], [finding], [], []]


def test_a_clip_at_the_border_is_healthy(subtests: pytest.Subtests) -> None:
    for changes in [
        {"rms": 0.00101},
        {"duration": 15.0, "header": 15.0},
        {"duration": 29.8},
        {"clipped_share": 0.0009},
        {"channel_difference": None},
        {"sample_rate": 44100, **PICTURE},
    ]:
        with subtests.test(changes=changes):
            assert reasons(examine(clip("a.0"), clip("a.1", **changes), clip("a.2"))) == [[], [], []]


def test_one_track_can_have_several_faults() -> None:
    table = examine(clip("a.0"), clip("a.1", rms=0.0, duration=1.0, header=1.0), clip("a.2"))
    assert reasons(table)[1] == ["short", "silent"]


def test_equal_content_is_a_cluster_whose_first_member_stays() -> None:
    for shared in ["sha256", "mel"]:
        same = {shared: clip("x.0")[shared]}
        table = examine(clip("a.0", **same), clip("a.1"), clip("a.2", **same), exclude=("duplicate",))
        assert table["duplicate_group"].to_pylist() == ["a.0", None, "a.0"]
        assert table["excluded"].to_pylist() == [None, None, "duplicate"]


def test_clusters_are_transitive() -> None:
    # a.0 and a.1 share the file, a.1 and a.2 the spectrogram.
    table = examine(
        clip("a.0", sha256="s"),
        clip("a.1", sha256="s", mel=b"\x00" * 6 + b"\x01\x00"),
        clip("a.2", mel=b"\x00" * 6 + b"\x01\x00"),
    )
    assert table["duplicate_group"].to_pylist() == ["a.0"] * 3


def test_equal_content_under_two_genres_contradicts_itself() -> None:
    table = examine(clip("metal.58", sha256="s"), clip("pop.1"), clip("rock.16", sha256="s"))
    assert reasons(table) == [["contradicting_label"], [], ["contradicting_label", "duplicate"]]


def test_silent_and_broken_tracks_are_no_duplicates_of_each_other() -> None:
    silent = {"rms": 0.0, "sha256": "s", "mel": pack_mel(np.zeros((4, 4)))}
    table = examine(clip("a.0", **silent), clip("b.1", **silent), clip("c.2"), clip("d.3"))
    assert table["duplicate_group"].null_count == 4
    assert reasons(table)[:2] == [["silent"], ["silent"]]


def test_the_parameters_decide_who_is_left_out() -> None:
    clips = (clip("a.0", rms=0.0), clip("a.1", clipped_share=0.5), clip("a.2"))
    assert examine(*clips, exclude=())["excluded"].to_pylist() == [None, None, None]
    table = examine(*clips, exclude=("clipped",))
    assert table["excluded"].to_pylist() == [None, "clipped", None]
    assert reasons(table)[0] == ["silent"]


def test_the_summary_counts_everything_once() -> None:
    table = examine(
        clip("a.0", sha256="s"),
        clip("a.1", sha256="s"),
        clip("b.0", sha256="s"),
        clip("b.1", rms=0.0),
        clip("b.2", **BROKEN | {"fault": "missing"}),
    )
    counts = faults.summary(table, make_catalog([{"track_id": name, "genre": name[0]} for name in "aaabb"]))
    assert {key: count for key, count in counts.items() if count} == {
        "num_tracks": 5,
        "num_missing": 1,
        "num_silent": 1,
        "num_contradicting_label": 3,
        "num_duplicate": 2,
        "num_duplicate_groups": 1,
        "num_excluded": 2,
    }


def test_the_table_keeps_its_contract() -> None:
    assert examine(clip("a.0"), clip("a.1")).schema.equals(schema.AUDIT)


def test_tables_in_different_order_are_a_programmers_mistake() -> None:
    catalog, levels, mels = tables((clip("a.0"), clip("a.1")))
    with pytest.raises(AssertionError, match="one order"):
        faults.findings(catalog, levels, mels[::-1], params=make_params().audit)


def test_near_duplicates_join_the_cluster_of_what_they_repeat() -> None:
    table = examine(
        clip("a.0", sha256="s"),
        clip("a.1", sha256="s"),
        clip("b.0"),
        clip("b.1"),
        pairs=(pair("a.1", "b.0"),),
    )
    assert table["duplicate_group"].to_pylist() == ["a.0", "a.0", "a.0", None]
    assert reasons(table) == [
        ["contradicting_label"],
        ["contradicting_label", "duplicate"],
        ["contradicting_label", "near_duplicate"],
        [],
    ]


def test_the_official_split_is_held_against_artists_albums_and_duplicates() -> None:
    clips = (
        clip("a.0", artist="Ann", album="One", official_split="train"),
        clip("a.1", artist=" ann ", album="Two", official_split="test"),
        clip("a.2", artist="Bob", album="Live", official_split="train"),
        clip("a.3", artist="Cid", album="Live", official_split="validation", sha256="s"),
        clip("a.4", artist="Dee", album="Dee", official_split="train", sha256="s"),
        clip("b.5", artist="Dee", album="Dee"),  # of no official side
        clip("b.6", artist="Bob", album="Six", official_split="test", rms=0.0),  # excluded
    )
    counts = faults.summary(examine(*clips), tables(clips)[0])
    assert {key: count for key, count in counts.items() if "official" in key} == {
        "official_shared_artists": 1,
        "official_shared_albums": 1,
        "official_shared_duplicates": 1,
    }
    assert counts["num_artists"] == 4
    assert counts["num_artists_in_several_genres"] == 2


def test_a_data_set_that_must_be_sound_and_is_not_names_its_faults() -> None:
    faults.require_sound(examine(clip("a.0"), clip("a.1", clipped_share=0.5)))  # counted only
    broken = examine(*(clip(f"a.{number}", rms=0.0) for number in range(5)), clip("a.5"))
    with pytest.raises(GenreproError, match=r"5 of 6 tracks .* a\.0 \(silent\).* and 2 more"):
        faults.require_sound(broken)


def test_mels_are_streamed_in_order_and_whole(tmp_path: Path) -> None:
    spectrograms = {f"a.{number:05d}": np.full((2, 3), -number / 2) for number in range(150)}
    path = write_mels(tmp_path / "mel.parquet", spectrograms)
    rows = list(schema.read_mels(path))
    assert [row["track_id"] for row in rows] == sorted(spectrograms)
    assert rows[149]["mel"] == pack_mel(spectrograms["a.00149"])


def test_a_track_without_a_spectrogram_is_left_out_whatever_the_parameters_say(
    subtests: pytest.Subtests,
) -> None:
    for exclude in [(), ("silent",)]:
        for fault in ["missing", "undecodable: no samples", "corrupt: sha1", "declared: empty"]:
            with subtests.test(fault=fault, exclude=exclude):
                table = examine(
                    clip("a.0"), clip("a.1", **BROKEN, fault=fault), clip("a.2", rms=0.0), exclude=exclude
                )
                kind = fault.partition(":")[0]
                assert table["excluded"].to_pylist() == [None, kind, "silent" if exclude else None]
                with pytest.raises(GenreproError, match="shorten" if exclude else "mend the data, or set"):
                    faults.require_sound(table)
