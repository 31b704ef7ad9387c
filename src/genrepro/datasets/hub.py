"""Hub: a data set of Hugging Face's hub, or a folder in one of its formats, by the library `datasets`.

``source`` is an id (``owner/name``), the page's address, a folder (Parquet files, an audiofolder, what
``save_to_disk`` wrote) or one Parquet file. Rows are streamed: the bytes of each go straight into a file of
the raw folder, as they are, and no second copy is kept. A stream that breaks for good begins anew.

The section ``hub`` of params.yaml names the columns; ``auto`` finds them by type and name, ``none`` says that
there is none. ``hub.revision`` pins a commit: without it, a data set that its owner changes is another one
after the next download. A track is ``<split>/<row>``, counted from 0.

Licence: that of the data set, on its page. The raw folder is never pushed.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from genrepro.base.data_sets import Hub
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets.columns import Columns
from genrepro.datasets.tables import identity
from genrepro.download import disk
from genrepro.download.cache import Remote
from genrepro.download.source import resolve

REMOTES: dict[str, Remote] = {}
"""Nothing is declared: ``source`` names the data set."""

FAULTS = {
    "missing": "the row holds neither bytes nor a file of the data set",
    "no_genre": "the row has no label, so it is left out and counted",
    "not_a_spectrogram": "the picture is not a PNG",
}

_PAGE = "https://huggingface.co/datasets/"
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ROWS = 16  # in memory at once; a WAV of 30 s is 1 to 5 MB
# What a file begins with, at which byte, and its suffix: for bytes that come without a name.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png"),
    (b"\xff\xd8\xff", 0, ".jpg"),
    (b"WAVE", 8, ".wav"),
    (b"fLaC", 0, ".flac"),
    (b"OggS", 0, ".ogg"),
    (b"ftyp", 4, ".m4a"),
    (b"\x1a\x45\xdf\xa3", 0, ".webm"),
    (b"ID3", 0, ".mp3"),
    (b"\xff", 0, ".mp3"),
)


def acquire(*, params: Params, raw: Path) -> None:
    """Write each row's bytes to ``raw/<split>/<row>.<suffix>`` and what is known of it to identity.csv.

    Raises
    ------
    GenreproError
        If there is no such data set, it cannot be read, or has no column of audio or of labels that can be
        told from the others.
    """
    from tqdm import tqdm

    if params.source == "auto":
        raise GenreproError(
            "hub has no remote of its own: pass -S source=<owner/name> of a data set on Hugging Face's hub, "
            "or the path of a folder in one of its formats."
        )
    folder, splits = _load(params.source, params.hub)
    rows: list[dict[str, Any]] = []
    for split, table in splits.items():
        columns = Columns.find(table.features or {}, params.hub)
        found = _rows(table, columns.wanted(), params.source)
        for number, row in enumerate(tqdm(found, desc=split, unit=" rows", disable=None)):
            known = columns.identity(row, split=split, several=len(splits) > 1)
            known["track_id"] = f"{split}/{number:06d}"
            _keep(row[columns.audio], known, raw=raw, folder=folder, source=params.source)
            rows.append(known)
    if not rows:
        raise GenreproError(f"source = {params.source!r} holds no row: check `source` and `hub.config`.")
    identity.write(raw, rows)


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each row of the data set, with the faults that `FAULTS` names."""
    return identity.read(raw)


def _load(source: str, config: Hub) -> tuple[Path | None, Mapping[str, Any]]:
    """The source's folder, if it is on this machine, and its splits as streams."""
    import datasets

    datasets.disable_progress_bars()
    named = source.removeprefix(_PAGE).strip("/") if source.startswith(_PAGE) else source
    try:
        path = resolve(named)
    except GenreproError:
        if not _ID.fullmatch(named):
            raise
        path = None
    subset = None if config.config == "auto" else config.config
    with _reading(source):
        if path is not None and any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            kept = datasets.load_from_disk(str(path))
            kept = kept if isinstance(kept, dict) else {"train": kept}
            return path, {split: table.to_iterable_dataset() for split, table in kept.items()}
        if path is None:
            builder = datasets.load_dataset_builder(named, subset, revision=config.revision)
        elif path.is_file():
            builder = datasets.load_dataset_builder("parquet", data_files=str(path))
        else:
            builder = datasets.load_dataset_builder(str(path), subset)
        for key, value in _reading_options().items():
            if hasattr(builder.config, key):
                setattr(builder.config, key, value)
        found = builder.as_streaming_dataset()
    folder = path.parent if path is not None and path.is_file() else path
    return folder, found


