"""Made-up runs: predictions of a test set, as a table, as a file's bytes and as what is read from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from genrepro.compare.revisions import Predictions, parse

GENRES = ["blues", "jazz", "metal", "rock"]


def table(right: Sequence[bool], *, confidence: float = 0.7, **columns: Any) -> pd.DataFrame:
    """A run that is right where ``right`` says so, and otherwise takes the genre after the true one.

    ``columns`` replace columns of it; true genres go round. ``group`` stands where evaluate writes it.
    """
    label = np.arange(len(right)) % len(GENRES)
    predicted = np.where(right, label, (label + 1) % len(GENRES))
    rows = pd.DataFrame(
        {
            "track_id": [f"t{number:04}" for number in range(len(right))],
            "genre": np.array(GENRES)[label],
            "predicted": np.array(GENRES)[predicted],
        }
    )
    for position, genre in enumerate(GENRES):
        rows[genre] = np.where(predicted == position, confidence, (1 - confidence) / (len(GENRES) - 1)).round(
            4
        )
    if "group" in columns:
        rows.insert(3, "group", columns.pop("group"))
    return rows.assign(**columns)


def content(rows: pd.DataFrame) -> bytes:
    """The bytes of the file."""
    return rows.to_csv(index=False, lineterminator="\n", float_format="%.4f").encode()


def run(right: Sequence[bool], *, name: str = "run", confidence: float = 0.7, **columns: Any) -> Predictions:
    """What is read from that file."""
    return parse(content(table(right, confidence=confidence, **columns)), name=name)


def pattern(
    *, both: int = 0, gained: int = 0, lost: int = 0, neither: int = 0
) -> tuple[list[bool], list[bool]]:
    """Which tracks A and B get right, by how many both, only B, only A or neither do."""
    right_a = [True] * both + [False] * gained + [True] * lost + [False] * neither
    right_b = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return right_a, right_b
