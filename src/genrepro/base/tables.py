"""The columns of every table that passes between stages, and their meaning.

Stages rely on these columns. If you change one, change every stage that reads it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from genrepro.base.errors import GenreproError
from genrepro.base.files import require

CATALOG = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),  # unique, sorted
        pa.field("genre", pa.string(), nullable=False),
        pa.field("artist", pa.string()),
        pa.field("album", pa.string()),
        pa.field("title", pa.string()),
        pa.field("path", pa.string()),  # relative to raw/; null where the source holds no file
        pa.field("sha256", pa.string()),
        pa.field("num_bytes", pa.int64()),
        pa.field("sample_rate", pa.int32()),  # Hz, from the header
        pa.field("num_channels", pa.int32()),
        pa.field("duration", pa.float64()),  # s, from the header
        pa.field("official_split", pa.string()),  # train, validation, test or null
        pa.field("fault", pa.string()),  # null, or why the file cannot be used
    ]
)

MEL = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field(
            "mel", pa.binary()
        ),  # little-endian float16, C order, (num_frames, num_mels), dB below maximum
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("num_mels", pa.int32(), nullable=False),
        pa.field("fault", pa.string()),  # null, or why it could not be decoded
    ]
)

# Facts that need decoded samples. They are measured on the mean of the channels, at the file's own rate. For
# a data set of pictures all columns but track_id are null.
LEVELS = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("duration", pa.float64()),  # s, decoded
        pa.field("peak", pa.float64()),  # largest absolute sample, 1 = full scale
        pa.field("clipped_share", pa.float64()),  # share of samples in runs of at least two at full scale
        pa.field("rms", pa.float64()),  # root mean square, 1 = full scale
        # rms of the channels' difference over `rms`. 0: equal channels; infinite: they cancel; null: mono
        pa.field("channel_difference", pa.float64()),
    ]
)

AUDIT = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),  # every finding, sorted
        pa.field("duplicate_group", pa.string()),  # the first track_id of a cluster of equal content, or null
        pa.field("excluded", pa.string()),  # null, or the finding that keeps the track out of every split
    ]
)

# What a composer knows of its tracks. Empty for recorded music, of which nobody knows it exactly.
LABELS = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),  # unique, sorted
        pa.field("tempo", pa.float64(), nullable=False),  # beats per minute
        pa.field("metre", pa.int32(), nullable=False),  # beats in a bar
        pa.field("key", pa.string(), nullable=False),  # pitch class of the tonic
        pa.field("instruments", pa.string(), nullable=False),  # that play, separated by spaces
        pa.field("artist", pa.string(), nullable=False),
    ]
)

# metrics/sweep/curves.parquet: one row for each head and epoch, sorted by the first four columns.
SWEEP = pa.schema(
    [
        pa.field("seed", pa.int32(), nullable=False),
        pa.field("lr", pa.float64(), nullable=False),
        pa.field("weight_decay", pa.float64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),  # from 1
        pa.field("train_loss", pa.float32(), nullable=False),  # mean over the epoch's segments
        pa.field("train_accuracy", pa.float32(), nullable=False),
        pa.field(
            "validation_loss", pa.float32(), nullable=False
        ),  # over tracks; NaN once a head has diverged
        pa.field("validation_accuracy", pa.float32(), nullable=False),
        pa.field("batch_loss", pa.list_(pa.float32()), nullable=False),  # of each minibatch
        pa.field("batch_accuracy", pa.list_(pa.float32()), nullable=False),
    ]
)

# The first columns of metrics/predictions.csv; then comes one column for each genre, named after it.
PREDICTION_KEYS = ("track_id", "genre", "predicted", "group")

_MEL_KEY = b"genrepro.mel"


def with_mel_description(description: dict[str, Any]) -> pa.Schema:
    """The MEL schema with a description of the spectrograms: frame rate, bands, transform parameters."""
    return MEL.with_metadata({_MEL_KEY: json.dumps(description, sort_keys=True).encode()})


def read_mel_description(path: Path) -> dict[str, Any]:
    """Read from a mel.parquet how its spectrograms were made."""
    metadata = pq.read_schema(require(path)).metadata or {}
    if _MEL_KEY not in metadata:
        raise GenreproError(f"{path} was not written by the render stage: it does not say how it was made.")
    return json.loads(metadata[_MEL_KEY])


def read(path: Path, schema: pa.Schema, *, columns: list[str] | None = None) -> pa.Table:
    """Read a table and check its columns against ``schema``."""
    present = pq.read_schema(require(path)).names
    missing = [name for name in (columns or schema.names) if name not in present]
    if missing:
        raise GenreproError(f"{path} lacks the column {missing[0]}: delete it and run `dvc repro`.")
    return pq.read_table(path, columns=columns)


def read_mels(path: Path) -> Iterator[dict]:
    """Yield the rows of mel.parquet, with one row group in memory at a time."""
    with pq.ParquetFile(require(path)) as file:
        for batch in file.iter_batches(batch_size=64):
            yield from batch.to_pylist()


def pack_mel(mel: np.ndarray) -> bytes:
    """Little-endian float16 in C order, the layout of mel.parquet."""
    return mel.astype("<f2").tobytes()


def unpack_mel(data: bytes, *, num_mels: int) -> np.ndarray:
    """The inverse of `pack_mel`: [shape=(num_frames, num_mels), dtype=float16]."""
    return np.frombuffer(data, dtype="<f2").reshape(-1, num_mels)


def read_split(path: Path) -> pd.DataFrame:
    """split.csv as a table."""
    return _read_csv(path, dtype={"track_id": "str", "split": "str", "reason": "str", "segment": "Int64"})


def read_predictions(path: Path) -> pd.DataFrame:
    """metrics/predictions.csv as a table: its first columns are text, the probabilities are numbers."""
    return _read_csv(path, dtype=dict.fromkeys(PREDICTION_KEYS, "str"))


def _read_csv(path: Path, *, dtype: dict[str, str]) -> pd.DataFrame:
    """Read text as it stands. By default pandas reads ``NA`` as missing and ``1970`` as a number."""
    empty = {"reason": [""], "segment": [""]}
    return pd.read_csv(require(path), dtype=dtype, keep_default_na=False, na_values=empty)
