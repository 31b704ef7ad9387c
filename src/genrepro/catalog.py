"""The catalog: identity from the data set's own tables, facts from each file's header and bytes.

Nothing is decoded here and nothing is dropped: a file that is missing or whose header cannot be read keeps
its row and gets a fault.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from genrepro.errors import GenreproError
from genrepro.files import sha256
from genrepro.schema import CATALOG


def build(identity: pd.DataFrame, raw: Path, *, num_workers: int) -> pa.Table:
    """The catalog of a data set.

    Parameters
    ----------
    identity : DataFrame
        What ``read_catalog`` of the data set's module returns.
    raw : Path
        Folder that its ``path`` column is relative to.
    num_workers : int
        Threads that hash files and read headers.

    Returns
    -------
    pyarrow.Table
        Columns of `schema.CATALOG`, sorted by ``track_id``.

    Raises
    ------
    GenreproError
        If a ``track_id`` occurs twice, or there is no track at all.
    """
    from joblib import Parallel, delayed

    if identity.empty:
        raise GenreproError(f"{raw} holds no track: check `source`.")
    doubled = identity["track_id"][identity["track_id"].duplicated()]
    if not doubled.empty:
        raise GenreproError(f"{raw}: the track id {doubled.iloc[0]} occurs twice.")
    table = identity.sort_values("track_id", ignore_index=True)
    paths = [None if pd.isna(path) else raw / path for path in table["path"]]
    facts = Parallel(n_jobs=num_workers, prefer="threads")(delayed(_facts)(path) for path in paths)
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


def _facts(path: Path | None) -> tuple:
    """sha256, num_bytes, sample_rate [Hz], num_channels, duration [s], fault."""
    if path is None:
        return (None,) * 6
    identity = (sha256(path), path.stat().st_size)
    if path.suffix == ".png":
        return (*identity, None, None, None, None)
    import soundfile

    try:
        info = soundfile.info(str(path))
    except soundfile.LibsndfileError as error:
        return (*identity, None, None, None, f"undecodable: {error.error_string.strip().rstrip('.')}")
    return (*identity, info.samplerate, info.channels, info.frames / info.samplerate, None)
