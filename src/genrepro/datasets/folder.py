"""Folder: a collection of one's own, ``<genre>/<file>``, with an optional ``tracks.csv``.

Every file with one of `SUFFIXES` is a track; its id is ``<genre>/<name without suffix>``. ``tracks.csv``
(UTF-8) has a column ``path`` (``rock/song.mp3``) and any of ``artist``, ``album``, ``title`` and ``split``
(train, validation or test). Without artists the split cannot keep them apart: ``unknown_artist_share`` in
metrics/split.json tells how many.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import IDENTITY
from genrepro.download import archives
from genrepro.download.source import obtain

REMOTES: dict[str, str] = {}
"""Nothing is declared: ``source`` names a folder, an archive or a URL."""

FAULTS: dict[str, str] = {}
"""Nothing is known beforehand."""

SUFFIXES = (
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".dsf", ".dts",
    ".eac3", ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus",
    ".rf64", ".shn", ".snd", ".spx", ".tak", ".tta", ".w64", ".wav", ".webm", ".wma", ".wv",
)  # fmt: skip
"""What libsndfile or ffmpeg's libraries may decode; the header decides."""

SPLITS = ("train", "validation", "test")
_TABLE = "tracks.csv"
_COLUMNS = ("path", "artist", "album", "title", "split")


def acquire(*, params: Params, raw: Path) -> None:
    """Put the audio of ``params.source`` at ``raw/<genre>/<file>`` and its table at ``raw/tracks.csv``.

    What wraps the genres' folders in the source is left out.

    Raises
    ------
    GenreproError
        If there is no source, no audio file in it or in one of its folders, or files at different depths.
    """
    if params.source == "auto":
        raise GenreproError(
            "folder has no remote: pass -S source=<folder, archive or URL> with files at <genre>/<file>."
        )
    source = obtain(params.source, ())
    folders: set[PurePosixPath] = set()
    audio: list[PurePosixPath] = []

    def place(name: PurePosixPath) -> str | None:
        folders.add(name.parent)
        if _is_audio(name):
            audio.append(name)
            return "/".join(name.parts[-2:])
        return name.name if name.name == _TABLE else None

    archives.extract(source, into=raw, place=place)
    if source.is_dir():  # an empty folder holds no file that would speak for it
        folders.update(PurePosixPath(path.relative_to(source)) for path in source.rglob("*") if path.is_dir())
    _check_layout(source, folders, audio)


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each audio file and each row of tracks.csv; a row without a file has the fault ``missing``.

    Raises
    ------
    GenreproError
        If tracks.csv cannot be read, or names a file twice or a split that does not exist.
    """
    files = {path.relative_to(raw).as_posix() for path in raw.glob("*/*") if _is_audio(path)}
    table = _read_table(raw / _TABLE)
    table = table.reindex(sorted(files.union(table.index)))
    paths = table.index.to_series().reset_index(drop=True)
    there = paths.isin(files)
    identity = pd.DataFrame(
        {
            "track_id": [PurePosixPath(path).with_suffix("").as_posix() for path in paths],
            "genre": [PurePosixPath(path).parent.as_posix() for path in paths],
            **{name: table[name].to_numpy() for name in ("artist", "album", "title")},
            "path": paths.where(there, None),
            "official_split": table["split"].to_numpy(),
            "fault": [None if found else "missing" for found in there],
        },
        columns=list(IDENTITY),
        dtype=object,
    )
    return identity.where(identity.notna(), None)


def _is_audio(path: PurePosixPath | Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _check_layout(source: Path, folders: Iterable[PurePosixPath], audio: list[PurePosixPath]) -> None:
    if not audio:
        raise GenreproError(f"{source} holds no audio file ({', '.join(SUFFIXES)}) at <genre>/<file>.")
    deepest, flattest = max(audio, key=_depth), min(audio, key=_depth)
    if _depth(flattest) != _depth(deepest) or _depth(flattest) == 1:
        raise GenreproError(
            f"{source} holds {flattest} and {deepest}: every audio file must lie at <genre>/<file>, "
            "equally deep."
        )
    above = {parent for name in audio for parent in name.parents}
    without = sorted(
        folder.as_posix()
        for folder in set(folders) - above
        if not any(part.startswith(".") for part in folder.parts)
    )
    if without:
        raise GenreproError(
            f"{source}: the folder {without[0]!r} holds no audio file ({', '.join(SUFFIXES)}): "
            "add the genre's files, or remove the folder."
        )


def _depth(path: PurePosixPath) -> int:
    return len(path.parts)


def _read_table(path: Path) -> pd.DataFrame:
    """The columns artist, album, title and split by path; empty where there is no table."""
    if not path.is_file():
        return pd.DataFrame(columns=list(_COLUMNS), dtype=object).set_index("path")
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise GenreproError(
            f"{_TABLE} cannot be read as a UTF-8 table: {' '.join(str(error).split())}."
        ) from error
    if "path" not in table or table["path"].isna().any():
        raise GenreproError(f"{_TABLE} needs a column `path` that names a file (rock/song.mp3) in every row.")
    table["path"] = table["path"].map(lambda value: "/".join(PurePosixPath(value).parts[-2:]))
    doubled = table["path"][table["path"].duplicated()]
    if not doubled.empty:
        raise GenreproError(f"{_TABLE} names {doubled.iloc[0]} twice: keep one row.")
    table = table.reindex(columns=list(_COLUMNS)).astype(object)
    table = table.where(table.notna(), None)
    if unknown := sorted(set(table["split"].dropna()) - set(SPLITS)):
        raise GenreproError(f"{_TABLE}: split = {unknown[0]!r} is unknown; choose {', '.join(SPLITS)}.")
    flat = table["path"][~table["path"].str.contains("/")]
    if not flat.empty:
        raise GenreproError(f"{_TABLE}: {flat.iloc[0]!r} names no genre; write it as <genre>/<file>.")
    return table.set_index("path")
