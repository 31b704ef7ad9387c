"""From files to log-mel spectrograms: many workers, one writer, rows sorted by track.

Workers return finished rows in the catalog's order whatever order they finish in, so the number of workers
cannot change a byte; only a bounded number of chunks is in flight, so memory does not grow with the tracks.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from genrepro import audio, images, mel
from genrepro.files import replacing, write_parquet
from genrepro.params import Mel
from genrepro.schema import LEVELS, MEL, with_mel_description

_TRACKS_PER_CHUNK = 8  # about a tenth of a second of work: dispatching costs nothing, and progress moves


def render(
    catalog: pa.Table, *, raw: Path, params: Mel, mel_path: Path, levels_path: Path, num_workers: int
) -> None:
    """Write mel.parquet and levels.parquet for every track of the catalog.

    A track that the catalog calls faulty, or that turns out not to be decodable, keeps its row with no frames
    and the reason in ``fault``.

    Parameters
    ----------
    catalog : pyarrow.Table
        Columns of `schema.CATALOG`.
    raw : Path
        Folder that its ``path`` column is relative to.
    params : Mel
        Transform parameters; pictures have their own and ignore them.
    mel_path, levels_path : Path
        Both appear complete, by renaming, or not at all.
    num_workers : int
        Processes.
    """
    rows = catalog.select(["track_id", "path", "fault"]).to_pylist()
    of_pictures = any(row["path"] and row["path"].endswith(".png") for row in rows)
    schema = with_mel_description(images.describe() if of_pictures else mel.describe(params))
    levels: list[dict] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for chunk in _in_parallel(rows, raw, params, num_workers):
            levels.extend(level for _, level in chunk)
            yield pa.RecordBatch.from_pylist([row for row, _ in chunk], schema=schema)

    # The small table is renamed last: where levels.parquet is new, mel.parquet is complete.
    with replacing(levels_path) as partial:
        write_parquet(mel_path, batches(), schema)
        write_parquet(partial, [pa.Table.from_pylist(levels, schema=LEVELS)], LEVELS)


def _in_parallel(
    rows: list[dict], raw: Path, params: Mel, num_workers: int
) -> Iterator[list[tuple[dict, dict]]]:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    chunks = [rows[start : start + _TRACKS_PER_CHUNK] for start in range(0, len(rows), _TRACKS_PER_CHUNK)]
    parallel = Parallel(n_jobs=num_workers, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1)
    work = parallel(delayed(_render_chunk)(chunk, raw, params) for chunk in chunks)
    with tqdm(total=len(rows), desc="render", unit=" tracks", disable=None) as progress:
        for chunk in work:
            yield chunk
            progress.update(len(chunk))


def _render_chunk(rows: list[dict], raw: Path, params: Mel) -> list[tuple[dict, dict]]:
    return [_render_track(row, raw, params) for row in rows]


def _render_track(row: dict, raw: Path, params: Mel) -> tuple[dict, dict]:
    """The rows of one track in mel.parquet and levels.parquet."""
    none = np.empty((0, 0), np.float32)
    spectrogram, fault = none, row["fault"]
    level: dict = {"track_id": row["track_id"], "duration": None, "peak": None, "clipped_share": None}
    if fault is None and row["path"].endswith(".png"):
        try:
            spectrogram = images.read_png(raw / row["path"])
        except images.NotASpectrogramError as error:
            fault = f"not_a_spectrogram: {error}"
    elif fault is None:
        try:
            samples = audio.decode(raw / row["path"], sample_rate=params.sample_rate)
        except audio.UndecodableError as error:
            fault = str(error)
        else:
            spectrogram = mel.log_mel(samples, params=params)
            level["duration"] = len(samples) / params.sample_rate
            level["peak"], level["clipped_share"] = audio.levels(samples)
    num_frames, num_mels = spectrogram.shape
    data = mel.pack(spectrogram) if fault is None else None
    values = (row["track_id"], data, num_frames, num_mels, fault)
    return dict(zip(MEL.names, values, strict=True)), level
