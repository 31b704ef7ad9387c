"""Which column of a table from Hugging Face's hub is what: audio or pictures, genre, artist, split.

Columns are known by their features, the types of the library `datasets`.
"""

from collections.abc import Mapping
from typing import Any

from genrepro.base.data_sets import Hub
from genrepro.base.errors import GenreproError
from genrepro.datasets.layouts import SIDES
from genrepro.exact.identity import name_key

# How columns are often called; the first that is there is taken.
_NAMES = {
    "label": ("genre", "label", "genre_top", "genre_name", "labels", "class"),
    "artist": ("artist", "artist_name", "artist_id", "performer"),
    "album": ("album", "album_title", "album_name", "album_id"),
    "title": ("title", "track_title", "track_name", "song"),
    "split": ("split",),
}


class Columns:
    """Which column is what.

    Attributes
    ----------
    audio : str
        The column of audio or pictures.
    """

    def __init__(self, audio: str, names: Mapping[str, str | None], features: Mapping[str, Any]) -> None:
        self.audio = audio
        self._names = {what: name for what, name in names.items() if name is not None}
        self._features = features

    @classmethod
    def find(cls, features: Mapping[str, Any], config: Hub) -> "Columns":
        """By the section ``hub``, and where it says auto by type and name.

        Raises
        ------
        GenreproError
            If a named column is not there or of another kind, or it is not clear which is meant.
        """
        audio = _only_audio(features) if config.audio == "auto" else _present(features, config.audio, "audio")
        names: dict[str, str | None] = {}
        for what, candidates in _NAMES.items():
            wanted = getattr(config, what)
            if wanted != "auto":
                names[what] = _named(features, wanted, what)
                continue
            lower = {name.lower(): name for name in reversed(list(features))}
            found = [lower[name] for name in candidates if name in lower and _is_text(features[lower[name]])]
            names[what] = found[0] if found else None
        names["label"] = names["label"] or _only_label(features, config.label)
        return cls(audio, names, features)

    def wanted(self) -> list[str]:
        """Each column once."""
        return list(dict.fromkeys([self.audio, *self._names.values()]))

    def identity(self, row: Mapping[str, Any], *, split: str, several: bool) -> dict[str, Any]:
        """The columns of `IDENTITY` but track and path."""
        values = {what: self._text(name, row[name]) for what, name in self._names.items()}
        told = values.get("split")
        if told is not None and name_key(told) not in SIDES:
            raise GenreproError(
                f"hub: the column {self._names['split']!r} says {told!r}; known splits are "
                f"{', '.join(SIDES)}. Pass -S hub.split=none to do without."
            )
        # A single split is called train on the hub, whatever it holds.
        own = split if several and "split" not in self._names else ""
        return {
            "genre": values.get("label"),
            **{what: values.get(what) for what in ("artist", "album", "title")},
            "official_split": SIDES.get(name_key(told or own)),
            "fault": None if values.get("label") else "no_genre",
        }

    def _text(self, name: str, value: Any) -> str | None:
        if value is None:
            return None
        if hasattr(self._features[name], "int2str"):  # a ClassLabel; -1 is Hugging Face's "unlabelled"
            return self._features[name].int2str(value) if value >= 0 else None
        return str(value).strip() or None


def _present(features: Mapping[str, Any], wanted: str, what: str) -> str:
    if wanted not in features:
        raise GenreproError(f"hub.{what} = {wanted!r} is not a column: there are {', '.join(features)}.")
    return wanted


def _named(features: Mapping[str, Any], wanted: str, what: str) -> str | None:
    if wanted == "none":
        return None
    if not _is_text(features[_present(features, wanted, what)]):
        raise GenreproError(f"hub.{what} = {wanted!r} does not hold one text or number a row.")
    return wanted


def _only_audio(features: Mapping[str, Any]) -> str:
    import datasets

    found = [name for name, kind in features.items() if isinstance(kind, datasets.Audio)]
    found = found or [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    # What pandas or pyarrow wrote has bytes without a word on what they are.
    found = found or [
        name
        for name, kind in features.items()
        if (isinstance(kind, dict) and "bytes" in kind) or "binary" in getattr(kind, "dtype", "")
    ]
    if len(found) == 1:
        return found[0]
    seen = f"{' and '.join(found)} may be" if found else "none is"
    raise GenreproError(
        f"hub: of the columns {', '.join(features) or '(none)'} {seen} audio or pictures: name one by "
        "-S hub.audio=<column>."
    )


def _only_label(features: Mapping[str, Any], wanted: str) -> str:
    found = [name for name, kind in features.items() if hasattr(kind, "int2str")]
    if len(found) == 1 and wanted == "auto":
        return found[0]
    raise GenreproError(
        f"hub: it is not clear which of the columns {', '.join(features)} names the genre: pass "
        "-S hub.label=<column>."
    )


def _is_text(kind: Any) -> bool:
    """One text or number a row, or a ClassLabel."""
    dtype = getattr(kind, "dtype", "")
    return "string" in dtype or dtype.startswith(("int", "uint", "bool"))
