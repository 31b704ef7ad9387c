"""FMA small: 8 000 clips of 30 s, 1 000 of each of eight root genres. Official split 6400/800/800 by artist.

`genrepro.datasets.fma` documents the layout, the sources and the licence.
"""

from pathlib import Path

import pandas as pd

from genrepro.base.params import Params
from genrepro.datasets import fma

REMOTES = {name: fma.REMOTES[name] for name in ("fma_metadata", "fma_small")}
FAULTS = fma.FAULTS


def acquire(*, params: Params, raw: Path) -> None:
    """Put metadata and clips below ``raw``."""
    fma.acquire(params.source, raw=raw, subset="small")


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each track of the subset and for each clip without metadata."""
    return fma.read_catalog(raw, subset="small")
