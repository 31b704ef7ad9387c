"""GTZAN: 1000 clips of 30 s in ten genres, 22 050 Hz, mono, 16 bit (Tzanetakis and Cook, 2002).

The copies that people have differ. The original tar holds ``genres/<genre>/<genre>.NNNNN.au``; its host is
gone, and the Wayback Machine keeps it. Hugging Face serves a tar of WAV files with macOS's AppleDouble files
(``._*``) among them; Kaggle's archive (``genres_original/<genre>/<genre>.NNNNN.wav``) needs an account, so
``source`` names the downloaded archive or folder. In the last two jazz.00054 is truncated beyond decoding.
That clip is in the fault-filtered training list, which then has 442 usable tracks of 443: the split stage
says so.

Artists come from B. L. Sturm's index, the official split is the fault-filtered one of Kereliuk, Sturm and
Larsen: `genrepro.datasets.tables.gtzan`.

Licence: none was ever published; the clips are excerpts of commercial recordings, for research only.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import IDENTITY
from genrepro.datasets.tables import gtzan
from genrepro.download import archives
from genrepro.download.cache import Remote, declared
from genrepro.download.source import obtain

REMOTES = {
    "gtzan_original": Remote(
        name="genres.tar.gz",
        urls=(
            "https://web.archive.org/web/20211207012050/http://opihi.cs.uvic.ca/sound/genres.tar.gz",
            "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
        ),
        checksum="sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
    ),
    "gtzan_hugging_face": Remote(
        name="genres.tar.gz",
        urls=("https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",),
        num_bytes=1_226_192_050,
    ),
}
"""Two honest copies, tried in this order: the one whose checksum was published first."""

FAULTS = {"jazz.00054": "undecodable in Kaggle's and Hugging Face's copies: its file is truncated"}
"""What a copy may hold; the catalog says which copy does, from the file itself."""

_CLIP = re.compile(rf"({'|'.join(gtzan.GENRES)})/\1\.\d{{5}}\.(wav|au)")


def acquire(*, params: Params, raw: Path) -> None:
    """Put the clips of ``params.source`` at ``raw/<genre>/<genre>.NNNNN.wav`` (or ``.au``).

    Raises
    ------
    GenreproError
        If no copy can be had, or the source holds no such clip, or the same one twice.
    """
    source = obtain(params.source, declared(REMOTES).values())
    if not archives.extract(source, into=raw, place=_place):
        raise GenreproError(
            f"{source} holds no clip named <genre>/<genre>.NNNNN.wav or .au (blues/blues.00000.wav): "
            "name GTZAN's archive, or its folder genres or genres_original."
        )


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each of GTZAN's 1000 tracks; one without a file has no path and the fault ``missing``."""
    table = gtzan.tracks()
    paths = []
    for track_id, genre in zip(table["track_id"], table["genre"], strict=True):
        found = [
            path for suffix in ("wav", "au") if (raw / (path := f"{genre}/{track_id}.{suffix}")).is_file()
        ]
        if len(found) > 1:
            raise GenreproError(
                f"{raw} holds {track_id} as both {found[0]} and {found[1]}: keep one of them."
            )
        paths.append(found[0] if found else None)
    table["album"] = None
    table["path"] = pd.Series(paths, dtype=object)
    table["fault"] = [None if path else "missing" for path in paths]
    return table[list(IDENTITY)]


def _place(name: PurePosixPath) -> str | None:
    match = _CLIP.fullmatch("/".join(name.parts[-2:]))
    return match.group() if match else None
