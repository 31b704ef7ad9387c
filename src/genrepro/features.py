"""The features folder, and where in it the segments of a split lie; `packing` and `embeddings` fill it.

All tracks lie end to end in one array ``[total_frames, num_bands]``; a table says where each begins. A crop
of any track is then a gather of consecutive rows, for a whole batch at once, and clips of any length need no
padding. The embeddings of a frozen body (`embeddings`) are kept the same way, one row a segment.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.files import read_json, replacing, require, sha256, write_json, write_parquet

INDEX = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("genre", pa.string(), nullable=False),
        pa.field("first_frame", pa.int64(), nullable=False),  # row in frames.npy
        pa.field("num_frames", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Features:
    """A features folder in memory."""

    frames: np.ndarray
    """[shape=(total_frames, num_bands), dtype=float16], normalised; of a frozen body, its embeddings
    [shape=(total_segments, embedding_size), dtype=float32]."""
    index: pd.DataFrame
    """Columns of `INDEX`, sorted by track_id; of embeddings, those of `embeddings.INDEX`."""
    description: dict[str, Any]
    """genres (label order), mel, segments, pooling, frame_rate [Hz], num_bands, mean, std, sha256; with
    embeddings also ``body``."""

    @property
    def genres(self) -> list[str]:
        return self.description["genres"]

    @property
    def embedded(self) -> bool:
        """Whether the frames are embeddings of a frozen body, one a segment."""
        return "body" in self.description


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The stretches of one side of a split: whole tracks, pieces of tracks, or segments."""

    first_frame: np.ndarray
    """[shape=(num_spans,), dtype=int64] Row in `Features.frames`."""
    num_frames: np.ndarray
    """[shape=(num_spans,), dtype=int64]"""
    label: np.ndarray
    """[shape=(num_spans,), dtype=int64] Position in the label order."""
    track: np.ndarray
    """[shape=(num_spans,), dtype=int64] Position in ``track_ids``."""
    track_ids: list[str]
    """Sorted, unique."""


def save(packed: Features, folder: Path, schema: pa.Schema = INDEX) -> None:
    """Write a features folder: ``frames.npy``, ``index.parquet``, ``features.json``.

    It appears complete, by renaming, or not at all.
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


def segment_frames(description: dict[str, Any], key: str = "duration") -> int:
    """Frames in a segment of training (``duration``) or of the vote (``vote_duration``)."""
    return max(1, round(description["segments"][key] * description["frame_rate"]))


def spans(index: pd.DataFrame, split: pd.DataFrame, *, side: str, genres: list[str]) -> Spans:
    """The stretches of ``side``, in the order of split.csv.

    With a ``segment`` column each row is that piece of its track, of as many equal pieces as the split has.
    """
    chosen = split[split["split"] == side].merge(index, on="track_id", validate="many_to_one")
    first = chosen["first_frame"].to_numpy(np.int64)
    length = chosen["num_frames"].to_numpy(np.int64)
    if "segment" in split:
        piece, pieces = chosen["segment"].to_numpy(np.int64), int(split["segment"].max()) + 1
        begin, end = length * piece // pieces, length * (piece + 1) // pieces
        first, length = first + begin, np.maximum(end - begin, 1)
    track_ids, track = np.unique(chosen["track_id"].to_numpy(str), return_inverse=True)
    label = pd.Categorical(chosen["genre"], categories=genres).codes.astype(np.int64)
    return Spans(first_frame=first, num_frames=length, label=label, track=track, track_ids=track_ids.tolist())


def even(whole: Spans, *, segment_frames: int, num_segments: int) -> Spans:
    """Evenly spaced segments of every span, overlapping where they must; each becomes a span.

    Parameters
    ----------
    whole : Spans
    segment_frames : int
        Length of a segment; a span shorter than it is taken whole, as it is.
    num_segments : int
        Of each span; one with no room for so many different ones gives fewer.
    """
    width = np.minimum(whole.num_frames, segment_frames)
    starts = [
        np.unique(np.rint(np.linspace(0, room, num_segments)).astype(np.int64))
        for room in whole.num_frames - width
    ]
    of = np.repeat(np.arange(len(starts)), [len(start) for start in starts])
    return Spans(
        first_frame=whole.first_frame[of] + np.concatenate(starts),
        num_frames=width[of],
        label=whole.label[of],
        track=whole.track[of],
        track_ids=whole.track_ids,
    )


def fixed_spans(packed: Features, split: pd.DataFrame, *, side: str, role: str) -> Spans:
    """The fixed segments of one side of the split.

    Parameters
    ----------
    packed : Features
        Spectrograms, or embeddings that were made of these very segments.
    split : DataFrame
    side : str
    role : str
        ``vote``: those that vote on a track; ``grid``: as long as those of training.
    """
    if packed.embedded:
        index = packed.index[packed.index["role"] == role].drop(columns="role")
        on = ["track_id", "segment"] if "segment" in split else ["track_id"]
        chosen = split.loc[split["split"] == side, on].merge(index, on=on)
        track_ids, track = np.unique(chosen["track_id"].to_numpy(str), return_inverse=True)
        return Spans(
            first_frame=chosen["first_frame"].to_numpy(np.int64),
            num_frames=np.ones(len(chosen), np.int64),
            label=pd.Categorical(chosen["genre"], categories=packed.genres).codes.astype(np.int64),
            track=track,
            track_ids=track_ids.tolist(),
        )
    whole = spans(packed.index, split, side=side, genres=packed.genres)
    return cut(whole, packed.description, role=role)


def cut(whole: Spans, description: dict[str, Any], *, role: str) -> Spans:
    """The ``grid`` or ``vote`` segments of spans of spectrograms, as features.json or model.json says."""
    length, number = (
        ("vote_duration", "num_segments") if role == "vote" else ("duration", "num_grid_segments")
    )
    return even(
        whole,
        segment_frames=segment_frames(description, length),
        num_segments=description["segments"][number],
    )


def read_split(path: Path) -> pd.DataFrame:
    """split.csv as a table."""
    return pd.read_csv(
        require(path), dtype={"track_id": "str", "split": "str", "reason": "str", "segment": "Int64"}
    )
