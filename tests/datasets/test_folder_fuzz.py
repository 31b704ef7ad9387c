"""Two claims about any collection whatsoever: every file is a row or is counted, and errors are sentences.

Hypothesis draws trees: names from all of Unicode and from what people and systems call things, odd suffixes,
folders of any depth, links, pipes, hidden files, tables in the forms that spreadsheets save, packed or not.
``GENREPRO_FUZZ`` sets the number of examples, each time others; without it they are always the same 2 000.
"""

import csv
import dataclasses
import io
import os
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from support.builders import make_params
from support.layouts import make_audio

from genrepro import catalog
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import folder, layouts
from genrepro.exact.identity import text

EXAMPLES = os.environ.get("GENREPRO_FUZZ")
PARAMS = make_params(dataset="folder")
CONTENTS = (make_audio(seed=0, duration=0.01), b"", b"these are words", b"ID3\x04\x00", b"\xff\xf1\x00")
LAYOUTS = (
    "genre/file", "genre/artist/file", "genre/artist/album/file", "split/genre/file", "genre/split/file",
    "*/genre/file", "genre/**/file", "**/genre/file", "genre/**/artist/file",
)  # fmt: skip
KNOWN = (
    "rock", "Rock", "ROCK ", "jazz", "1970", "NA", "null", "caf\u00e9", "cafe\u0301", "...Baby", "-", "~",
    "train", "test", "val", "Ca$h_$tyle", "\u00df", "\uff32ock", "a,b", 'a"b', "a;b", "a\tb", "a\nb", "=1+1",
    "\u200b", " ", "con", "a.", ".a", ".stfolder", "@eaDir", "__MACOSX", "._a", "Scans", "$RECYCLE.BIN",
    "Thumbs.db",
    ".DS_Store", "tracks", "tracks.csv", "Tracks.CSV", "track.csv", "tracks.txt", "\U0001f3b8", "\u202eabc",
    "\ufeff",
)  # fmt: skip
ODD = (
    "", ".", ".jpg", ".txt", ".png", ".csv", ".xlsx", ".cue", ".WAV", ".Mp3", ".wav ", ".wav.mp3",
    ".mp3.part", ".\u200bwav", ".\uff57av", ".w\u0131v", ".wav\u0301",
)  # fmt: skip


@lru_cache(maxsize=None, typed=True)
def pick(*choices: Any) -> st.SearchStrategy[Any]:
    """One of them; kept, because Hypothesis takes its time to check a new strategy."""
    return st.sampled_from(choices)


def fits(name: str) -> bool:
    """Whether a file system takes it as a name."""
    return name not in (".", "..") and 0 < len(os.fsencode(name)) <= 120


any_text = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
any_bytes = st.binary(min_size=1, max_size=6).map(
    lambda raw: os.fsdecode(raw.translate(None, b"/\0") or b"x")
)
folders = st.one_of(st.sampled_from(KNOWN), st.sampled_from(KNOWN), any_text).filter(fits)
names = st.one_of(*[st.sampled_from(KNOWN), any_text] * 6, any_bytes).filter(fits)
suffixes = st.one_of(
    st.sampled_from(layouts.SUFFIXES), st.sampled_from(layouts.SUFFIXES), st.sampled_from(ODD)
)

texts = st.one_of(st.sampled_from([*KNOWN, "", ""]), any_text)
SPELLINGS = (str, str, str, str.upper, str.title, lambda name: f" {name} ")  # of a table's columns
SPELLED: tuple[Callable[[PurePosixPath], str], ...] = (  # of its paths
    str,
    lambda path: unicodedata.normalize("NFD", str(path)),
    lambda path: str(path).replace("/", "\\"),
    lambda path: f"/music/{path}",
    lambda path: str(path).upper(),
    lambda path: str(path.with_suffix(".wav")),
    lambda path: "/".join(path.parts[-2:]),
)


@dataclass(kw_only=True)
class Tree:
    """A collection before it lies on a disk."""

    layout: str
    files: dict[PurePosixPath, bytes] = field(default_factory=dict)
    links: dict[PurePosixPath, str] = field(default_factory=dict)
    pipes: list[PurePosixPath] = field(default_factory=list)
    packed: bool = False


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree = Tree(layout=draw(pick(*LAYOUTS)))
    wrapper = draw(st.lists(folders, max_size=2))
    pool = draw(st.lists(folders, min_size=1, max_size=4, unique=True))
    *asked, _ = tree.layout.split("/")
    sides = st.sampled_from(["train", "train", "Test", "val", *pool])
    for _ in range(draw(st.integers(0, 6))):
        where = list(wrapper)
        for kind in asked:
            num_folders = draw(pick(1, 1, 0, 2)) if kind == "**" else 1
            where += [draw(sides if kind == "split" else st.sampled_from(pool)) for _ in range(num_folders)]
        name = draw(names) + draw(suffixes)
        if fits(name):
            tree.files[PurePosixPath(*where, name)] = draw(pick(*CONTENTS))
    for _ in range(draw(pick(0, 0, 1, 2))):  # anything anywhere
        where, name = draw(st.lists(st.one_of(st.sampled_from(pool), folders), max_size=4)), draw(names)
        tree.files[PurePosixPath(*where, name)] = draw(pick(*CONTENTS))
    if draw(st.booleans()):
        beside = draw(st.sampled_from([wrapper, wrapper, []]))
        title = draw(pick("tracks.csv", "tracks.csv", "tracks.csv", "Tracks.csv", "tracks.tsv"))
        tree.files[PurePosixPath(*beside, title)] = draw(tables(list(tree.files)))
    tree.packed = draw(pick(False, False, False, True))
    if not tree.packed and draw(st.booleans()):
        places = [PurePosixPath("x"), *tree.files, *(path.parent / "link" for path in tree.files)]
        targets = [".", "..", "nowhere", *map(str, pool), *(path.name for path in tree.files)]
        for _ in range(draw(st.integers(0, 2))):
            tree.links[draw(st.sampled_from(places)).with_suffix(draw(suffixes).strip(".") and ".mp3")] = (
                draw(st.sampled_from(targets))
            )
        if draw(pick(False, False, True)):
            tree.pipes.append(draw(st.sampled_from(places)).with_name("pipe.wav"))
    return tree


