"""What is wrong with the data: every track's findings, clusters of equal content, and who is kept out for it.

Findings: ``missing`` (no file), ``undecodable``, ``silent``, ``short`` (against the data set's median),
``clipped``, ``duplicate`` (a later member of a cluster of equal content) and ``contradicting_label`` (a
cluster under several genres). A finding is recorded whether or not ``audit.exclude`` makes it a reason to
leave out.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from genrepro.params import EXCLUDABLE, Audit
from genrepro.schema import AUDIT

_UNUSABLE = ("missing", "undecodable", "silent")  # carry no music, so equal content means nothing


def audit(catalog: pa.Table, levels: pa.Table, mels: Iterable[dict], *, params: Audit) -> pa.Table:
    """Findings for every track.

    Parameters
    ----------
    catalog, levels : pyarrow.Table
        Columns of `schema.CATALOG` and `schema.LEVELS`, the same tracks in the same order.
    mels : iterable of dict
        Rows of mel.parquet in the same order, as `schema.read_mels` streams them.
    params : Audit
        Thresholds, and which findings exclude a track.

    Returns
    -------
    pyarrow.Table
        Columns of `schema.AUDIT`, one row a track, sorted.
    """
    tracks, level_rows = catalog.to_pylist(), levels.to_pylist()
    durations = [level["duration"] for level in level_rows if level["duration"] is not None]
    shortest = params.short_share * float(np.median(durations)) if durations else 0.0
    reasons: list[set[str]] = []
    contents: list[tuple[str, str] | None] = []  # hashes of file and of spectrogram
    for track, level, mel in zip(tracks, level_rows, mels, strict=True):
        assert track["track_id"] == level["track_id"] == mel["track_id"], "tables are not in one order"
        found = set(_findings(level, mel, params=params, shortest=shortest))
        reasons.append(found)
        usable = not found.intersection(_UNUSABLE)
        contents.append((track["sha256"], hashlib.sha256(mel["mel"]).hexdigest()) if usable else None)

    groups: list[str | None] = [None] * len(tracks)
    for members in _clusters(contents):
        contradicting = len({tracks[member]["genre"] for member in members}) > 1
        for position, member in enumerate(members):
            groups[member] = tracks[members[0]]["track_id"]
            if position:
                reasons[member].add("duplicate")
            if contradicting:
                reasons[member].add("contradicting_label")
    return pa.table(
        {
            "track_id": catalog["track_id"],
            "reasons": pa.array([sorted(found) for found in reasons], AUDIT.field("reasons").type),
            "duplicate_group": pa.array(groups, pa.string()),
            "excluded": pa.array(
                [next((reason for reason in params.exclude if reason in found), None) for found in reasons],
                pa.string(),
            ),
        },
        schema=AUDIT,
    )


def summary(table: pa.Table) -> dict[str, int]:
    """Counts for metrics/audit.json: tracks, each finding, clusters, exclusions."""
    reasons = table["reasons"].to_pylist()
    groups = [group for group in table["duplicate_group"].to_pylist() if group is not None]
    return {
        "num_tracks": table.num_rows,
        **{f"num_{finding}": sum(finding in found for found in reasons) for finding in EXCLUDABLE},
        "num_duplicate_groups": len(set(groups)),
        "num_excluded": table.num_rows - table["excluded"].null_count,
    }


def _findings(level: dict, mel: dict, *, params: Audit, shortest: float) -> Iterator[str]:
    if mel["fault"] is not None:
        yield "missing" if mel["fault"] == "missing" else "undecodable"
        return
    if level["peak"] is None:  # a picture: silence has no contrast
        frames = np.frombuffer(mel["mel"], "<f2")
        if frames.min() == frames.max():
            yield "silent"
        return
    if level["peak"] < 10 ** (params.silence_db / 20):
        yield "silent"
    if level["duration"] < shortest:
        yield "short"
    if level["clipped_share"] >= params.clipped_share:
        yield "clipped"


def _clusters(contents: list[tuple[str, str] | None]) -> list[list[int]]:
    """Positions that share a file's or a spectrogram's hash, transitively.

    Connected components, each sorted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    edges = [
        (position, first.setdefault(content, position))
        for position, pair in enumerate(contents)
        if pair is not None
        for content in pair
    ]
    if not edges:
        return []
    rows, columns = zip(*edges, strict=True)
    graph = coo_array((np.ones(len(edges), bool), (rows, columns)), shape=(len(contents),) * 2)
    _, component = connected_components(graph, directed=False)
    members = defaultdict(list)
    for position, label in enumerate(component):
        members[label].append(position)
    return [cluster for cluster in members.values() if len(cluster) > 1]
