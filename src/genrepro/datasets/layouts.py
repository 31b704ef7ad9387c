"""Which files of somebody's collection are music, and what the folders above each one say of it.

A layout is a path: ``genre/file``, ``genre/artist/album/file``, ``split/genre/file``. Its folders are genre,
which is always there, and artist, album and split, each at most once; ``*`` is any one folder and ``**`` any
number of them. What wraps the whole collection (``My Music/``) stands above the layout.
"""

import logging
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from genrepro.base.errors import GenreproError
from genrepro.exact.identity import name_key, text

_log = logging.getLogger(__name__)

SUFFIXES = (
    ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".dsf", ".dts",
    ".eac3", ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mp4", ".mpc", ".mpga", ".oga", ".ogg",
    ".opus", ".rf64", ".shn", ".snd", ".spx", ".tak", ".tta", ".w64", ".wav", ".wave", ".webm", ".wma",
    ".wv",
)  # fmt: skip
"""What libsndfile or ffmpeg's libraries may decode; the header decides."""

SIDES = {
    name: side
    for side, names in {
        "train": ("train", "training"),
        "validation": ("validation", "valid", "val", "dev"),
        "test": ("test", "testing"),
    }.items()
    for name in names
}
"""The sides of a split, by the names that people give them."""

# Words of genres' names, from GTZAN, FMA and ID3. They tell `rock/artist` from `My Music/rock`.
_GENRE_WORDS = frozenset(
    """
    acoustic alternative ambient ballad bass beat bebop bluegrass blues bossa breakbeat celtic chanson
    chillout classic classical country dance dancehall disco drone drum dub dubstep easy electro electronic
    electronica emo ethnic experimental flamenco folk funk fusion garage gospel gothic grindcore grunge
    hardcore hardstyle hip hiphop hop house idm indie industrial instrumental international jazz jungle
    latin listening lofi lounge metal musical noise oldies opera pop psychedelic punk rap reggae reggaeton
    rnb rock rockabilly salsa samba schlager ska soul soundtrack spoken swing symphonic synthpop synthwave
    tango techno thrash trance trap triphop vocal world
    """.split()  # noqa: SIM905 - quoted one by one they would fill the page
)

_LONGEST_NAME = 240  # bytes; file systems take 255, and a number may be added

# What systems leave in folders, by name: no part of a collection.
_LITTER_FOLDERS = {
    "__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin", "recycler", "lost+found",
    "system volume information",
}  # fmt: skip
_LITTER_FILES = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"}


def kind_left_out(name: PurePosixPath) -> str | None:
    """Why a file is no track: litter, hidden_folder, hidden_file, no_suffix or not_audio; None if it is one.

    A name that begins with several dots is a title ("...Baby One More Time") and not hidden.
    """
    folders = [folder.casefold() for folder in name.parts[:-1]]
    if name.name.startswith("._") or name.name.casefold() in _LITTER_FILES:
        return "litter"
    if any(folder in _LITTER_FOLDERS for folder in folders):
        return "litter"
    if any(_is_hidden(folder) for folder in folders):
        return "hidden_folder"
    if is_audio(name):
        return None
    if _is_hidden(name.name):
        return "hidden_file"
    return "not_audio" if name.suffix.strip() else "no_suffix"


def in_unicode(name: PurePosixPath) -> PurePosixPath:
    """The path as text: of a name that is not UTF-8 as Windows wrote it, in cp1252, else in Latin-1.

    Python has such bytes as surrogates, which no table, lock file or cache can hold.
    """
    return PurePosixPath(*map(_part_in_unicode, name.parts))


def _part_in_unicode(part: str) -> str:
    if not any("\ud800" <= character <= "\udfff" for character in part):
        return part
    content = os.fsencode(part)
    try:
        decoded = content.decode("cp1252")
    except UnicodeDecodeError:
        decoded = content.decode("latin-1")
    stem, suffix = PurePosixPath(decoded).stem, PurePosixPath(decoded).suffix
    room = _LONGEST_NAME - len(suffix.encode())
    return (
        decoded
        if len(decoded.encode()) <= _LONGEST_NAME
        else stem.encode()[:room].decode("utf-8", "ignore") + suffix
    )


def is_audio(name: PurePosixPath) -> bool:
    """Whether a file's name ends as those of music do."""
    return name.suffix.strip().lower() in SUFFIXES


