"""Recognise equal names, group tracks that must stay together, and count values that occur on several sides.

Names come from tags, tables and file systems, which spell one name in many ways: macOS decomposes accents, a
Japanese keyboard types wide letters, a word processor makes apostrophes curly, a spreadsheet adds blanks.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

# Apostrophes, quotes and hyphens that programs exchange for one another, and the character to compare as.
_MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)


def text(value: object) -> str | None:
    """Clean a name for display: Unicode's form NFC, without blank or invisible characters around it.

    Null and blank names become null.
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
    """The form of a name in which names are compared: NFKC and case folding (Unicode's UAX 15).

    Two names are equal if they differ only in case, white space, invisible characters, width, ligatures, or
    the shape of apostrophes and hyphens. Accents and words make a difference: "feat. Ann" is kept.
    """
    # Marks come first: NFKC would turn an acute accent, used as an apostrophe, into a space and an accent.
    name = unicodedata.normalize("NFKC", name.translate(_MARKS))
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold()).translate(_MARKS)
    return " ".join("".join(c for c in name if c.isspace() or not _is_blank(c)).split())


def artist_key(artist: object) -> str | None:
    """The `name_key` of an artist. Null if the artist is null or blank."""
    return (name_key(artist) or None) if isinstance(artist, str) else None


def one_spelling(names: Iterable[object]) -> list[str | None]:
    """Replace each name by the most frequent spelling among the names with the same `name_key`."""
    cleaned = [text(name) for name in names]
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, count in Counter(filter(None, cleaned)).items():
        spellings[name_key(name)][name] = count
    return [name and _most_frequent(spellings[name_key(name)]) for name in cleaned]


def one_name_each(names: Iterable[object], ids: Iterable[object], *, kind: str) -> list[str | None]:
    """Give each id one name of its own, for a data set that tells artists or albums apart by id.

    If an id has several spellings, it gets the most frequent one. If another id has the same name, the name
    becomes ``<name> (artist <id>)``. An id without a name becomes ``artist <id>``.

    Parameters
    ----------
    names : iterable of str or null
    ids : iterable of str or null
        As many as ``names``. A name without an id is only cleaned with `text`.
    kind : str
        The word before the id: "artist" in the examples above.
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
    """The most frequent name. Among equally frequent names, the first in the alphabet."""
    return min(counts, key=lambda name: (-counts[name], name))


def _is_blank(character: str) -> bool:
    """Whether a character shows nothing: white space, control and format characters, fillers, selectors."""
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cc", "Cf")
        or character in "\u034f\u115f\u1160\u3164\uffa0"
        or "\ufe00" <= character <= "\ufe0f"
    )


def num_shared(table: pd.DataFrame, column: str, *, sides: str = "split") -> int:
    """Count the values of ``column`` that occur with more than one value of ``sides``. Nulls are ignored."""
    known = table.dropna(subset=[column, sides])
    return int((known.groupby(column)[sides].nunique() > 1).sum())


def groups(tracks: pd.DataFrame) -> np.ndarray:
    """Group the tracks that must stay together: those connected through an artist or a duplicate cluster.

    Returns
    -------
    np.ndarray [shape=(num_tracks,), dtype=int]
        Number of each track's group. A track of unknown artist belongs to the group of its duplicate cluster.
        Without a cluster it is a group by itself.
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
    """Name each track's group after the first track_id in it. The result is indexed by track_id.

    Parameters
    ----------
    tracks : DataFrame
        Columns track_id, artist and duplicate_group. Pass all tracks of the data set, so that a group has the
        same name on every side and under every split strategy.
    """
    members = pd.Series(tracks["track_id"].to_numpy(), index=tracks["track_id"].to_numpy())
    return members.groupby(groups(tracks)).transform("min")
