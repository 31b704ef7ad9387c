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
from genrepro.models.shared.segments import borrowed

WHOLE = 3600.0  # s; no track is longer, so a segment of this length is the whole track


def choose(
    path: Path, *, genre: pd.Series, artist: pd.Series, split: pd.DataFrame, config: Params
) -> Features:
    """The embeddings of every segment of the split's tracks, as the stage train reads them.

    Parameters
    ----------
    path : Path
        embeddings.parquet.
    genre, artist : Series
        Genre and artist by track_id.
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
    moved = _say(index, split, borrowed(split, set(index["track_id"]), genre=genre, artist=artist))
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
        **({"borrowed": moved} if moved else {}),
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


def _say(index: pd.DataFrame, split: pd.DataFrame, moved: set[str]) -> list[str]:
    """Count the tracks of each side without embeddings. Return the training tracks that serve as "
    "validation."""
    there = set(index["track_id"])
    for side in ("train", "validation", "test"):
        wanted = set(split.loc[split["split"] == side, "track_id"])
        if missing := len(wanted - there):
            print(f"{missing} of {len(wanted)} {side} tracks have no embeddings and are left out")
        if not wanted & there and not (side == "validation" and moved):
            raise GenreproError(f"features: none of the {len(wanted)} {side} tracks has embeddings.")
    if moved:
        print(f"{len(moved)} training tracks, of artists of their own, serve as validation instead")
    return sorted(moved)
