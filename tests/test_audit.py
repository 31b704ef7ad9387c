"""Claims about the audit: every fault is found, counted, and left out only where the parameters say so."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import make_catalog, make_params, write_mels

from genrepro import audit, schema
from genrepro.mel import pack

RNG = np.random.default_rng(0)


def clip(track_id: str, **changes: object) -> dict:
    """One track: what catalog, levels and mel say about it. A healthy one, but for ``changes``."""
    return {
        "track_id": track_id,
        "genre": track_id.split(".")[0],
        "sha256": f"file of {track_id}",
        "duration": 30.0,
        "peak": 0.8,
        "clipped_share": 0.0,
        "mel": pack(RNG.uniform(-80, 0, (4, 4))),
        "fault": None,
        **changes,
    }


def examine(
    *clips: dict, exclude: tuple[str, ...] = ("missing", "undecodable", "silent", "short")
) -> pa.Table:
    levels = [{key: one[key] for key in schema.LEVELS.names} for one in clips]
    mels = [{key: one[key] for key in ("track_id", "mel", "fault")} for one in clips]
    config = make_params(
        audit={"short_share": 0.5, "silence_db": -60.0, "clipped_share": 0.001, "exclude": exclude}
    )
    return audit.audit(
        make_catalog([{key: one[key] for key in ("track_id", "genre", "sha256")} for one in clips]),
        pa.Table.from_pylist(levels, schema=schema.LEVELS),
        mels,
        params=config.audit,
    )


def reasons(table: pa.Table) -> list[list[str]]:
    return table["reasons"].to_pylist()


BROKEN = {"mel": None, "duration": None, "peak": None, "clipped_share": None}


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({**BROKEN, "fault": "missing"}, "missing"),
        ({**BROKEN, "fault": "undecodable: no samples"}, "undecodable"),
        ({**BROKEN, "fault": "not_a_spectrogram: transparent"}, "undecodable"),
        ({"peak": 0.0}, "silent"),
        ({"peak": 0.00099}, "silent"),  # -60 dB is 0.001
        ({"duration": 14.9}, "short"),
        ({"clipped_share": 0.001}, "clipped"),
        (
            {
                "peak": None,
                "duration": None,
                "clipped_share": None,
                "mel": pack(np.full((4, 4), -80.0)),
            },
            "silent",
        ),
    ],
)
def test_a_fault_is_found_and_no_other_track_has_it(changes: dict, finding: str) -> None:
    table = examine(clip("a.0"), clip("a.1", **changes), clip("a.2"), clip("a.3"))
    assert reasons(table) == [[], [finding], [], []]


@pytest.mark.parametrize("changes", [{"peak": 0.00101}, {"duration": 15.0}, {"clipped_share": 0.0009}])
def test_a_clip_at_the_border_is_healthy(changes: dict) -> None:
    assert reasons(examine(clip("a.0"), clip("a.1", **changes), clip("a.2"))) == [[], [], []]


def test_one_track_can_have_several_faults() -> None:
    table = examine(clip("a.0"), clip("a.1", peak=0.0, duration=1.0), clip("a.2"))
    assert reasons(table)[1] == ["short", "silent"]


@pytest.mark.parametrize("shared", ["sha256", "mel"])
def test_equal_content_is_a_cluster_whose_first_member_stays(shared: str) -> None:
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
    silent = {"peak": 0.0, "sha256": "s", "mel": pack(np.zeros((4, 4)))}
    table = examine(clip("a.0", **silent), clip("b.1", **silent), clip("c.2"), clip("d.3"))
    assert table["duplicate_group"].null_count == 4
    assert reasons(table)[:2] == [["silent"], ["silent"]]


def test_the_parameters_decide_who_is_left_out() -> None:
    clips = (clip("a.0", peak=0.0), clip("a.1", clipped_share=0.5), clip("a.2"))
    assert examine(*clips, exclude=())["excluded"].to_pylist() == [None, None, None]
    table = examine(*clips, exclude=("clipped",))
    assert table["excluded"].to_pylist() == [None, "clipped", None]
    assert reasons(table)[0] == ["silent"]


def test_the_summary_counts_everything_once() -> None:
    table = examine(
        clip("a.0", sha256="s"),
        clip("a.1", sha256="s"),
        clip("b.0", sha256="s"),
        clip("b.1", peak=0.0),
        clip("b.2", **BROKEN | {"fault": "missing"}),
    )
    counts = audit.summary(table)
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
    clips = [clip("a.0"), clip("a.1")]
    with pytest.raises(AssertionError, match="one order"):
        audit.audit(
            make_catalog([{key: one[key] for key in ("track_id", "genre", "sha256")} for one in clips]),
            pa.Table.from_pylist(
                [{key: one[key] for key in schema.LEVELS.names} for one in clips], schema=schema.LEVELS
            ),
            [{key: one[key] for key in ("track_id", "mel", "fault")} for one in clips[::-1]],
            params=make_params().audit,
        )


def test_mels_are_streamed_in_order_and_whole(tmp_path: Path) -> None:
    spectrograms = {f"a.{number:05d}": np.full((2, 3), -number / 2) for number in range(150)}
    path = write_mels(tmp_path / "mel.parquet", spectrograms)
    rows = list(schema.read_mels(path))
    assert [row["track_id"] for row in rows] == sorted(spectrograms)
    assert rows[149]["mel"] == pack(spectrograms["a.00149"])
