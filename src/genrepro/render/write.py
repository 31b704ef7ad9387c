"""Render files to log-mel spectrograms with many workers and one writer. A killed run can continue.

Workers get chunks of tracks and write the finished rows to a journal beside the target. This process reads
them in the catalog's order. So the bytes do not depend on the number of workers or on a kill, and memory does
not grow with the number of tracks: at most one row group is held at once.
"""

import dataclasses
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from genrepro.base import tables
from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing, write_parquet
from genrepro.base.params import Mel
from genrepro.base.tables import LEVELS, MEL, with_mel_description
from genrepro.render import engines, journal
from genrepro.spectrogram import audio, mel, pictures

_TRACKS_PER_CHUNK = 8  # a tenth of a second of work: dispatching is cheap, and a kill loses little


def render(
    catalog: pa.Table,
    *,
    raw: Path,
    params: Mel,
    mel_path: Path,
    levels_path: Path,
    num_workers: int,
    backend: str = "loky",
) -> int:
    """Write mel.parquet and levels.parquet for every track of the catalog.

    A track that has a fault in the catalog, or cannot be decoded, keeps its row, without frames and with the
    reason in ``fault``. If it is killed and called again, it continues from the finished chunks in
    ``mel.partial/`` beside ``mel_path``. The folder is deleted when both tables are complete.

    Parameters
    ----------
    catalog : pyarrow.Table
        Columns of `tables.CATALOG`.
    raw : Path
        Folder that its ``path`` column is relative to.
    params : Mel
        Transform parameters. Pictures do not use them.
    mel_path, levels_path : Path
        Both are written under temporary names, then renamed.
    num_workers : int
        Processes on this machine.
    backend : str
        Where the workers run, a key of `engines.BACKENDS`.

    Returns
    -------
    int
        Number of tracks that an earlier, interrupted call had rendered.

    Raises
    ------
    GenreproError
        If a file of the catalog is missing, or a worker of a cluster would compute other bytes.
    """
    rows = catalog.select(["track_id", "path", "sha256", "fault"]).to_pylist()
    of_pictures = any(row["path"] and row["path"].endswith(".png") for row in rows)
    description = pictures.describe() if of_pictures else mel.describe(params)
    chunks = [rows[start : start + _TRACKS_PER_CHUNK] for start in range(0, len(rows), _TRACKS_PER_CHUNK)]
    folder = mel_path.with_suffix(".partial").resolve()
    paths = [folder / journal.name(chunk, description) for chunk in chunks]
    done = journal.keep(folder, [path.name for path in paths])
    num_done = sum(len(chunk) for chunk, path in zip(chunks, paths, strict=True) if path.name in done)

    missing = [(chunk, path) for chunk, path in zip(chunks, paths, strict=True) if path.name not in done]
    transform = None if of_pictures or not missing else mel.transform(params)
    finished = _in_parallel(missing, raw.resolve(), transform, backend=backend, num_workers=num_workers)
    schema = with_mel_description(description)
    levels: list[dict] = []

    def rendered() -> Iterator[pa.Table]:
        from tqdm import tqdm

        with tqdm(total=len(rows), initial=num_done, desc="render", unit=" tracks", disable=None) as progress:
            for chunk, path in zip(chunks, paths, strict=True):
                if path.name not in done:
                    host = next(finished)
                    progress.update(len(chunk))
                if (table := journal.read(path)) is None:
                    raise GenreproError(
                        f"{path} is not there though {host} wrote it: workers must share the file system."
                    )
                # Copy to plain values: a slice of the table would keep its spectrograms in memory.
                levels.extend(table.select(LEVELS.names).to_pylist())
                yield table.select(MEL.names).cast(schema)

    # The small table is renamed last, so that a new levels.parquet means that mel.parquet is complete.
    with replacing(levels_path) as partial:
        write_parquet(mel_path, rendered(), schema)
        write_parquet(partial, [pa.Table.from_pylist(levels, schema=LEVELS)], LEVELS)
    shutil.rmtree(folder)
    return num_done


def _in_parallel(
    work: Sequence[tuple[list[dict], Path]],
    raw: Path,
    transform: mel.Transform | None,
    *,
    backend: str,
    num_workers: int,
) -> Iterator[str]:
    """Render chunks into their files. Yield the host that wrote each chunk, in order."""
    from joblib import delayed

    calls = (delayed(_render_chunk)(chunk, raw, transform, path, journal.identity()) for chunk, path in work)
    return engines.run(calls, backend=backend, num_workers=num_workers)


def _render_chunk(
    rows: list[dict], raw: Path, transform: mel.Transform | None, path: Path, expected: dict[str, str]
) -> str:
    host = socket.gethostname()
    for what, value in journal.identity().items():
        if value != expected[what]:
            raise GenreproError(
                f"A worker on {host} would give other bytes ({what}: {value}, here {expected[what]}): start "
                'it from this checkout and environment after `eval "$(python -m genrepro.exact.numerics)"`.'
            )
    journal.write(path, [_render_track(row, raw, transform) for row in rows])
    return host


def _render_track(row: dict, raw: Path, transform: mel.Transform | None) -> dict:
    """Render one track to a row of `journal.ROWS`."""
    spectrogram, fault = np.empty((0, 0), np.float32), row["fault"]
    levels: dict = {}
    if fault is None:
        path = raw / row["path"]
        if not path.exists():
            raise GenreproError(
                f"{path} of the catalog is missing on {socket.gethostname()}: `dvc checkout`."
            )
        try:
            if path.suffix == ".png":
                spectrogram = pictures.read_png(path)
            else:
                assert transform is not None, "a data set is either of pictures or of audio"
                samples, measured = audio.decode_with_levels(path, sample_rate=transform.params.sample_rate)
                spectrogram, levels = transform(samples), dataclasses.asdict(measured)
        except pictures.NotASpectrogramError as error:
            fault = f"not_a_spectrogram: {error}"
        except audio.UndecodableError as error:
            fault = str(error)
    num_frames, num_mels = spectrogram.shape
    return {
        "track_id": row["track_id"],
        "mel": tables.pack_mel(spectrogram) if fault is None else None,
        "num_frames": num_frames,
        "num_mels": num_mels,
        "fault": fault,
        **levels,
    }
