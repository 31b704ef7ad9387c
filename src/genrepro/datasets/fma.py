"""Read the FMA data sets, the Free Music Archive's dump (Defferrard et al., ISMIR 2017).

A data set consists of two archives. ``fma_metadata.zip`` holds ``tracks.csv``, which has three header rows
and fields with line feeds, quotes and HTML. ``fma_<subset>.zip`` holds the clips at
``<first three digits>/<six digits>.mp3``, and ``checksums``, the SHA-1 of each file. The clips are 30 s long,
most of them are 44.1 kHz stereo, and they are compressed with bzip2 inside the zip. Subsets are cumulative:
small is part of medium, and medium of large. The label is the root genre, ``(track, genre_top)``.

``source`` is ``auto`` or names one of these:

- a folder that holds the two archives or their contents
- the audio archive or its folder, with the metadata beside it
- the URL of the audio archive, or of a folder (ending in ``/``), with the metadata beside it

Licence: each track has a licence of its own (CC BY, CC BY-NC, ...), so audio is never redistributed.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.datasets import IDENTITY
from genrepro.download import archives
from genrepro.download.cache import Remote, declared, fetch, remote_of
from genrepro.download.source import is_url, resolve
from genrepro.exact.identity import one_name_each

_SITE = "https://os.unil.cloud.switch.ch/fma/"
REMOTES = {
    name: Remote(
        name=f"{name}.zip", urls=(f"{_SITE}{name}.zip",), checksum=f"sha1:{sha1}", num_bytes=num_bytes
    )
    for name, sha1, num_bytes in (
        ("fma_metadata", "f0df49ffe5f2a6008d7dc83c6915b31835dfe733", None),
        ("fma_small", "ade154f733639d52e35e32f5593efe5be76c6d70", None),
        ("fma_medium", "c67b69ea232021025fca9231fc1c7c1a063ab50b", None),
        ("fma_large", "497109f4dd721066b5ce5e5f250ec604dc78939e", None),
    )
}
"""The archives, with the SHA-1 from the data set's page. The page gives no exact sizes."""

_SHORT = (1486, 5574, 65753, 80391, 98558, 98559, 98560, 98565, 98566, 98567, 98568, 98569, 98571, 99134,
          105247, 108924, 108925, 126981, 127336, 133297, 143992)  # fmt: skip
_NEAR_SILENT = (107535, 110736, 119979, 130169)
FAULTS = MappingProxyType(
    {f"{number:06d}": "declared: short or empty clip" for number in _SHORT}
    | {f"{number:06d}": "declared: reported as nearly silent" for number in _NEAR_SILENT}
)
"""Clips that users of the data set found broken, by track id. Six of the short ones are in small."""

SUBSETS = ("small", "medium", "large")
_SPLITS = {"training": "train", "validation": "validation", "test": "test"}
_CLIP = re.compile(r"(\d{3})/(\1\d{3})\.mp3")
_TRACKS = "fma_metadata/tracks.csv"
_COLUMNS = {
    ("set", "subset"): "subset",
    ("set", "split"): "official_split",
    ("track", "genre_top"): "genre",
    ("track", "title"): "title",
    ("artist", "name"): "artist",
    ("artist", "id"): "artist_id",
    ("album", "title"): "album",
    ("album", "id"): "album_id",
}


def acquire(source: str, *, raw: Path, subset: str, per_genre: int | None = None) -> None:
    """Put ``fma_metadata/tracks.csv``, ``checksums`` and ``000/000002.mp3`` ... below ``raw``.

    Clips without metadata are copied too, so that the catalog can count them.

    Parameters
    ----------
    source : str
        See the module's docstring.
    raw : Path
        Folder to fill.
    subset : str
        One of `SUBSETS`.
    per_genre : int, optional
        Number of tracks that `wanted` draws of each genre. By default all.

    Raises
    ------
    GenreproError
        If an archive cannot be downloaded or read, or holds no clip.
    """
    metadata, audio = (
        _fetch_both(source, subset) if source == "auto" or is_url(source) else _find_both(source, subset)
    )
    if not archives.extract(metadata, into=raw, place=_place_metadata):
        raise GenreproError(f"{metadata} holds no tracks.csv: name FMA's fma_metadata.zip or its folder.")
    tracks = read_tracks(raw / _TRACKS)
    others = set(tracks.index) - set(wanted(tracks, subset=subset, per_genre=per_genre).index)

    def place(name: PurePosixPath) -> str | None:
        if name.name == "checksums":
            return name.name
        match = _CLIP.fullmatch("/".join(name.parts[-2:]))
        return match.group() if match and match.group(2) not in others else None

    archives.extract(audio, into=raw, place=place)
    if not any(raw.glob("[0-9]*/*.mp3")):
        raise GenreproError(
            f"{audio} holds no clip of {subset} at <three digits>/<six digits>.mp3 (000/000002.mp3)."
        )


