"""Who is the same: names in several spellings, tracks that must stay together, what stands on several sides.

Names come from tags, tables and file systems, which spell one name in many ways: macOS decomposes accents, a
Japanese keyboard types wide letters, a word processor bends apostrophes, a spreadsheet adds blanks.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

# Marks that keyboards and programs exchange for one another, by what they are compared as.
_MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)


def text(value: object) -> str | None:
    """A name as it is kept and shown: Unicode's form NFC, nothing invisible or blank around it.

    Null, and what is blank, become null.
    """
    if not isinstance(value, str):
        return None
    value = unicodedata.normalize("NFC", value)
    start, end = 0, len(value)
    while start < end and _is_blank(value[start]):
        start += 1
    while start < end and _is_blank(value[end - 1]):
        end -= 1
    return value[start:end] or None


def name_key(name: str) -> str:
    """A name as it is compared: Unicode's caseless match of compatible forms (NFKC and case folding, UAX 15).

    Case, white space, invisible characters, width, ligatures and the shape of apostrophes and hyphens do not
    make another name. Accents do, and so does every word: "feat. Ann" is kept.
    """
    # Marks first: NFKC makes a space and an accent of an acute that stands for an apostrophe.
    name = unicodedata.normalize("NFKC", name.translate(_MARKS))
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold()).translate(_MARKS)
    return " ".join("".join(c for c in name if c.isspace() or not _is_blank(c)).split())


def artist_key(artist: object) -> str | None:
    """`name_key` of an artist; null for what is null or blank."""
    return (name_key(artist) or None) if isinstance(artist, str) else None


def one_spelling(names: Iterable[object]) -> list[str | None]:
    """Each name as `text`, in the spelling that is most frequent among those with its `name_key`."""
    cleaned = [text(name) for name in names]
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, count in Counter(filter(None, cleaned)).items():
        spellings[name_key(name)][name] = count
    return [name and _most_frequent(spellings[name_key(name)]) for name in cleaned]


def one_name_each(names: Iterable[object], ids: Iterable[object], *, kind: str) -> list[str | None]:
    """Names that are as many as there are ids, for a data set that tells artists or albums apart by id.

    Parameters
    ----------
    names : iterable of str or null
    ids : iterable of str or null
        As many. Without an id a name is `text`.
    kind : str
        "artist": an id whose name others have too becomes ``<name> (artist <id>)``, one without a name
        ``artist <id>``. An id with a name in several spellings takes the most frequent one.
    """
    rows = [(text(name), text(key)) for name, key in zip(names, ids, strict=True)]
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, key in rows:
        if key:
            spellings[key].update(filter(None, [name]))
    name_of = {key: _most_frequent(counts) for key, counts in spellings.items() if counts}
    num_owners = Counter(name_key(name) for name in name_of.values())
    for key in spellings:
        if key not in name_of:
            name_of[key] = f"{kind} {key}"
        elif num_owners[name_key(name_of[key])] > 1:
            name_of[key] += f" ({kind} {key})"
    return [name_of[key] if key else name for name, key in rows]


def _most_frequent(counts: Counter[str]) -> str:
    """Of equally frequent ones the first in the alphabet."""
    return min(counts, key=lambda name: (-counts[name], name))


def _is_blank(character: str) -> bool:
    """White space and what takes no room: control and format characters, fillers, variation selectors."""
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cc", "Cf")
        or character in "\u034f\u115f\u1160\u3164\uffa0"
        or "\ufe00" <= character <= "\ufe0f"
    )


def num_shared(table: pd.DataFrame, column: str, *, sides: str = "split") -> int:
    """How many values of ``column`` occur with more than one value of ``sides``; nulls are ignored."""
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
