"""Which files of somebody's collection are music, and what the folders above each one say of it.

A layout is a path: ``genre/file``, ``genre/artist/album/file``, ``split/genre/file``. Its folders are genre,
which is always there, and artist, album and split, each at most once; ``*`` is any one folder and ``**`` any
number of them. What wraps the whole collection (``My Music/``) stands above the layout.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from genrepro.base.errors import GenreproError
from genrepro.exact.identity import name_key, text

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
    return PurePosixPath(*common[:depth])


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
