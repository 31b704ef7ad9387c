"""FMA medium: 25 000 clips of 30 s, 16 unbalanced root genres. Official split disjoint by artist.

`genrepro.datasets.fma` documents the layout, the sources and the licence.
"""

from pathlib import Path

import pandas as pd

from genrepro.base.params import Params
from genrepro.datasets import fma

REMOTES = {name: fma.REMOTES[name] for name in ("fma_metadata", "fma_medium")}
FAULTS = fma.FAULTS


def acquire(*, params: Params, raw: Path) -> None:
    """Put metadata and clips below ``raw``."""
    fma.acquire(params.source, raw=raw, subset="medium")


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each track of the subset and for each clip without metadata."""
    return fma.read_catalog(raw, subset="medium")
