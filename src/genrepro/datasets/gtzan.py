"""GTZAN: 1000 clips of 30 s in ten genres, 22 050 Hz, mono, 16 bit (Tzanetakis and Cook, 2002).

Several copies exist, and they differ. The original tar holds ``genres/<genre>/<genre>.NNNNN.au``. Its host is
gone, but the Wayback Machine has it. Hugging Face serves a tar of WAV files that also contains macOS's
AppleDouble files (``._*``). Kaggle's archive (``genres_original/<genre>/<genre>.NNNNN.wav``) needs an
account, so users download it and name it in ``source``. In the copies of Hugging Face and Kaggle, jazz.00054
is truncated and cannot be decoded. It is in the fault-filtered training list, of whose 443 tracks 442 are
usable then. The split stage reports this.

Artists come from B. L. Sturm's index. The official split is the fault-filtered one of Kereliuk, Sturm and
Larsen. Both are in `genrepro.datasets.tables.gtzan`.

Licence: none was ever published. The clips are excerpts of commercial recordings, for research only.
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
"""Two copies of the same collection, tried in this order. Only the first has a published checksum."""

FAULTS = {"jazz.00054": "undecodable in Kaggle's and Hugging Face's copies: its file is truncated"}
"""Faults that some copies have, by track id. The catalog reads from the file whether this copy has it."""

_CLIP = re.compile(rf"({'|'.join(gtzan.GENRES)})/\1\.\d{{5}}\.(wav|au)")


def acquire(*, params: Params, raw: Path) -> None:
    """Put the clips of ``params.source`` at ``raw/<genre>/<genre>.NNNNN.wav`` (or ``.au``).

    Raises
    ------
    GenreproError
        If no copy can be downloaded, or the source holds no such clip, or the same clip twice.
    """
    source = obtain(params.source, declared(REMOTES).values())
    if not archives.extract(source, into=raw, place=_place):
        raise GenreproError(
            f"{source} holds no clip named <genre>/<genre>.NNNNN.wav or .au (blues/blues.00000.wav): "
            "name GTZAN's archive, or its folder genres or genres_original."
        )


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each of GTZAN's 1000 tracks. Without a file, path is null and fault ``missing``."""
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
