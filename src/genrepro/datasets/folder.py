"""Folder: a collection of one's own, ``<genre>/<file>``, with an optional ``tracks.csv``.

Every file with one of `layouts.SUFFIXES` is a track. Its id is its path without the suffix; where two files
would have one id, they keep their suffixes. `folder.layout` names other layouts (``genre/artist/file``,
``split/genre/file``). Every other file of the source is counted by kind in metrics/catalog.json, and named in
``raw/.source/files.json``.

``tracks.csv``, in any form that spreadsheets save (`spreadsheet`), has a column ``path`` (``rock/song.mp3``)
and any of ``artist``, ``album``, ``title`` and ``split`` (train, validation or test). A path may spell the
file's name in another way (case, Unicode's forms, width, white space) and, where no file has its suffix, have
another suffix. Without artists the split cannot keep them apart: ``unknown_artist_share`` in
metrics/split.json tells how many.
"""

import difflib
import logging
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import pandas as pd

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import IDENTITY, layouts, spreadsheet
from genrepro.download import archives
from genrepro.download.cache import Remote
from genrepro.download.source import obtain
from genrepro.exact.identity import name_key, text

REMOTES: dict[str, Remote] = {}
"""Nothing is declared: ``source`` names a folder, an archive or a URL."""

FAULTS: dict[str, str] = {}
"""Nothing is known beforehand."""

_log = logging.getLogger(__name__)
_OWN = ".source"  # below raw: hidden, so that no genre has its name
_FILES = f"{_OWN}/files.json"
_TABLE = f"{_OWN}/tracks.csv"
_SHEETS = (".csv", ".tsv", ".xlsx", ".xls", ".ods")
_TABLES = ("tracks.csv", "tracks.tsv", "tracks.txt")
_COLUMNS = ("path", "artist", "album", "title", "split")


