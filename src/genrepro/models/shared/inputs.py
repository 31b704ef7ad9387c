"""Read and write the features folder, which stage features fills.

All tracks are concatenated in one array ``[total_frames, num_bands]``, and a table says where each begins. A
batch of segments is then one gather of rows, and clips of any length need no padding. The embeddings of a
frozen body are stored in the same way, one row for each segment.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.base.files import read_json, replacing, require, sha256, write_json, write_parquet

INDEX = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("genre", pa.string(), nullable=False),
        pa.field("first_frame", pa.int64(), nullable=False),  # row in frames.npy
        pa.field("num_frames", pa.int32(), nullable=False),
    ]
)

EMBEDDED = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("genre", pa.string(), nullable=False),
        pa.field("segment", pa.int64()),  # piece of the track, if the split deals out pieces
        pa.field("role", pa.string(), nullable=False),  # grid | vote, a segment with both roles has two rows
        pa.field("first_frame", pa.int64(), nullable=False),  # row in frames.npy
        pa.field("num_frames", pa.int32(), nullable=False),  # 1
    ]
)


@dataclass(frozen=True, kw_only=True)
class Features:
    """A features folder in memory."""

    frames: np.ndarray
    """[shape=(total_frames, num_bands), dtype=float16], normalised. With a frozen body,
    embeddings [shape=(total_segments, embedding_size), dtype=float32]."""
    index: pd.DataFrame
    """Columns of `INDEX`, or of `EMBEDDED` for embeddings, sorted by track_id."""
    description: dict[str, Any]
    """genres (label order), mel, segments, pooling, frame_rate [Hz], num_bands, mean, std, sha256.
    Embeddings also have ``body``."""

    @property
    def genres(self) -> list[str]:
        return self.description["genres"]

    @property
    def embedded(self) -> bool:
        """Whether the frames are embeddings of a frozen body, one for each segment."""
        return "body" in self.description


def save(packed: Features, folder: Path, schema: pa.Schema = INDEX) -> None:
    """Write a features folder: ``frames.npy``, ``index.parquet``, ``features.json``.

    It is renamed into place when it is complete.
    """
    with replacing(folder) as partial:
        partial.mkdir()
        np.save(partial / "frames.npy", packed.frames)
        write_parquet(
            partial / "index.parquet",
            [pa.Table.from_pandas(packed.index, schema=schema, preserve_index=False)],
            schema,
        )
        description = {**packed.description, "sha256": sha256(partial / "frames.npy")}
        write_json(partial / "features.json", description)


def load(folder: Path) -> Features:
    """Read a features folder."""
    require(folder)
    return Features(
        frames=np.load(folder / "frames.npy"),
        index=pd.read_parquet(folder / "index.parquet"),
        description=read_json(folder / "features.json"),
    )
