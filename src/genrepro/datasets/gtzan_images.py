"""GTZAN as pictures: the mel-spectrogram PNGs of Kaggle's copy, which the ViT report was trained on.

``andradaolteanu/gtzan-dataset-music-genre-classification`` holds, beside the audio,
``images_original/<genre>/ <genre>NNNNN.png``: 432 x 288 RGBA pictures drawn by matplotlib in its magma map
inside a white frame, one for each clip of 30 s but jazz.00054, whose audio cannot be decoded. Kaggle asks
for an account, so there is no remote: ``source`` names the downloaded archive (zip) or a folder that holds
``<genre>/<genre>NNNNN.png``.
"""

import re
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from genrepro.datasets import IDENTITY
from genrepro.datasets.tables import gtzan
from genrepro.errors import GenreproError
from genrepro.params import Params
from genrepro.sources import resolve

REMOTES: dict[str, dict] = {}
FAULTS = {
    "missing": "no picture in the source (jazz.00054 in every known copy: its audio is truncated)",
    "not_a_spectrogram": "size or colours are not those of a framed magma spectrogram",
}

_PICTURE = re.compile(rf"({'|'.join(gtzan.GENRES)})/\1(\d{{5}})\.png")
_MAX_BYTES = 8_000_000  # of one picture; the real ones have about 70 000


def acquire(*, params: Params, raw: Path) -> None:
    """Copy the pictures of ``params.source`` to ``raw/<genre>/<genre>NNNNN.png``.

    Raises
    ------
    GenreproError
        If the source is ``auto``, missing, no zip archive, or holds no such picture, or the same one twice.
    """
    if params.source == "auto":
        raise GenreproError(
            "gtzan_images has no public remote (Kaggle asks for an account): download the archive "
            "andradaolteanu/gtzan-dataset-music-genre-classification and pass -S source=<archive or folder>."
        )
    source = resolve(params.source)
    if source.is_dir():
        _copy_folder(source, raw)
    else:
        _copy_archive(source, raw)


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each of GTZAN's 1000 tracks.

    One without a picture has no path and the fault ``missing``.
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


def _copy_folder(source: Path, raw: Path) -> None:
    found = _unique(
        {path: path.relative_to(source.parent).as_posix() for path in sorted(source.rglob("*.png"))}, source
    )
    for target, path in found.items():
        (raw / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, raw / target)


def _copy_archive(source: Path, raw: Path) -> None:
    # Names are matched, never followed: a member lands only at a path that this module composed.
    try:
        with zipfile.ZipFile(source) as archive:
            found = _unique({member: member.filename for member in archive.infolist()}, source)
            for target, member in found.items():
                if member.file_size > _MAX_BYTES:
                    raise GenreproError(
                        f"{source}: {member.filename} has {member.file_size} bytes, no such picture."
                    )
                (raw / target).parent.mkdir(parents=True, exist_ok=True)
                (raw / target).write_bytes(archive.read(member))
    # RuntimeError: a password, or a compression that Python does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise GenreproError(f"{source} cannot be read as a zip archive: {error}.") from error


def _unique(names: dict[Any, str], source: Path) -> dict[str, Any]:
    """Pictures by their place below raw/, from what holds each and its name in the source."""
    found: dict[str, Any] = {}
    for holder, name in names.items():
        match = _PICTURE.fullmatch("/".join(PurePosixPath(name).parts[-2:]))
        if not match:
            continue
        if match.group() in found:
            raise GenreproError(f"{source} holds {match.group()} twice: name the folder that is meant.")
        found[match.group()] = holder
    if not found:
        raise GenreproError(
            f"{source} holds no picture named <genre>/<genre>NNNNN.png (blues/blues00000.png): "
            "name Kaggle's archive, or its folder images_original."
        )
    return found