def acquire(*, params: Params, raw: Path) -> None:
    """Put the music of ``params.source`` below ``raw`` as its layout says, and its table.

    What wraps the collection in the source is left out. ``raw/.source/files.json`` names every file of the
    source: the tracks with what their folders say, and what was left out with its kind.

    Raises
    ------
    GenreproError
        If there is no source, no audio file in it, files at other depths than `folder.layout` says, two
        tables, or one whose name is nearly ``tracks.csv``.
    """
    if params.source == "auto":
        raise GenreproError(
            "folder has no remote: pass -S source=<folder, archive or URL> with files at <genre>/<file>."
        )
    source, layout = obtain(params.source, ()), params.folder.layout
    unpacked = raw / _OWN / "unpacked"
    tracks: list[PurePosixPath] = []
    tables: list[PurePosixPath] = []
    left_out: list[tuple[PurePosixPath, str]] = []
    renamed: list[PurePosixPath] = []
    taken = set[PurePosixPath]()

    def place(name: PurePosixPath) -> str | None:
        kind = layouts.kind_left_out(name)
        if kind == "not_audio" and _is_table(name):
            tables.append(layouts.in_unicode(name))
            return str(tables[-1])
        if kind is None and source.is_dir() and not (source / name).is_file():
            kind = "not_a_file"  # a link to nowhere, a pipe
        if kind is None:
            readable = layouts.in_unicode(name)
            if readable != name:
                readable = _unique(readable, taken=taken)
                renamed.append(name)
            tracks.append(readable)
            taken.add(readable)
            return str(readable)
        left_out.append((name, kind))
        return None

    archives.extract(source, into=unpacked, place=place, on_litter=place)
    if not tracks:
        raise GenreproError(
            f"{source} holds no audio file ({', '.join(layouts.SUFFIXES)}) at <genre>/<file>."
        )
    if renamed:
        _log.warning(
            "%s: %d names are not UTF-8: read as cp1252, such as %s",
            source,
            len(renamed),
            layouts.in_unicode(renamed[0]),
        )
    wrapper = layouts.wrapper(tracks, layout, source=str(source))
    _check_tables(source, tables, left_out)
    rows = _describe(tracks, wrapper, layout, source=source)
    folders = [layouts.in_unicode(name.parent) for name, _ in left_out]
    if source.is_dir():  # an empty folder holds no file that would speak for it
        below_source = (
            PurePosixPath(path.relative_to(source)) for path in source.rglob("*") if path.is_dir()
        )
        folders += map(layouts.in_unicode, below_source)
    below = [folder.relative_to(wrapper) for folder in folders if folder.is_relative_to(wrapper)]
    inside = [name.relative_to(wrapper) for name in tracks]
    left_out += [
        (wrapper / folder, "folder_without_music") for folder in layouts.without_music(below, inside)
    ]
    if tables:
        (unpacked / tables[0]).replace(raw / _TABLE)
    for path in sorted((unpacked / wrapper).iterdir()):
        path.replace(raw / path.name)
    shutil.rmtree(unpacked)
    files.write_json(
        raw / _FILES,
        {
            "layout": layout,
            "tracks": rows,
            "left_out": [{"path": _printable(name), "kind": kind} for name, kind in sorted(left_out)],
        },
    )


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each track, each row of the table and, without a genre, each file that was left out.

    A row of the table without a file has the fault ``missing``; a file that was left out has its kind.

    Raises
    ------
    GenreproError
        If the table cannot be read, or names a file twice, a path that may be several files, or a split that
        does not exist.
    """
    found = files.read_json(raw / _FILES)
    table = _read_table(raw / _TABLE)
    tracks: list[dict[str, Any]] = [{**track, "fault": None} for track in found["tracks"]]
    for position, row in _matched(table, tracks):
        if position is None:
            tracks.append({**_missing(row["path"], found["layout"]), "fault": "missing"})
            position = -1
        said = {key: value for key, value in row.items() if key != "path" and value is not None}
        tracks[position].update(said)
    for track, track_id in zip(tracks, _ids([track["path"] for track in tracks]), strict=True):
        track["track_id"] = track_id
        track["official_split"] = layouts.SIDES.get(name_key(track.get("split") or ""))
        track["path"] = None if track["fault"] == "missing" else track["path"]
        if text(track["genre"]) is None:
            track["fault"] = "no_genre"
    tracks.sort(key=lambda track: track["track_id"])
    left_out = [{"track_id": file["path"], "fault": file["kind"]} for file in found["left_out"]]
    identity = pd.DataFrame([*tracks, *left_out], columns=list(IDENTITY), dtype=object)
    return identity.where(identity.notna(), None)


# The source ---------------------------------------------------------------------------------------------


def _describe(
    tracks: Sequence[PurePosixPath], wrapper: PurePosixPath, layout: str, *, source: Path
) -> list[dict[str, str]]:
    """Path below the wrapper of each track, and what its folders say."""
    rows = []
    for name in sorted(tracks):
        path = name.relative_to(wrapper)
        folders = layouts.described(path, layout)
        assert folders is not None, f"{path} does not fit {layout}"  # `layouts.wrapper` has checked it
        rows.append({"path": str(path), **folders})
    layouts.check_names(rows, layout, source=str(source))
    return rows


def _unique(name: PurePosixPath, *, taken: Collection[PurePosixPath]) -> PurePosixPath:
    """The name, or the name with a number if another file already has it."""
    unique, number = name, 2
    while unique in taken:
        unique, number = name.with_stem(f"{name.stem} ({number})"), number + 1
    return unique


def _is_table(name: PurePosixPath) -> bool:
    return name_key(name.name) in _TABLES


def _check_tables(
    source: Path, tables: Sequence[PurePosixPath], left_out: Sequence[tuple[PurePosixPath, str]]
) -> None:
    if len(tables) > 1:
        raise GenreproError(
            f"{source} holds {tables[0]} and {tables[1]}: join them into one tracks.csv beside the genres."
        )
    near = [
        name
        for name, _ in left_out
        if name.suffix.lower() in _SHEETS
        and difflib.get_close_matches(name_key(name.stem), ["tracks"], cutoff=0.75)
    ]
    if near and not tables:
        raise GenreproError(
            f"{source} holds {near[0]} but no tracks.csv: save it as tracks.csv, or under another name if it "
            "is not the table of the tracks."
        )


def _printable(name: PurePosixPath) -> str:
    """A name in UTF-8; bytes that are not text are spelled out."""
    return str(name).encode("utf-8", "backslashreplace").decode()


# The table ----------------------------------------------------------------------------------------------


def _read_table(path: Path) -> list[dict[str, str | None]]:
    """The rows of the table; none where there is no table."""
    if not path.is_file():
        return []
    rows = spreadsheet.read(path, name="tracks.csv", columns=_COLUMNS)
    for row in rows:
        row["path"] = str(row["path"]).replace("\\", "/")
        if row["split"] is not None and name_key(row["split"]) not in layouts.SIDES:
            raise GenreproError(
                f"tracks.csv: split = {row['split']!r} is unknown; choose train, validation or test."
            )
        if len(PurePosixPath(str(row["path"])).parts) < 2:
            raise GenreproError(f"tracks.csv: {row['path']!r} names no genre; write it as <genre>/<file>.")
    return rows


_FORMS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFC", unquote(name)),  # players export addresses: a%20b.mp3
    name_key,
    lambda name: name_key(PurePosixPath(name).stem),
)
"""How a name in the table is that of a file: as it stands, in looser forms, at last without its suffix."""


def _matched(
    table: list[dict[str, str | None]], tracks: list[dict[str, Any]]
) -> list[tuple[int | None, dict[str, str | None]]]:
    """Each row of the table with the position of its track, or None.

    A row may begin above the collection (``C:/Music/rock/a.mp3``) or inside it (``rock/a.mp3`` of
    ``train/rock/a.mp3``): the shorter of two paths must be the end of the longer one.
    """
    position_of: dict[int, int] = {}
    owned: set[int] = set()
    for form in _FORMS:
        keys = [_parts(track["path"], form) for track in tracks]
        by_end = defaultdict(list)
        for position, key in enumerate(keys):
            by_end[key[-2:]].append(position)
        taken = set(owned) if form is _FORMS[-1] else set()
        for number, row in enumerate(table):
            if number in position_of:
                continue
            key = _parts(str(row["path"]), form)
            fits = [position for position in by_end[key[-2:]] if position not in taken]
            fits = [position for position in fits if _one_ends_the_other(key, keys[position])]
            fits = [position for position in fits if len(keys[position]) == len(key)] or fits
            names = [tracks[position]["path"] for position in fits]
            if len(fits) > 1:
                raise GenreproError(
                    f"tracks.csv: {row['path']} may be {names[0]} or {names[1]}: name one of them."
                )
            if owned.intersection(fits):
                raise GenreproError(f"tracks.csv names {names[0]} twice: keep one row.")
            if fits:
                position_of[number] = fits[0]
                owned.update(fits)
    absent = set[str]()
    found: list[tuple[int | None, dict[str, str | None]]] = []
    for number, row in enumerate(table):
        if number not in position_of:
            if (key_of_row := name_key(str(row["path"]))) in absent:
                raise GenreproError(f"tracks.csv names {row['path']} twice: keep one row.")
            absent.add(key_of_row)
        found.append((position_of.get(number), row))
    return found


def _one_ends_the_other(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    length = min(len(one), len(other))
    return one[-length:] == other[-length:]


def _parts(path: str, form: Callable[[str], str]) -> tuple[str, ...]:
    """The parts of a path as they are compared; of the last form, the folders' names whole."""
    *folders, name = PurePosixPath(path).parts
    folder_form = name_key if form is _FORMS[-1] else form
    return (*map(folder_form, folders), form(name))


def _missing(path: str | None, layout: str) -> dict[str, Any]:
    """What the folders of a row without a file say, which may begin above the collection."""
    parts = PurePosixPath(str(path)).parts
    if "**" not in layout:
        parts = parts[-len(layout.split("/")) :]
    folders = layouts.described(PurePosixPath(*parts), layout)
    if folders is None:
        raise GenreproError(f"tracks.csv: {path!r} does not lie as folder.layout = {layout} says.")
    return {"path": str(PurePosixPath(*parts)), **folders}


def _ids(paths: Sequence[str]) -> list[str]:
    """Paths in Unicode's form NFC without suffixes; where two are equal, with suffixes, and then numbered."""
    whole = [unicodedata.normalize("NFC", path) for path in paths]
    short = [str(PurePosixPath(path).with_suffix("")) for path in whole]
    count = Counter(short)
    ids, seen = [], set[str]()
    for name, path in zip(short, whole, strict=True):
        track_id, number = (name if count[name] == 1 else path), 2
        while track_id in seen or (track_id != name and count[track_id]):
            track_id, number = f"{path} ({number})", number + 1
        seen.add(track_id)
        ids.append(track_id)
    return ids
