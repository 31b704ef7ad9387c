"""GTZAN as pictures: the mel-spectrogram PNGs of Kaggle's copy, which the ViT report was trained on.

``andradaolteanu/gtzan-dataset-music-genre-classification`` holds the audio and
``images_original/<genre>/<genre>NNNNN.png``. These are 432 x 288 RGBA pictures, drawn by matplotlib in its
magma colours inside a white frame. There is one for each clip of 30 s except jazz.00054, whose audio cannot
be decoded. Kaggle asks for an account, so there is no remote. ``source`` names the downloaded archive (zip)
or a folder that holds ``<genre>/<genre>NNNNN.png``.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import IDENTITY
from genrepro.datasets.tables import gtzan
from genrepro.download import archives
from genrepro.download.cache import Remote
from genrepro.download.source import resolve

REMOTES: dict[str, Remote] = {}
FAULTS = {
    "missing": "no picture in the source (jazz.00054 in every known copy: its audio is truncated)",
    "not_a_spectrogram": "size or colours are not those of a framed magma spectrogram",
}

_PICTURE = re.compile(rf"({'|'.join(gtzan.GENRES)})/\1(\d{{5}})\.png")


def acquire(*, params: Params, raw: Path) -> None:
    """Copy the pictures of ``params.source`` to ``raw/<genre>/<genre>NNNNN.png``.

    Raises
    ------
    GenreproError
        If the source is ``auto``, missing or not an archive, or holds no such picture, or one of them twice.
    """
    if params.source == "auto":
        raise GenreproError(
            "gtzan_images has no public remote (Kaggle asks for an account): download the archive "
            "andradaolteanu/gtzan-dataset-music-genre-classification and pass -S source=<archive or folder>."
        )
    source = resolve(params.source)
    if not archives.extract(source, into=raw, place=_place):
        raise GenreproError(
            f"{source} holds no picture named <genre>/<genre>NNNNN.png (blues/blues00000.png): "
            "name Kaggle's archive, or its folder images_original."
        )


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each of GTZAN's 1000 tracks.

    A track without a picture has no path and the fault ``missing``.
    """
    table = gtzan.tracks()
    table["album"] = None
    table["path"] = [
        f"{genre}/{track_id.replace('.', '')}.png"
        for track_id, genre in zip(table["track_id"], table["genre"], strict=True)
    ]
    there = table["path"].map(lambda path: (raw / path).is_file())
    table["fault"] = None
    table.loc[~there, "fault"] = "missing"
    table.loc[~there, "path"] = None
    return table[list(IDENTITY)]


def _place(name: PurePosixPath) -> str | None:
    match = _PICTURE.fullmatch("/".join(name.parts[-2:]))
    return match.group() if match else None
