"""The data sets, one module each, all with the same skeleton.

Every module says first what the data is and where it comes from. Then it declares two mappings and two
functions (tests/datasets/test_contract.py checks them):

``REMOTES``
    `download.Remote` by name: what ``source: auto`` can download. Empty if nothing can be.
``FAULTS``
    What is known to be wrong with the data: a description by track id or by kind of fault.

``acquire(*, params, raw)``
    Put the raw files into the folder ``raw``.
``read_catalog(raw)``
    Return one row per track, with the columns of `IDENTITY`.

A data set that is composed may also have ``read_labels(raw)``: columns of `tables.LABELS`.

What several of them share: `layouts` (what folders say of a file), `spreadsheet` (a table that somebody
made), `columns` (of a table from the hub), `fma` (all sizes of FMA), `tables` (facts that are not in the
downloads), `synthesis` (the composer).
"""

from importlib import import_module
from types import ModuleType

IDENTITY = ("track_id", "genre", "artist", "album", "title", "path", "official_split", "fault")


def module(name: str) -> ModuleType:
    """Import and return the module of data set ``name``."""
    return import_module(f"genrepro.datasets.{name}")
