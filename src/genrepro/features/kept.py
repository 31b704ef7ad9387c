"""Choose one layer of kept embeddings as the features of a head."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.models.shared import layers
from genrepro.models.shared.inputs import Features

WHOLE = 3600.0  # s; no track is longer, so a segment of this length is the whole track
ALIKE = 0.9  # mean cosine above which a body says nearly the same of every track


def choose(path: Path, *, genre: pd.Series, split: pd.DataFrame, config: Params) -> Features:
    """The embeddings of every segment of the split's tracks, as the stage train reads them.

    Parameters
    ----------
    path : Path
        embeddings.parquet.
    genre : Series
        Genre by track_id.
    split : DataFrame
        split.csv
    config : Params
        ``pretrained`` names layer and pooling; ``segments`` says how a track's segments train and vote.

    Returns
    -------
    Features
        Each segment is a row of both roles, `grid` and `vote`.

    Raises
    ------
    GenreproError
        If the file holds no embeddings, no such layer, or none of a side of the split.
    """
    section = config.pretrained
    about = layers.describe(path)
    if about["kind"] == "none":
        raise GenreproError(f"{path} holds no embeddings: run `dvc repro`, which runs bodies/dvc.yaml first.")
    if "segment" in split:
        raise GenreproError(
            "split.strategy = segment deals out pieces of a track, and embeddings are of its segments: "
            "choose another strategy."
        )
    index, vectors = layers.read(path, layer=section.layer, pooling=section.pooling)
    if section.per == "track":
        index, vectors = layers.by_track(index, vectors)
    used = set(split.loc[split["split"] != "excluded", "track_id"])
    kept = index["track_id"].isin(used).to_numpy()
    index, vectors = index[kept].reset_index(drop=True), vectors[kept]
    _say(index, split)
    table = pd.DataFrame(
        {
            "track_id": index["track_id"],
            "genre": genre.loc[index["track_id"]].to_numpy(),
            "segment": pd.array([None] * len(index), dtype="Int64"),
            "first_frame": np.arange(len(index)),
            "num_frames": 1,
        }
    )
    both = pd.concat([table.assign(role=role) for role in ("grid", "vote")], ignore_index=True)
    order = ["track_id", "segment", "role", "first_frame"]
    description = {
        "genres": sorted(genre.unique()),
        **_inputs(about, config),
        "num_bands": vectors.shape[1],
        "mean": 0.0,
        "std": 1.0,
        "body": {
            "embedding_size": vectors.shape[1],
            "num_layers": about["num_layers"],
            "num_parameters": about["num_parameters"],
            "sha256": about["sha256"],
            "kind": about["kind"],
        },
    }
    return Features(frames=vectors, index=both.sort_values(order, ignore_index=True), description=description)


def _inputs(about: Mapping[str, Any], config: Params) -> dict[str, Any]:
    """What a prediction needs to know of the body's input, as `packing.pack` describes it."""
    length = about.get("segment") or WHOLE
    how = {
        "representation": "log_mel",
        "n_mfcc": config.segments.n_mfcc,
        "plan": config.segments.plan,
        "duration": length,
        "num_grid_segments": config.segments.num_grid_segments,
        "vote_duration": length,
        "num_segments": config.segments.num_segments,
        "voting": config.segments.voting,
    }
    mel = about.get("mel") or {"kind": about["kind"], "frame_rate": 1.0}
    return {
        "mel": mel,
        "segments": how,
        "pooling": {"frames": 1, "bands": 1},
        "frame_rate": mel["frame_rate"],
    }


def _say(index: pd.DataFrame, split: pd.DataFrame) -> None:
    """Count the tracks of each side without embeddings, and end if a side has none with them."""
    there = set(index["track_id"])
    for side in ("train", "validation", "test"):
        wanted = set(split.loc[split["split"] == side, "track_id"])
        if missing := len(wanted - there):
            print(f"{missing} of {len(wanted)} {side} tracks have no embeddings and are left out")
        if not wanted & there:
            raise GenreproError(f"features: none of the {len(wanted)} {side} tracks has embeddings.")


def spread(vectors: np.ndarray) -> dict[str, float]:
    """Whether a body tells tracks apart.

    Parameters
    ----------
    vectors : np.ndarray [shape=(num_tracks, size)]

    Returns
    -------
    dict
        ``mean_cosine``: between two different tracks, on average. Above `ALIKE` the body has collapsed.
        ``effective_rank``: the exponential of the entropy of the singular values' shares (Roy and Vetterli,
        EUSIPCO 2007), of the centred embeddings. At most the smaller of tracks and size.
    """
    wide = vectors.astype(np.float64)
    units = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    number = len(units)
    total = float(np.square(units.sum(0)).sum() - np.square(units).sum())
    singular = np.linalg.svd(wide - wide.mean(0), compute_uv=False)
    share = singular / max(singular.sum(), 1e-12)
    share = share[share > 0]
    rank = float(np.exp(-(share * np.log(share)).sum())) if len(share) else 1.0
    return {"mean_cosine": total / max(1, number * (number - 1)), "effective_rank": rank}
