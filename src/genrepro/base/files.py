"""Write files so that no half-written file is left: write beside the target, then rename.

If a stage is killed at any moment, it leaves the old file, the new file, or a ``*.partial`` that nothing
reads.
"""

import csv
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from genrepro.base.errors import GenreproError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = (
    64  # a row group of 30 s log-mels is about 20 MB: small enough to stream, large enough to scan
)

_LONGEST_NAME = 255  # bytes, on almost every file system
_NOT_IN_NAMES = re.compile(r"[/\\\0]")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``. Rename it if the block succeeds, delete it if not.

    Works for files and for folders. A folder is replaced as a whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    _remove(partial)
    try:
        yield partial
    except BaseException:
        _remove(partial)
        raise
    if partial.is_dir():
        _remove(path)
    partial.replace(path)


def write_parquet(path: Path, batches: "Iterable[pa.RecordBatch | pa.Table]", schema: "pa.Schema") -> None:
    """Stream ``batches`` into one Parquet file.

    Row groups and compression are fixed, so that equal tables give equal bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with (
        replacing(path) as partial,
        pq.ParquetWriter(
            partial, schema, compression="zstd", compression_level=1, use_dictionary=False
        ) as writer,
    ):
        waiting: list[pa.Table] = []
        num_waiting = 0
        for batch in batches:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            waiting.append(table)
            num_waiting += table.num_rows
            while num_waiting >= ROWS_PER_GROUP:
                whole = pa.concat_tables(waiting)
                writer.write_table(whole.slice(0, ROWS_PER_GROUP).combine_chunks())
                waiting, num_waiting = [whole.slice(ROWS_PER_GROUP)], num_waiting - ROWS_PER_GROUP
        if num_waiting:
            writer.write_table(pa.concat_tables(waiting).combine_chunks())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` as indented JSON, in their own order, with one line feed at the end.

    Raises ValueError for NaN and infinity, which DVC would always show as a change.
    """
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n", "utf-8")


class _LineFeeds:
    """A file for csv's writer, which calls `write` once for a row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n") + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file with ``\\n`` at the end of each line. ``None`` becomes an empty field."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        # Before Python 3.13, only characters of the line's end are quoted. A name may hold a carriage return,
        # which every reader takes for the end of a line.
        writer = csv.writer(_LineFeeds(file), lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(rows)


def file_name(text: str, *, suffix: str = "") -> str:
    """A file's name, ``suffix`` included, that any text can be given; ordinary text stays as it is.

    A genre of a stranger's table may be a path (``../../x``, ``AC/DC``), longer than a name can be, or look
    like the file beside it (``rock.png``). Such text gets underscores, is cut, and ends in a hash of its own.
    """
    name = _NOT_IN_NAMES.sub("_", text)
    if (
        name != text
        or name in ("", ".", "..")
        or len((name + suffix).encode()) > _LONGEST_NAME
        or (suffix and name.endswith(suffix))
    ):
        cut = name.encode()[: _LONGEST_NAME - 64].decode("utf-8", "ignore")
        name = f"{cut}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name + suffix


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stage wrote."""
    return json.loads(require(path).read_text("utf-8"))


def require(path: Path) -> Path:
    """Return ``path``, or raise GenreproError if this stage output is missing."""
    if not path.exists():
        raise GenreproError(
            f"{path} is missing: run `dvc repro` so that the stage before this one writes it."
        )
    return path


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rounded(value: float, digits: int = 6) -> float:
    """Round a float for a metrics file: few digits, so that a review shows changes and not noise."""
    if not math.isfinite(value):
        raise ValueError(f"a metric must be finite, not {value}")
    return round(float(value), digits)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
