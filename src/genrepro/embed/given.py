"""Read embeddings that others made: Parquet or npz, a row for each track or for each segment of it.

``track_id`` names the track as the catalog does, ``segment`` numbers its segments, if there are several. The
vectors are ``layer_0``, ``layer_1``, ..., or one column of any other name. In an npz file they are arrays: of
vectors [shape=(num_rows, size)] or of all layers [shape=(num_rows, num_layers, size)].
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base import places
from genrepro.base.errors import GenreproError

KEY = "pretrained.embeddings"
_ABOUT = ("track_id", "segment")


def locate(source: str) -> Path:
    """The file, as `places.find` sees it, or in ``embeddings/`` below the folder ``$GENREPRO_DATA``."""
    named = [places.find(source)]
    if data := os.environ.get("GENREPRO_DATA"):
        named.append(places.find(data) / "embeddings" / source)
    for path in named:
        if path.is_file():
            return path
    raise GenreproError(f"{KEY} = {source!r} is not a file: name a .parquet or .npz of embeddings.")


def read(path: Path) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The rows of a file.

    Returns
    -------
    DataFrame
        ``track_id`` and ``segment``, sorted.
    list of np.ndarray [shape=(num_rows, size), dtype=float32]
        One for each layer, in the same order.

    Raises
    ------
    GenreproError
        If the file cannot be read, has no vectors, or has a row twice.
    """
    try:
        columns = _npz(path) if path.suffix == ".npz" else _parquet(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise GenreproError(f"{KEY}: {path} cannot be read as a table of embeddings ({reason}).") from error
    if "track_id" not in columns:
        raise GenreproError(f"{KEY}: {path} has no column track_id; it has {', '.join(columns)}.")
    names = _vectors(columns, path)
    track_id = columns["track_id"].astype(str)
    segment = columns.get("segment", np.zeros(len(track_id)))
    index = pd.DataFrame({"track_id": track_id, "segment": np.asarray(segment).astype(np.int64)})
    if index.duplicated().any():
        twice = index[index.duplicated()].iloc[0]
        raise GenreproError(f"{KEY}: {path} has segment {twice['segment']} of {twice['track_id']} twice.")
    order = index.sort_values(["track_id", "segment"], kind="stable").index.to_numpy()
    layers: list[np.ndarray] = []
    for name in names:
        values = np.asarray(columns[name], np.float32)[order]
        layers += list(values.swapaxes(0, 1)) if values.ndim == 3 else [values]
    if bad := sum(int((~np.isfinite(layer)).any(axis=1).sum()) for layer in layers):
        raise GenreproError(
            f"{KEY}: {path} has {bad} vectors with numbers that are not finite: leave them out."
        )
    return index.loc[order].reset_index(drop=True), layers


def _vectors(columns: dict[str, Any], path: Path) -> list[str]:
    """Names of the columns of vectors: the layers, or the only other column."""
    layers = [name for name in columns if name.startswith("layer_") and name.removeprefix("layer_").isdigit()]
    if layers:
        return sorted(layers, key=lambda name: int(name.removeprefix("layer_")))
    others = [name for name, values in columns.items() if name not in _ABOUT and values.ndim > 1]
    if len(others) != 1:
        raise GenreproError(
            f"{KEY}: {path} must have columns layer_0, layer_1, ... or one column of vectors; it has "
            f"{', '.join(columns)}."
        )
    return others


def _parquet(path: Path) -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    found = {}
    for name in table.column_names:
        values = table[name].to_pandas().to_numpy()
        if len(values) and isinstance(values[0], np.ndarray):
            values = np.stack(values)  # ValueError if they differ in length
        found[name] = values
    return found


def _npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