def _reading_options() -> dict[str, Any]:
    """What the readers of the library's formats must not do by default.

    An audiofolder of the hub is decoded ahead. Parquet is read by whole row groups, and what was buffered of
    a file stays in memory until its end.
    """
    import pyarrow.dataset

    options = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)
    return {"decode_num_threads": 0, "batch_size": _ROWS, "fragment_scan_options": options}


@contextmanager
def _reading(source: str) -> Iterator[None]:
    """Turn what the library, the network or a damaged file raises into a GenreproError."""
    import datasets
    import pyarrow as pa
    from huggingface_hub import errors as hub

    errors = (OSError, ValueError, hub.HTTPError, pa.ArrowException, datasets.exceptions.DatasetsError)
    try:
        yield
    except errors as error:
        reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".") or type(error).__name__
        raise GenreproError(
            f"source = {source!r} cannot be read by the library `datasets` ({reason[:300]}): check "
            "the name, `hub.config`, `hub.revision` and the network; `hf auth login` opens gated data sets."
        ) from error


def _rows(table: Any, columns: list[str], source: str) -> Iterator[dict[str, Any]]:
    """The rows of a split, undecoded. By Arrow tables: for rows of its own the library wants torchcodec."""
    with _reading(source):
        batches = table.decode(False).with_format("arrow").iter(batch_size=_ROWS)
    while True:
        with _reading(source):
            batch = next(batches, None)
        if batch is None:
            return
        yield from batch.select(columns).to_pylist()


def _keep(value: Any, known: dict[str, Any], *, raw: Path, folder: Path | None, source: str) -> None:
    """Write a row's bytes and note where; note in ``fault`` what is wrong with them."""
    if isinstance(value, bytes):
        value = {"bytes": value, "path": None}
    value = value or {}
    content, name = value.get("bytes"), value.get("path") or ""
    if content is None and _belongs(name, folder):
        from datasets.utils.file_utils import xopen

        with _reading(source), xopen(name, "rb") as file:
            content = file.read()
    if not content:
        known["fault"] = known["fault"] or "missing"
        return
    suffix = _suffix(content, name)
    if suffix == ".jpg":
        known["fault"] = known["fault"] or "not_a_spectrogram: a JPEG picture"
    path = raw / (known["track_id"] + suffix)
    with disk.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileIO(path, "xb") as file:
            disk.write(file, content)
    known["path"] = path.relative_to(raw).as_posix()


def _belongs(path: str, folder: Path | None) -> bool:
    """Whether a row's path is a file of the data set: a stranger's table could name any on this machine."""
    outermost = path.rpartition("::")[2]  # zip://a.wav::/data/clips.zip
    if folder is None:
        return outermost.startswith("hf://datasets/")
    # As it is spelled: the hub's cache holds links to files elsewhere.
    return Path(os.path.normpath(outermost)).is_relative_to(folder)


def _suffix(content: bytes, name: str) -> str:
    """Of pictures by content, which is how stages tell them from audio; of audio the one it came with."""
    found = [suffix for magic, at, suffix in _MAGIC if content[at : at + len(magic)] == magic]
    if found and found[0] in (".png", ".jpg"):
        return found[0]
    given = PurePosixPath(name.partition("::")[0]).suffix.lower()
    if re.fullmatch(r"\.[a-z0-9]{1,5}", given) and given not in (".png", ".jpg"):
        return given
    return found[0] if found else ".bin"
