"""FMA mini: 1 000 clips of FMA small, 125 of each root genre, as many as the AST report used.

The report's own draw was not published. This one goes by a hash of the track ids and leaves out clips that
are known to be broken. `genrepro.datasets.fma` documents the layout, the sources and the licence.
"""

from pathlib import Path

import pandas as pd

from genrepro.base.params import Params
from genrepro.datasets import fma

REMOTES = {name: fma.REMOTES[name] for name in ("fma_metadata", "fma_small")}
FAULTS = fma.FAULTS
PER_GENRE = 125


def acquire(*, params: Params, raw: Path) -> None:
    """Put metadata and the drawn clips below ``raw``."""
    fma.acquire(params.source, raw=raw, subset="small", per_genre=PER_GENRE)


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each drawn track and for each clip without metadata."""
    return fma.read_catalog(raw, subset="small", per_genre=PER_GENRE)
