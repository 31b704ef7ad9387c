"""Keep rendered chunks of tracks in files, so that a killed run can continue.

A chunk's file name is a hash of everything that determines its rows: the tracks (ids, paths, SHA-256 and
faults), the transform, the code that renders them and the libraries it uses. If a file with that name exists,
its rows are done. If anything changes, the name changes, so that outdated rows are never used. Workers write
the files themselves. So no spectrogram passes through a pipe, and finished work is kept even if the main
process dies. The workers of a cluster must therefore share the file system.
"""

import hashlib
import json
import platform
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from genrepro.base import tables
from genrepro.exact import numerics

# A row of mel.parquet and what levels.parquet adds to it.
ROWS = pa.schema([*tables.MEL, *(field for field in tables.LEVELS if field.name != "track_id")])

# Modules that determine a row. They are read as text, because some of them import this one.
_CODE = (
    "base/tables.py",
    "exact/numerics.py",
    "render/journal.py",
    "render/write.py",
    "spectrogram/audio.py",
    "spectrogram/ffmpeg.py",
    "spectrogram/mel.py",
    "spectrogram/pictures.py",
)
_LIBRARIES = ("av", "librosa", "matplotlib", "numpy", "pillow", "scipy", "soundfile", "soxr")


@cache
def identity() -> dict[str, str]:
    """Describe the code, libraries and arithmetic. With file and parameters, they determine a row."""
    import soundfile

    sources = (resources.files("genrepro").joinpath(path) for path in _CODE)
    code = "".join(source.read_text("utf-8") for source in sources)
    return {
        "code": hashlib.sha256(code.encode()).hexdigest()[:16],
        **{name: version(name) for name in _LIBRARIES},
        "libsndfile": soundfile.__libsndfile_version__,
        "processor": platform.machine(),
        "arithmetic": "pinned" if numerics.pinned() else "native",
    }


def name(rows: Sequence[dict], description: dict[str, Any]) -> str:
    """The file name of a chunk.

    Parameters
    ----------
    rows : sequence of dict
        The catalog's ``track_id``, ``path``, ``sha256`` and ``fault``.
    description : dict
        Description of the transform, from `mel.describe` or `pictures.describe`.
    """
    content = json.dumps([identity(), description, list(rows)], sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()[:40]}.arrow"


def write(path: Path, rows: Sequence[dict]) -> None:
    """Write a chunk's finished rows, with the columns of `ROWS`. The file is written whole or not at all."""
    table = pa.Table.from_pylist(list(rows), schema=ROWS)
    # Use a unique temporary name: a worker of a killed run may still be writing the same chunk.
    with (
        tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file,
        pa.ipc.new_file(file, ROWS) as writer,
    ):
        writer.write_table(table)
    Path(file.name).replace(path)


def read(path: Path) -> pa.Table | None:
    """Read a chunk's rows. None if the file does not exist or is damaged."""
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
            return reader.read_all() if reader.schema.equals(ROWS) else None
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def keep(folder: Path, names: Sequence[str]) -> set[str]:
    """Delete all files that are not in ``names`` or are damaged. Return the names that remain."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = set(names)
    for path in folder.iterdir():
        if path.name not in wanted or read(path) is None:
            path.unlink()
    return {path.name for path in folder.iterdir()}
