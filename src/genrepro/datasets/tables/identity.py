"""identity.csv in a raw folder: what is known of each track where the download itself finds it out.

The data sets `hub` and `web` learn genre, artist and path while they download. The stage download writes them
here, and the stage catalog reads them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from genrepro.base import files
from genrepro.datasets import IDENTITY
from genrepro.download import disk

NAME = "identity.csv"


def write(raw: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the rows, columns of `IDENTITY`; what a row does not name is null."""
    with disk.writing(raw / NAME):
        files.write_csv(raw / NAME, IDENTITY, ([row.get(name) for name in IDENTITY] for row in rows))


def read(raw: Path) -> pd.DataFrame:
    """The rows as they were written: text, and null where the field is empty."""
    table = pd.read_csv(files.require(raw / NAME), dtype=object, keep_default_na=False, na_values=[""])
    return table.astype(object).where(table.notna(), None)
