"""Find the faults of every track, group copies of one recording, and decide which tracks to leave out.

missing              the source holds no file
undecodable          no decoder can read it
corrupt              its content is not what its data set published
declared             users of the data set found it broken
silent               its root mean square is below ``audit.silence_db``
short                much shorter than the data set's median duration (``audit.short_share``)
truncated            it decodes to less than its header says
clipped              it has runs of samples at full scale (``audit.clipped_share``)
odd_sample_rate      its sample rate differs from that of most tracks
mono_in_stereo       its two channels are (nearly) equal
duplicate            the same file or the same spectrogram as an earlier track
near_duplicate       the same recording as an earlier track: re-encoded, shifted, louder, cut (`fingerprint`)
contradicting_label  copies of its recording are in several genres

Every finding is recorded. Those in ``audit.exclude`` also keep the track out of the splits. A track without a
spectrogram is always left out.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.audit.duplicates import Pair
from genrepro.base.errors import GenreproError
from genrepro.base.params import FINDINGS, Audit
from genrepro.base.tables import AUDIT
from genrepro.exact.identity import artist_key, num_shared

_UNUSABLE = (
    "missing",
    "undecodable",
    "corrupt",
    "declared",
    "silent",
)  # tracks with these findings are not compared: equal content means nothing
# Tracks with these findings have no spectrogram. No split can use them, whatever audit.exclude says.
_WITHOUT_FRAMES = ("missing", "undecodable", "corrupt", "declared")
_TRUNCATION = 0.25  # s by which a header may be too long; decoders' delay and padding are far shorter
_MONO_DIFFERENCE = 1e-3  # difference of the channels, -60 dB: every real stereo recording has more


def findings(catalog: pa.Table, levels: pa.Table, mels: Iterable[dict], *, params: Audit) -> pd.DataFrame:
    """Find the faults that each track shows by itself.

    Parameters
    ----------
    catalog, levels : pyarrow.Table
        Columns of `tables.CATALOG` and `tables.LEVELS`, the same tracks in the same order.
    mels : iterable of dict
        Rows of mel.parquet in the same order, as `tables.read_mels` streams them.
    params : Audit
        Thresholds.

    Returns
    -------
    DataFrame
        Indexed by track_id: genre, reasons (a set), file and content (hashes, null for unusable tracks).
    """
    tracks, level_rows = catalog.to_pylist(), levels.to_pylist()
    durations = [level["duration"] for level in level_rows if level["duration"] is not None]
    shortest = params.short_share * float(np.median(durations)) if durations else 0.0
    rates = Counter(track["sample_rate"] for track in tracks if track["sample_rate"] is not None)
    usual_rate = rates.most_common(1)[0][0] if rates else None
    rows = []
    for track, level, mel in zip(tracks, level_rows, mels, strict=True):
        assert track["track_id"] == level["track_id"] == mel["track_id"], "tables are not in one order"
        reasons = set(_findings(track, level, mel, params=params, shortest=shortest, usual_rate=usual_rate))
        music = not reasons.intersection(_UNUSABLE)
        rows.append(
            {
                "genre": track["genre"],
                "reasons": reasons,
                "file": track["sha256"] if music else None,
                "content": hashlib.sha256(mel["mel"]).hexdigest() if music else None,
            }
        )
    return pd.DataFrame(rows, index=pd.Index(catalog["track_id"].to_pylist(), name="track_id"))


def audit(found: pd.DataFrame, pairs: Sequence[Pair], *, params: Audit) -> pa.Table:
    """Join the findings of single tracks with those of pairs, and decide which tracks to exclude.

    Parameters
    ----------
    found : DataFrame
        As `findings` returns it.
    pairs : sequence of Pair
        Near duplicates, as `duplicates.near_duplicates` returns them.
    params : Audit
        Which findings exclude a track.

    Returns
    -------
    pyarrow.Table
        Columns of `tables.AUDIT`, one row per track, sorted.
    """
    reasons = [set(value) for value in found["reasons"]]
    groups: list[str | None] = [None] * len(found)
    for members in _clusters(found, pairs):
        contradicting = found["genre"].iloc[members].nunique() > 1
        repeated = found.iloc[members].duplicated("file") | found.iloc[members].duplicated("content")
        for position, (member, is_repeated) in enumerate(zip(members, repeated, strict=True)):
            groups[member] = found.index[members[0]]
            if position:
                reasons[member].add("duplicate" if is_repeated else "near_duplicate")
            if contradicting:
                reasons[member].add("contradicting_label")
    return pa.table(
        {
            "track_id": pa.array(found.index, pa.string()),
            "reasons": pa.array([sorted(values) for values in reasons], AUDIT.field("reasons").type),
            "duplicate_group": pa.array(groups, pa.string()),
            "excluded": pa.array(
                [
                    next((reason for reason in (*params.exclude, *_WITHOUT_FRAMES) if reason in values), None)
                    for values in reasons
                ],
                pa.string(),
            ),
        },
        schema=AUDIT,
    )


def summary(table: pa.Table, catalog: pa.Table) -> dict[str, int]:
    """Counts for metrics/audit.json: tracks, each finding, clusters, exclusions, and leaks of artists.

    ``official_shared_...`` counts artists, albums and clusters on more than one side of the data set's own
    split, without excluded tracks. Albums are compared by title, so two albums of one name count as one.
    """
    reasons = table["reasons"].to_pylist()
    tracks = catalog.select(["genre", "artist", "album", "official_split"]).to_pandas()
    for column in ("artist", "album"):
        tracks[column] = tracks[column].map(artist_key)
    tracks["duplicate_group"] = table["duplicate_group"].to_pandas()
    used = tracks[table["excluded"].to_pandas().isna()]
    return {
        "num_tracks": table.num_rows,
        **{f"num_{finding}": sum(finding in values for values in reasons) for finding in FINDINGS},
        "num_duplicate_groups": tracks["duplicate_group"].nunique(),
        "num_excluded": table.num_rows - table["excluded"].null_count,
        "num_artists": tracks["artist"].nunique(),
        "num_artists_in_several_genres": num_shared(tracks, "artist", sides="genre"),
        "official_shared_artists": num_shared(used, "artist", sides="official_split"),
        "official_shared_albums": num_shared(used, "album", sides="official_split"),
        "official_shared_duplicates": num_shared(used, "duplicate_group", sides="official_split"),
    }


def require_sound(table: pa.Table) -> None:
    """Raise GenreproError if any track is excluded (``audit.on_fault: fail``). It names the first three."""
    excluded = [row for row in table.to_pylist() if row["excluded"] is not None]
    if excluded:
        named = ", ".join(f"{row['track_id']} ({row['excluded']})" for row in excluded[:3])
        more = f" and {len(excluded) - 3} more" if len(excluded) > 3 else ""
        shorter = any(row["excluded"] not in _WITHOUT_FRAMES for row in excluded)
        raise GenreproError(
            f"audit: {len(excluded)} of {table.num_rows} tracks have a fault: {named}{more}; mend the data, "
            + ("shorten audit.exclude, " if shorter else "")
            + "or set audit.on_fault to exclude."
        )


def _findings(
    track: dict, level: dict, mel: dict, *, params: Audit, shortest: float, usual_rate: int | None
) -> Iterator[str]:
    if mel["fault"] is not None:
        kind = mel["fault"].partition(":")[0]
        yield kind if kind in ("missing", "corrupt", "declared") else "undecodable"
        return
    if level["peak"] is None:  # a picture; it is silent if it has no contrast
        frames = np.frombuffer(mel["mel"], "<f2")
        if frames.min() == frames.max():
            yield "silent"
        return
    if level["rms"] < 10 ** (params.silence_db / 20):
        yield "silent"
    if level["duration"] < shortest:
        yield "short"
    if track["duration"] is not None and track["duration"] - level["duration"] > _TRUNCATION:
        yield "truncated"
    if level["clipped_share"] >= params.clipped_share:
        yield "clipped"
    if track["sample_rate"] != usual_rate:
        yield "odd_sample_rate"
    if level["channel_difference"] is not None and level["channel_difference"] < _MONO_DIFFERENCE:
        yield "mono_in_stereo"


def _clusters(found: pd.DataFrame, pairs: Sequence[Pair]) -> list[list[int]]:
    """Group the positions that share a file, a spectrogram or a recording, directly or through others.

    Returns the connected components with at least two members, each sorted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    position = {track_id: number for number, track_id in enumerate(found.index)}
    edges = [(position[pair.first], position[pair.second]) for pair in pairs]
    for column in ("file", "content"):
        first: dict[str, int] = {}
        known = ((number, key) for number, key in enumerate(found[column]) if isinstance(key, str))
        edges += [(number, first.setdefault(key, number)) for number, key in known]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_array((np.ones(len(edges), bool), (rows, columns)), shape=(len(found),) * 2)
    _, component = connected_components(graph, directed=False)
    members = defaultdict(list)
    for number, label in enumerate(component):
        members[label].append(number)
    return [cluster for cluster in members.values() if len(cluster) > 1]
