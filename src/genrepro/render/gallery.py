"""Draw spectrograms for people: one picture per track, and one contact sheet per genre.

The bytes depend on the data only: no date or software version is written into a PNG.
"""

from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from genrepro.base import lettering
from genrepro.base.files import file_name, replacing
from genrepro.base.tables import read_mel_description, read_mels, unpack_mel

_SHEET_COLUMNS, _SHEET_ROWS = 4, 3  # a person can look at about twelve tracks at once


def draw_gallery(mel_path: Path, catalog: pa.Table, *, folder: Path, per_genre: int | Literal["all"]) -> int:
    """Draw ``<genre>/<track_id>.png`` for a sample of each genre, and a contact sheet ``<genre>.png``.

    Genres and ids that cannot be names of files are written as `files.file_name` has them.

    Parameters
    ----------
    mel_path : Path
        mel.parquet.
    catalog : pyarrow.Table
        Read for genres and artists.
    folder : Path
        Written under a temporary name, then renamed.
    per_genre : int or 'all'
        Number of tracks to draw. They are spread evenly over the genre's usable tracks, to show many artists.

    Returns
    -------
    int
        Number of tracks drawn.
    """
    frame = catalog.select(["track_id", "genre", "artist"]).to_pandas().set_index("track_id")
    top_db = read_mel_description(mel_path)["top_db"]
    usable = {row["track_id"] for row in read_mels(mel_path) if row["num_frames"]}
    chosen: set[str] = set()
    for _, tracks in frame[frame.index.isin(usable)].groupby("genre"):
        count = len(tracks) if per_genre == "all" else min(per_genre, len(tracks))
        chosen.update(
            tracks.index[np.linspace(0, len(tracks) - 1, count).round().astype(int)] if count else ()
        )
    sheets: dict[str, list[tuple[str, np.ndarray]]] = defaultdict(list)
    with replacing(folder) as partial:
        partial.mkdir()
        for row in read_mels(mel_path):
            if row["track_id"] not in chosen:
                continue
            genre, artist = frame.loc[row["track_id"], ["genre", "artist"]]
            spectrogram = unpack_mel(row["mel"], num_mels=row["num_mels"])
            name = row["track_id"].removeprefix(f"{genre}/")  # ids of a user's own folder name the genre
            *folders, name = name.split("/")
            path = partial.joinpath(*map(_safe, [genre, *folders]), file_name(name, suffix=".png"))
            write_spectrogram(path, spectrogram, top_db=top_db)
            if len(sheets[genre]) < _SHEET_COLUMNS * _SHEET_ROWS:
                label = f"{row['track_id']}  {artist if isinstance(artist, str) else 'unknown artist'}"
                sheets[genre].append((label, spectrogram))
        for genre, items in sheets.items():
            _contact_sheet(partial / f"{_safe(genre)}.png", genre, items, top_db=top_db)
    return len(chosen)


def write_spectrogram(path: Path, spectrogram: np.ndarray, *, top_db: float) -> None:
    """Write one spectrogram as a magma-coloured PNG, one pixel per cell, lowest band at the bottom.

    Parameters
    ----------
    path : Path
    spectrogram : np.ndarray [shape=(num_frames, num_mels)]
        dB, ``-top_db`` .. 0.
    top_db : float
    """
    import matplotlib
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    level = np.clip(1 + spectrogram.T[::-1].astype(np.float32) / top_db, 0, 1)
    Image.fromarray(matplotlib.colormaps["magma"](level, bytes=True)[..., :3]).save(path)


def _safe(text: str) -> str:
    """The name of a folder, which no picture beside it has."""
    return file_name(text, suffix=".png").removesuffix(".png")


def _contact_sheet(path: Path, genre: str, items: list[tuple[str, np.ndarray]], *, top_db: float) -> None:
    import matplotlib.pyplot as plt

    num_rows = -(-len(items) // _SHEET_COLUMNS)
    num_columns = min(len(items), _SHEET_COLUMNS)
    figure, axes = plt.subplots(
        num_rows,
        num_columns,
        figsize=(4 * num_columns, 0.4 + 2.2 * num_rows),
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (label, spectrogram) in zip(axes.flat, items, strict=False):
        axis.imshow(
            spectrogram.T.astype(np.float32),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-top_db,
            vmax=0,
        )
        axis.set_title(label, fontsize=8)
    figure.suptitle(genre)
    lettering.literal(figure)
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
