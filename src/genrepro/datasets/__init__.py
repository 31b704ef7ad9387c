"""The data sets, one module each, all with the same visible skeleton.

Every module opens with what the data is and where it comes from, then declares ``REMOTES`` (what can be
downloaded: url, checksum, bytes) and ``FAULTS`` (what is known to be wrong with it), then has two functions:

``acquire(*, params, raw)``
    Put the raw files below the folder ``raw``.
``read_catalog(raw)``
    One row per track, identity only: the columns of `IDENTITY`.
"""

from importlib import import_module
from types import ModuleType

IDENTITY = ("track_id", "genre", "artist", "album", "title", "path", "official_split", "fault")


def module(name: str) -> ModuleType:
    """The module of data set ``name``, imported only when it is used."""
    return import_module(f"genrepro.datasets.{name}")