def read_catalog(raw: Path, *, subset: str, per_genre: int | None = None) -> pd.DataFrame:
    """Return one row for each track of the subset and for each clip without metadata.

    A track without a file has the fault ``missing``. A track without a root genre (``no_genre``) and a clip
    without metadata (``no_metadata``) have no genre, so the catalog counts them and leaves them out.
    ``checksum`` is the SHA-1 that the archive gives for the file.
    """
    described = read_tracks(raw / _TRACKS)
    tracks = wanted(described, subset=subset, per_genre=per_genre)
    checksums = _read_checksums(raw / "checksums")
    files = {path.stem: path.relative_to(raw).as_posix() for path in raw.glob("[0-9]*/*.mp3")}
    table = tracks.reindex(sorted(set(tracks.index).union(files)))
    table.index.name = "track_id"
    table = table.reset_index()
    table["path"] = table["track_id"].map(files).astype(object)
    table["checksum"] = table["path"].map(checksums).astype(object)
    table["fault"] = table["track_id"].map(FAULTS).astype(object)
    table.loc[table["genre"].isna(), "fault"] = "no_genre"
    table.loc[~table["track_id"].isin(described.index), "fault"] = "no_metadata"
    table.loc[table["path"].isna(), "fault"] = "missing"
    table = table.astype(object)
    return table.where(table.notna(), None)[[*IDENTITY, "checksum"]]


def read_tracks(path: Path) -> pd.DataFrame:
    """Read the used columns of FMA's tracks.csv.

    Returns
    -------
    DataFrame
        Indexed by six-digit track id, sorted. Columns subset, official_split (train, validation, test), genre
        (null if FMA gives no root genre), title, artist, album. FMA's own ids tell artists and albums apart:
        if two artists share a name, it becomes ``Nirvana (artist 7)``; if one has two spellings, one is kept.

    Raises
    ------
    GenreproError
        If it is not FMA's table, or has a track twice.
    """
    try:
        table = pd.read_csv(
            path, header=[0, 1], index_col=0, dtype=str, keep_default_na=False, na_values=[""]
        )
        table = table[list(_COLUMNS)].set_axis(list(_COLUMNS.values()), axis=1)
        table.index = pd.Index([f"{int(number):06d}" for number in table.index], name="track_id")
    except FileNotFoundError:
        raise GenreproError(f"{path} is missing: delete the folder raw and run `dvc repro`.") from None
    except KeyError as error:
        raise GenreproError(f"{path} is not FMA's tracks.csv: it lacks the column {error}.") from error
    except ValueError as error:  # pandas' parser errors, and text where a number belongs
        raise GenreproError(f"{path} is not FMA's tracks.csv: {' '.join(str(error).split())}.") from error
    if table.index.has_duplicates:
        raise GenreproError(f"{path}: the track id {table.index[table.index.duplicated()][0]} occurs twice.")
    for column, values in (("subset", SUBSETS), ("official_split", tuple(_SPLITS))):
        if unknown := sorted(set(table[column].dropna()) - set(values)):
            raise GenreproError(f"{path}: {column} = {unknown[0]!r} is not one of {', '.join(values)}.")
    table["official_split"] = table["official_split"].map(_SPLITS)
    for kind in ("artist", "album"):  # over the whole table, so that all subsets have the same names
        table[kind] = one_name_each(table[kind], table.pop(f"{kind}_id"), kind=kind)
    return table.sort_index()


def wanted(tracks: pd.DataFrame, *, subset: str, per_genre: int | None = None) -> pd.DataFrame:
    """Return the rows of a subset, or a draw from it.

    The draw takes the first ``per_genre`` tracks of each genre, in the order of a hash of their ids. Tracks
    with declared faults are left out. The hash does not depend on other tracks or on a library's generator.
    """
    rows = tracks[tracks["subset"].isin(SUBSETS[: SUBSETS.index(subset) + 1])]
    if per_genre is None:
        return rows
    rank = pd.Series(
        [hashlib.sha256(f"fma_mini/{number}".encode()).hexdigest() for number in rows.index], rows.index
    )
    sound = rows[rows["genre"].notna() & ~rows.index.isin(list(FAULTS))]
    order = rank[sound.index].sort_values().index
    return sound.loc[order].groupby("genre").head(per_genre).sort_index()


def _place_metadata(name: PurePosixPath) -> str | None:
    return _TRACKS if name.name == "tracks.csv" else None


def _fetch_both(source: str, subset: str) -> tuple[Path, Path]:
    """Download the metadata and the audio archive, from the declared remotes or from a URL."""
    if source == "auto":
        remotes = declared(REMOTES)
        return fetch(remotes["fma_metadata"]), fetch(remotes[f"fma_{subset}"])
    folder, _, name = source.rpartition("/")
    metadata = fetch(remote_of(f"{folder}/fma_metadata.zip"))
    return metadata, fetch(remote_of(f"{folder}/{name or f'fma_{subset}.zip'}"))


def _find_both(source: str, subset: str) -> tuple[Path, Path]:
    """Find metadata and audio, archives or folders, at the path that the user gave."""
    given = resolve(source)
    # A larger subset holds the smaller ones.
    audio = [f"fma_{name}{suffix}" for name in SUBSETS[SUBSETS.index(subset) :] for suffix in ("", ".zip")]
    inside = [given / name for name in audio] if given.is_dir() else []
    sound = next((path for path in inside if path.exists()), given)
    places = (given, given.parent)
    candidates = [place / name for place in places for name in ("fma_metadata", "fma_metadata.zip")]
    metadata = next((path for path in candidates if path.exists()), None)
    if metadata is None:
        raise GenreproError(
            f"source = {source!r}: no fma_metadata.zip (or its folder fma_metadata) lies in it or beside "
            f"it: download {REMOTES['fma_metadata'].urls[0]}."
        )
    return metadata, sound


def _read_checksums(path: Path) -> dict[str, str]:
    """Read ``sha1:<hex>`` by path, from lines ``<hex>  000/000002.mp3``. Empty if there is no such file."""
    if not path.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in path.read_text("utf-8", errors="replace").splitlines()]
    return {line[1].strip().lstrip("*"): f"sha1:{line[0].lower()}" for line in lines if len(line) == 2}