def wrapper(audio: Collection[PurePosixPath], layout: str, *, source: str) -> PurePosixPath:
    """The folder inside the source that the layout starts in, from the paths of all its music.

    Raises
    ------
    GenreproError
        If the files do not lie as the layout says; the sentence names what was seen.
    """
    folders = layout.split("/")[:-1]
    least = len(folders) - ("**" in folders)
    depths = {name: len(name.parts) - 1 for name in audio}
    flattest, deepest = min(audio, key=depths.__getitem__), max(audio, key=depths.__getitem__)
    says = f"folder.layout = {layout}"
    if depths[flattest] < least:
        raise GenreproError(
            f"{source} holds {flattest}, which lies below fewer folders than {says} names: move it, or "
            "name another layout."
        )
    if "**" not in folders and depths[flattest] != depths[deepest]:
        raise GenreproError(
            f"{source} holds {flattest} and {deepest}, but by {says} every audio file lies equally deep: "
            "move one of them, or set folder.layout=genre/**/file for folders of any depth."
        )
    common = _common(audio)
    depth = min(len(common), depths[flattest] - least)
    if "**" not in folders and depth < depths[flattest] - least:
        raise GenreproError(_too_deep(audio, len(common), says=says, source=source))
    if layout == "genre/file" and depth:
        _check_is_no_genre(common[depth - 1], {name.parts[depth] for name in audio}, source=source)
    return PurePosixPath(*common[:depth])


def _check_is_no_genre(name: str, inside: Collection[str], *, source: str) -> None:
    """Refuse a genre whose artists look like the genres; where nobody can tell, say what was taken for what.

    Raises
    ------
    GenreproError
        If the folder has the name of a genre and none of those inside it has.
    """
    if len(inside) < 2 or any(map(_is_named_as_genre, inside)):
        return
    seen = f"{len(inside)} ({_some(sorted(inside))})"
    if _is_named_as_genre(name):
        raise GenreproError(
            f"{source} holds only {name}, which is named as a genre, above {seen}: if these are artists, set "
            "folder.layout=genre/artist/file; if they are the genres, set folder.layout=*/genre/file."
        )
    _log.warning(
        "%s holds only %s, taken for a folder around the genres %s; if it is the genre, set "
        "folder.layout=genre/artist/file",
        source,
        name,
        seen,
    )


def _is_named_as_genre(name: str) -> bool:
    return not _GENRE_WORDS.isdisjoint(re.split(r"[\W_]+", name_key(name)))


def described(path: PurePosixPath, layout: str) -> dict[str, str] | None:
    """What the folders of a path say, by the layout's names; None if there are too few or too many."""
    names, folders = layout.split("/")[:-1], path.parts[:-1]
    if "**" in names:
        position = names.index("**")
        num_after = len(names) - position - 1
        if len(folders) < len(names) - 1:
            return None
        folders = folders[:position] + folders[len(folders) - num_after :]
        names = names[:position] + names[position + 1 :]
    if len(names) != len(folders):
        return None
    return {name: folder for name, folder in zip(names, folders, strict=True) if name != "*"}


def check_names(tracks: Sequence[dict[str, str]], layout: str, *, source: str) -> None:
    """Raise GenreproError if genres or artists are named as sides of a split, or sides are not."""
    for name in ("genre", "artist", "album"):
        values = sorted({track[name] for track in tracks if name in track})
        if len(values) > 1 and all(name_key(value) in SIDES for value in values):
            raise GenreproError(
                f"{source}: by folder.layout = {layout} the folders {', '.join(values)} stand for {name}, "
                "but they are sides of a split: set folder.layout=split/genre/file or genre/split/file."
            )
    for value in sorted({track["split"] for track in tracks if "split" in track}):
        if name_key(value) not in SIDES:
            raise GenreproError(
                f"{source}: by folder.layout = {layout} the folder {value!r} is a side of the split; such "
                f"folders are named {', '.join(SIDES)}."
            )


def without_music(folders: Iterable[PurePosixPath], tracks: Collection[PurePosixPath]) -> list[PurePosixPath]:
    """The folders at the top of the collection in which no track lies, hidden ones and litter left out."""
    full = {track.parts[0] for track in tracks}
    empty = {folder.parts[0] for folder in folders if folder.parts} - full
    visible = (name for name in empty if not _is_hidden(name) and name.casefold() not in _LITTER_FOLDERS)
    return sorted(map(PurePosixPath, visible))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and not name.startswith("..")


def _common(audio: Collection[PurePosixPath]) -> tuple[str, ...]:
    """The folders that all files lie in."""
    first, last = min(audio).parts[:-1], max(audio).parts[:-1]
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


def _too_deep(audio: Collection[PurePosixPath], start: int, *, says: str, source: str) -> str:
    """Name the folders at the first depth at which they differ, and those below."""
    upper = sorted({name.parts[start] for name in audio})
    lower = sorted({name.parts[start + 1] for name in audio})
    sides = all(name_key(name) in SIDES for name in upper)
    layouts = ("split/genre/file", "genre/artist/file")
    return (
        f"{source} holds {min(audio)}: {len(upper)} folders ({_some(upper)}) lie above {len(lower)} "
        f"({_some(lower)}), where {says} has one kind of folder: set folder.layout="
        f"{' or '.join(layouts if sides else layouts[::-1])}."
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(text(name) or "blank" for name in names[:3]) + (", ..." if len(names) > 3 else "")