@st.composite
def tables(draw: st.DrawFn, paths: list[PurePosixPath]) -> bytes:
    """A table about some of the files and some that are not there."""
    columns = draw(st.permutations(["path", "artist", "album", "title", "split"]))
    columns = ["path", *columns[: draw(st.integers(1, 4))]]
    columns = list(dict.fromkeys(columns))
    spelling = draw(pick(*SPELLINGS))
    header = [spelling(column) for column in columns]
    if draw(pick(*[False] * 5, True)):
        header.append(draw(pick("artst", "year", "", "path")))
    rows = []
    for path in paths:
        if draw(st.booleans()):
            cells = {
                "path": draw(pick(*SPELLED))(path),
                "split": draw(pick("", "train", "Test")),
            }
            rows.append([cells[name] if name in cells else draw(texts) for name in columns])
    for _ in range(draw(pick(0, 0, 1))):
        rows.append(["rock/gone.mp3", *(draw(texts) for _ in columns[1:])])
    content = io.StringIO(newline="")
    separator = draw(pick(*",;\t|"))
    quoting = draw(pick(csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    end = draw(pick("\r\n", "\n"))
    writer = csv.writer(content, delimiter=separator, quoting=quoting, lineterminator=end)
    if draw(pick(False, False, True)):
        content.write(f"sep={separator}{end}")
    writer.writerows([header, *rows, *draw(st.sampled_from([[], [[""] * len(header)]]))])
    encoding = draw(pick("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"))
    encoded = content.getvalue().encode(encoding, "replace")
    return encoded if draw(pick(*[True] * 9, False)) else encoded[: len(encoded) // 2]


def write(tree: Tree, root: Path) -> None:
    """Whatever of the tree can lie on this file system: a name cannot be both a file and a folder."""
    for path, content in tree.files.items():
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    for path, target in tree.links.items():
        if (root / path).parent.is_dir() and not os.path.lexists(root / path):
            (root / path).symlink_to(target)
    for path in tree.pipes:
        if (root / path).parent.is_dir() and not os.path.lexists(root / path):
            os.mkfifo(root / path)


def seen(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """What is not a folder, through links but round no circle."""
    if folder.resolve() in above:
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from seen(path, (*above, folder.resolve()))
        else:
            yield path


def packed(root: Path) -> Path:
    archive = root.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root))
    return archive


def of(tree: Tree, source: Path) -> Params:
    own = dataclasses.replace(PARAMS.folder, layout=tree.layout)
    return dataclasses.replace(PARAMS, source=str(source), folder=own)


@contextmanager
def temporary() -> Iterator[Path]:
    """Faster than pytest's, of which there is one a test and not one an example."""
    where = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    try:
        yield where
    finally:
        shutil.rmtree(where)


@settings(
    max_examples=int(EXAMPLES or 2000),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(tree=trees())
def test_every_file_is_a_row_or_counted_and_errors_are_sentences(tree: Tree) -> None:
    with temporary() as where:
        root, raw = where / "mine", where / "raw"
        root.mkdir()
        raw.mkdir()
        write(tree, root)
        source = root
        if tree.packed:
            try:
                source = packed(root)
            except (UnicodeEncodeError, ValueError):  # a zip has no place for a name that is not Unicode
                return
        there = list(seen(root))
        try:
            folder.acquire(params=of(tree, source), raw=raw)
            identity = folder.read_catalog(raw)
            table = catalog.build(identity, raw, num_workers=1)
            counts = catalog.summary(identity, table)
        except GenreproError as error:
            event("a sentence")
            assert "\n" not in str(error) and str(error).endswith(".")
            return
        event("a catalog")
        tracks = [path for path in table["path"].to_pylist() if path is not None]
        unlabelled = identity[identity["genre"].map(text).isna()]
        counted = sum(count for key, count in counts.items() if key.startswith("num_left_out_"))
        assert counted == len(unlabelled)
        # Folders are counted too, and rows of the table that have neither a file nor a genre.
        no_files = (unlabelled["fault"] == "folder_without_music").sum()
        no_files += ((unlabelled["fault"] == "no_genre") & unlabelled["path"].isna()).sum()
        num_tables = (raw / ".source" / "tracks.csv").is_file()
        assert len(set(tracks)) == len(tracks)
        assert all((raw / path).is_file() for path in tracks)
        assert len(tracks) + counted - no_files + num_tables == len(there), (tracks, unlabelled, there)


def test_the_fuzz_reaches_catalogs_and_sentences() -> None:
    """Else the claims above would hold because nothing was ever read."""
    drawn = {"catalog": 0, "sentence": 0}

    @settings(
        max_examples=200,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tree=trees())
    def count(tree: Tree) -> None:
        with temporary() as where:
            (where / "mine").mkdir()
            (where / "raw").mkdir()
            write(tree, where / "mine")
            try:
                folder.acquire(params=of(tree, where / "mine"), raw=where / "raw")
                folder.read_catalog(where / "raw")
                drawn["catalog"] += 1
            except GenreproError:
                drawn["sentence"] += 1

    count()
    assert min(drawn.values()) > 20, drawn
