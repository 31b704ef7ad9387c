"""FMA large: 106 574 clips of 30 s. About half have one of 16 root genres, the rest is counted and left out.

`genrepro.datasets.fma` documents the layout, the sources and the licence.
"""

from pathlib import Path

import pandas as pd

from genrepro.base.params import Params
from genrepro.datasets import fma

REMOTES = {name: fma.REMOTES[name] for name in ("fma_metadata", "fma_large")}
FAULTS = fma.FAULTS


def acquire(*, params: Params, raw: Path) -> None:
    """Put metadata and clips below ``raw``."""
    fma.acquire(params.source, raw=raw, subset="large")


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each track of the subset and for each clip without metadata."""
    return fma.read_catalog(raw, subset="large")
