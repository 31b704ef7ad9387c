"""The catalog: identity from the data set's own tables, facts from each file's header and bytes.

Nothing is decoded here, and nothing is dropped unseen. A file keeps its row and gets a fault if it is
missing, if its header cannot be read, or if its content is not what the data set published. Files without a
genre get no row. They are counted by kind.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa

from genrepro.base.errors import GenreproError
from genrepro.base.files import sha256
from genrepro.base.tables import CATALOG, LABELS, PREDICTION_KEYS
from genrepro.exact.identity import name_key, one_spelling, text
from genrepro.spectrogram import audio


def build(identity: pd.DataFrame, raw: Path, *, num_workers: int) -> pa.Table:
    """The catalog of a data set.

    Parameters
    ----------
    identity : DataFrame
        What ``read_catalog`` of the data set's module returns. Rows without a genre are left out: `summary`
        counts them. ``checksum`` (``sha1:<hex>``), where there is such a column, is what a file must have.
    raw : Path
        Folder that its ``path`` column is relative to.
    num_workers : int
        Threads that hash files and read headers.

    Returns
    -------
    pyarrow.Table
        Columns of `tables.CATALOG`, sorted by ``track_id``.

    Raises
    ------
    GenreproError
        If a ``track_id`` occurs twice, there is no track with a genre at all, or a genre has the name of a
        column of metrics/predictions.csv, where each genre is a column.
    """
    from joblib import Parallel, delayed

    labelled = identity[identity["genre"].map(text).notna()]
    if labelled.empty:
        raise GenreproError(f"{raw} holds no track of a known genre: check `source`.")
    doubled = labelled["track_id"][labelled["track_id"].duplicated()]
    if not doubled.empty:
        raise GenreproError(f"{raw}: the track id {doubled.iloc[0]} occurs twice.")
    table = labelled.sort_values("track_id", ignore_index=True)
    table["genre"] = pd.Series(one_spelling(table["genre"]), dtype=object)
    for genre in sorted(set(table["genre"]).intersection(PREDICTION_KEYS)):
        raise GenreproError(
            f"{raw}: the genre '{genre}' has the name of a column of metrics/predictions.csv, where each "
            f"genre is a column too: call it something else in the source, such as '{genre.capitalize()}'."
        )
    for column in ("artist", "album", "title"):
        table[column] = pd.Series([text(value) for value in table[column]], dtype=object)
    table["artist"] = pd.Series([_unless_nobody(artist) for artist in table["artist"]], dtype=object)
    paths = [None if pd.isna(path) else raw / path for path in table["path"]]
    checksums = table["checksum"] if "checksum" in table else [None] * len(table)
    facts = Parallel(n_jobs=num_workers, prefer="threads")(
        delayed(_facts)(path, checksum) for path, checksum in zip(paths, checksums, strict=True)
    )
    facts = pd.DataFrame(
        facts, columns=["sha256", "num_bytes", "sample_rate", "num_channels", "duration", "header_fault"]
    )
    table = pd.concat([table, facts], axis=1)
    table["fault"] = table["fault"].where(table["fault"].notna(), table["header_fault"])
    columns = {
        name: pa.array(
            [None if pd.isna(value) else value for value in table[name]], type=CATALOG.field(name).type
        )
        for name in CATALOG.names
    }
    return pa.table(columns, schema=CATALOG)


def _unless_nobody(artist: str | None) -> str | None:
    """Null for what programs write if they know no artist: such tracks are not of one artist."""
    nobody = ("unknown artist", "<unknown>", "various artists")
    return None if artist is None or name_key(artist) in nobody else artist


def summary(identity: pd.DataFrame, table: pa.Table) -> dict[str, int]:
    """Counts for metrics/catalog.json: tracks, what is unknown of them, faults by kind, what was left out.

    The kind of a fault is what stands before its colon. Of what is missing the reason is counted too.
    """
    faults = [fault for fault in table["fault"].to_pylist() if fault]
    kinds = Counter(_kind(fault) for fault in faults)
    kinds.update(_reason(fault) for fault in faults if fault.startswith("missing:"))
    left_out = Counter(_kind(fault) for fault in identity.loc[identity["genre"].map(text).isna(), "fault"])
    return {
        "num_tracks": table.num_rows,
        "num_genres": len(set(table["genre"].to_pylist())),
        **{f"num_unknown_{name}": table[name].null_count for name in ("artist", "album", "official_split")},
        **{f"num_{kind}": count for kind, count in sorted(kinds.items())},
        **{f"num_left_out_{kind}": count for kind, count in sorted(left_out.items())},
    }


def labels(known: pd.DataFrame | None) -> pa.Table:
    """What a composer knows of its tracks, or nothing: columns of `tables.LABELS`, sorted by ``track_id``."""
    if known is None:
        return LABELS.empty_table()
    return pa.Table.from_pandas(known.sort_values("track_id"), schema=LABELS, preserve_index=False)


def _kind(fault: str) -> str:
    return fault.partition(":")[0]


def _reason(fault: str) -> str:
    """``missing_http_404`` of ``missing: HTTP 404: details``."""
    return re.sub(r"\W+", "_", ":".join(fault.split(":")[:2]).lower())


def _facts(path: Path | None, checksum: str | None) -> tuple:
    """sha256, num_bytes, sample_rate [Hz], num_channels, duration [s], fault; None is unknown."""
    if path is None:
        return (None,) * 6
    identity = (sha256(path), path.stat().st_size)
    if checksum is not None and not pd.isna(checksum):
        algorithm, _, expected = checksum.partition(":")
        with path.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() != expected:
                return (*identity, None, None, None, f"corrupt: its {algorithm} is not the published one")
    if path.suffix == ".png":
        return (*identity, None, None, None, None)
    try:
        found = audio.read_header(path)
    except audio.UndecodableError as error:
        return (*identity, None, None, None, str(error))
    return (*identity, found.sample_rate, found.num_channels, found.duration, None)
