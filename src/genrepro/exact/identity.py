"""Who is the same: artists under one name, tracks that must stay together, what stands on several sides."""

import numpy as np
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


def groups(tracks: pd.DataFrame) -> np.ndarray:
    """Which tracks must stay together: connected through an artist or through a duplicate cluster.

    Returns
    -------
    np.ndarray [shape=(num_tracks,), dtype=int]
        Component of each track. A track of unknown artist is a group of its own, or its cluster's.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[tuple[str, str], int] = {}
    edges = []
    keys = zip(tracks["artist"].map(artist_key), tracks["duplicate_group"], strict=True)
    for position, (artist, cluster) in enumerate(keys):
        for kind, key in (("artist", artist), ("cluster", cluster)):
            if not pd.isna(key):
                edges.append((position, first.setdefault((kind, key), position)))
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_array((np.ones(len(edges), bool), (rows, columns)), shape=(len(tracks),) * 2)
    return connected_components(graph, directed=False)[1]


def group_names(tracks: pd.DataFrame) -> pd.Series:
    """Name of each track's group, by track_id: the first track_id of those that must stay together.

    Parameters
    ----------
    tracks : DataFrame
        Columns track_id, artist and duplicate_group, of all tracks of the data set: then a group has one name
        on every side and under every strategy of the split.
    """
    members = pd.Series(tracks["track_id"].to_numpy(), index=tracks["track_id"].to_numpy())
    return members.groupby(groups(tracks)).transform("min")
