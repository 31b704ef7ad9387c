"""embeddings.parquet: what a body says of every segment, in all its layers.

Columns: ``track_id``, ``segment`` (from 0 in each track), and a vector for each layer: ``layer_0`` is the
input of the first block, the last one the body's output. A vector has *parts* of equal size one after the
other, such as the mean over time and the deviation. The file's metadata names them, and says which body it
was. So another layer or another pooling reads another column, and embeds nothing again. Others' embeddings
come in the same columns (`genrepro.embed.given`).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from genrepro.base.errors import GenreproError
from genrepro.base.files import require, write_parquet

_KEY = b"genrepro.embeddings"
# The parts that each value of `pretrained.pooling` puts together.
POOLING = {"mean": ("mean",), "mean_std": ("mean", "std"), "cls": ("cls",), "cls_mean": ("cls", "mean")}
NONE: dict[str, Any] = {"kind": "none"}
"""The description of a file without embeddings: the model is not `pretrained`, or its body is tuned."""

Rows = tuple[Sequence[str], Sequence[int], Sequence[np.ndarray]]
"""Track and number of each segment, and an array [shape=(num_segments, size)] for each layer."""


def write(
    path: Path, batches: Iterable[Rows], *, sizes: Sequence[int], dtype: Any, description: dict[str, Any]
) -> None:
    """Stream batches of segments into one file.

    Parameters
    ----------
    path : Path
    batches : iterable of Rows
        Sorted by track and segment.
    sizes : sequence of int
        Length of the vector of each layer.
    dtype : numpy dtype
        float16, or float32 for a body whose values float16 cannot hold.
    description : dict
        ``kind`` (audio, picture or given), ``parts`` and what else describes the body.
    """
    number = pa.from_numpy_dtype(np.dtype(dtype))
    schema = pa.schema(
        [
            pa.field("track_id", pa.string(), nullable=False),
            pa.field("segment", pa.int32(), nullable=False),
            *(
                pa.field(f"layer_{index}", pa.list_(number, size), nullable=False)
                for index, size in enumerate(sizes)
            ),
        ],
        metadata={_KEY: json.dumps(description, sort_keys=True).encode()},
    )

    def tables() -> Iterator[pa.Table]:
        for track_id, segment, layers in batches:
            columns = [
                pa.FixedSizeListArray.from_arrays(pa.array(layer.astype(dtype).ravel()), layer.shape[1])
                for layer in layers
            ]
            yield pa.table([pa.array(track_id), pa.array(segment, pa.int32()), *columns], schema=schema)

    write_parquet(path, tables(), schema)


def describe(path: Path) -> dict[str, Any]:
    """What a file's metadata say, ``num_layers``, and ``num_sizes``: how many sizes these have."""
    schema = pq.read_schema(require(path))
    metadata = schema.metadata or {}
    if _KEY not in metadata:
        raise GenreproError(f"{path} was not written by the stage embed: delete it and run `dvc repro`.")
    names = _layers(schema.names)
    sizes = {schema.field(name).type.list_size for name in names}
    return {**json.loads(metadata[_KEY]), "num_layers": len(names), "num_sizes": len(sizes)}


def read(path: Path, *, layer: int | str, pooling: str) -> tuple[pd.DataFrame, np.ndarray]:
    """One embedding for each segment.

    Parameters
    ----------
    path : Path
    layer : int or str
        A number, ``last``, ``mean`` of all, ``all`` side by side, or ``weighted``: the same, but it
        needs layers of one size.
    pooling : str
        A key of `POOLING`.

    Returns
    -------
    DataFrame
        ``track_id`` and ``segment``, sorted.
    np.ndarray [shape=(num_segments, size), dtype=float32]

    Raises
    ------
    GenreproError
        If the body has no such layer or part, or layers of different sizes are to be mixed.
    """
    description = describe(path)
    names = _layers(pq.read_schema(path).names)
    if isinstance(layer, int) and layer >= len(names):
        raise GenreproError(
            f"pretrained.layer = {layer}, but the body has layers 0 to {len(names) - 1}: choose one of them."
        )
    parts = description["parts"]
    if missing := [part for part in POOLING[pooling] if part not in parts]:
        raise GenreproError(
            f"pretrained.pooling = {pooling}, but these embeddings have no {missing[0]}: choose "
            f"{' or '.join(key for key, wanted in POOLING.items() if set(wanted) <= set(parts))}."
        )
    chosen = {"last": names[-1:], "mean": names, "all": names, "weighted": names}.get(str(layer)) or [
        f"layer_{layer}"
    ]
    table = pq.read_table(path, columns=["track_id", "segment", *chosen])
    found = [_pooled(table[name], parts, POOLING[pooling]) for name in chosen]
    if layer != "all" and len({vectors.shape[1] for vectors in found}) > 1:
        raise GenreproError(
            f"pretrained.layer = {layer}, but the body's layers have different sizes: choose last or a "
            "number."
        )
    index = table.select(["track_id", "segment"]).to_pandas()
    if layer == "mean":
        return index, np.stack(found).mean(axis=0, dtype=np.float32)
    return index, np.concatenate(found, axis=1)


def by_track(index: pd.DataFrame, vectors: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The mean of each track's segments, as segment 0 of it."""
    track_ids, track = np.unique(index["track_id"].to_numpy(str), return_inverse=True)
    total = np.zeros((len(track_ids), vectors.shape[1]), np.float64)
    np.add.at(total, track, vectors)
    mean = (total / np.bincount(track)[:, None]).astype(np.float32)
    return pd.DataFrame({"track_id": track_ids, "segment": 0}), mean


def _layers(names: Sequence[str]) -> list[str]:
    found = [name for name in names if name.startswith("layer_")]
    return sorted(found, key=lambda name: int(name.removeprefix("layer_")))


def _pooled(column: pa.ChunkedArray, parts: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    size = column.type.list_size
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    split = flat.reshape(-1, len(parts), size // len(parts))
    return np.concatenate([split[:, parts.index(part)] for part in wanted], axis=1).astype(np.float32)
