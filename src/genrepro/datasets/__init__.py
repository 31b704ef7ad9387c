"""The data sets, one module each, all with the same skeleton.

Every module says first what the data is and where it comes from. Then it declares ``REMOTES`` (what can be
downloaded: url, checksum, bytes) and ``FAULTS`` (what is known to be wrong with it). Then it has two
functions:

``acquire(*, params, raw)``
    Put the raw files into the folder ``raw``.
``read_catalog(raw)``
    Return one row per track, with the columns of `IDENTITY`.
"""

from importlib import import_module
from types import ModuleType

IDENTITY = ("track_id", "genre", "artist", "album", "title", "path", "official_split", "fault")


def module(name: str) -> ModuleType:
    """Import and return the module of data set ``name``."""
    return import_module(f"genrepro.datasets.{name}")
