"""What stands on more than one side: artists, albums and recordings that a hold-out must keep apart."""

import pandas as pd


def artist_key(artist: object) -> str | None:
    """An artist's name as it is compared: case and white space do not make another artist.

    Null stays null.
    """
    return " ".join(artist.casefold().split()) if isinstance(artist, str) else None


def num_shared(table: pd.DataFrame, column: str, *, sides: str = "split") -> int:
    """How many values of ``column`` occur with more than one value of ``sides``; nulls are nobody's."""
    known = table.dropna(subset=[column, sides])
    return int((known.groupby(column)[sides].nunique() > 1).sum())
