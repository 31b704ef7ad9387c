"""Find the segments of a split in the features folder: whole tracks, pieces, or fixed segments."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genrepro.models.shared.inputs import Features


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The spans of one side of a split: whole tracks, pieces of tracks, or segments."""

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


def segment_frames(description: dict[str, Any], key: str = "duration") -> int:
    """Number of frames in a segment of training (``duration``) or of the vote (``vote_duration``)."""
    return max(1, round(description["segments"][key] * description["frame_rate"]))


def spans(index: pd.DataFrame, split: pd.DataFrame, *, side: str, genres: list[str]) -> Spans:
    """The spans of ``side``, in the order of split.csv.

    If the split has a column ``segment``, tracks are cut into equal pieces and each row is one of them.
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
    """Cut every span into evenly spaced segments, which overlap if it is short.

    Parameters
    ----------
    whole : Spans
    segment_frames : int
        Length of a segment. A shorter span is one segment.
    num_segments : int
        Number of segments of each span. A span that is too short for so many different ones has fewer.
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
        Spectrograms, or the embeddings of these segments.
    split : DataFrame
    side : str
    role : str
        ``vote``: the segments that vote on a track. ``grid``: segments as long as those of training.
    """
    if packed.embedded:
        index = packed.index[packed.index["role"] == role].drop(columns="role")
        on = ["track_id", "segment"] if "segment" in split else ["track_id"]
        side_of = split["split"].mask(
            split["track_id"].isin(packed.description.get("borrowed", ())), "validation"
        )
        chosen = split.loc[side_of == side, on].merge(index, on=on)
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


def borrowed(split: pd.DataFrame, there: Collection[str], *, genre: pd.Series, artist: pd.Series) -> set[str]:
    """Training tracks that serve as validation where no validation track is there: a fifth, by whole artists.

    Embeddings that others share are often of the training and test tracks of a benchmark alone.

    Parameters
    ----------
    split : DataFrame
        split.csv
    there : collection of str
        The tracks that have embeddings.
    genre, artist : Series
        By track_id. A track without artist is a group of its own.

    Returns
    -------
    set of str
        Their ids. Empty if a validation track is there.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    kept = split[split["track_id"].isin(there)]
    training = np.sort(kept.loc[kept["split"] == "train", "track_id"].to_numpy(str))
    if (kept["split"] == "validation").any() or len(training) < 10:
        return set()
    names = artist.loc[training].to_numpy()
    group = [
        track if pd.isna(name) else f"artist {name}" for track, name in zip(training, names, strict=True)
    ]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    _, held = next(folds.split(training, genre.loc[training].to_numpy(), group))
    return set(training[held].tolist())


def cut(whole: Spans, description: dict[str, Any], *, role: str) -> Spans:
    """Cut spans of spectrograms into ``grid`` or ``vote`` segments, as features.json or model.json asks."""
    length, number = (
        ("vote_duration", "num_segments") if role == "vote" else ("duration", "num_grid_segments")
    )
    return even(
        whole,
        segment_frames=segment_frames(description, length),
        num_segments=description["segments"][number],
    )


def windows(num_frames: int, window_frames: int) -> tuple[np.ndarray, int]:
    """Windows of one length, evenly from a file's first frame to its last.

    They lie side by side, and overlap a little where the file's length is not a multiple of theirs. A rest of
    less than a tenth of a window adds none: clips of "30 s" last from 29.9 s to 30.7 s.

    Returns
    -------
    np.ndarray [shape=(num_windows,), dtype=int64]
        First frame of each.
    int
        Frames in each window: fewer than ``window_frames`` if the file has fewer.
    """
    width = min(window_frames, num_frames)
    num_windows = max(1, math.ceil(num_frames / width - 0.1))
    return np.rint(np.linspace(0, num_frames - width, num_windows)).astype(np.int64), width
