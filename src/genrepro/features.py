"""What the trainable part of a model reads: spectrograms at its resolution, normalised, packed end to end.

All tracks lie in one array ``[total_frames, num_bands]``; a table says where each begins. A crop of any
track is then a gather of consecutive rows, for a whole batch at once, and clips of any length need no
padding.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.files import read_json, replacing, require, sha256, write_json, write_parquet
from genrepro.params import Segments
from genrepro.schema import read_mel_description, read_mels

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
    """[shape=(total_frames, num_bands), dtype=float16], normalised."""
    index: pd.DataFrame
    """Columns of `INDEX`, sorted by track_id."""
    description: dict[str, Any]
    """genres (label order), mel, segments, pooling, frame_rate [Hz], num_bands, mean, std, sha256."""

    @property
    def genres(self) -> list[str]:
        return self.description["genres"]


@dataclass(frozen=True, kw_only=True)
class Spans:
    """The stretches of one side of a split: whole tracks, or pieces of tracks."""

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


def build(
    mel_path: Path, *, genre: pd.Series, split: pd.DataFrame, params: Segments, folder: Path
) -> dict[str, Any]:
    """Write a features folder: ``frames.npy``, ``index.parquet``, ``features.json``.

    Parameters
    ----------
    mel_path : Path
        mel.parquet; excluded tracks and tracks without frames are left out.
    genre : Series
        Genre by track_id.
    split : DataFrame
        split.csv; normalised with the mean and deviation of its *training* frames only.
    params : Segments
        Resolution.
    folder : Path
        Appears complete, by renaming, or not at all.

    Returns
    -------
    dict
        The description that is also in ``features.json``.
    """
    mel = read_mel_description(mel_path)
    pool_time = max(1, int(np.ceil(mel["frame_rate"] / params.max_frame_rate - 1e-9)))
    used = set(split.loc[split["split"] != "excluded", "track_id"])
    tracks: list[tuple[str, np.ndarray]] = []
    pool_mels = 1
    for row in read_mels(mel_path):
        if row["track_id"] in used and row["num_frames"]:
            spectrogram = np.frombuffer(row["mel"], "<f2").reshape(row["num_frames"], row["num_mels"])
            pool_mels = max(1, -(-row["num_mels"] // params.max_mels))
            tracks.append((row["track_id"], pool(spectrogram, frames=pool_time, bands=pool_mels)))
    assert len(tracks) == len(used), "the audit excludes every track without frames"

    lengths = np.array([len(track) for _, track in tracks])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    index = pd.DataFrame(
        {
            "track_id": [track_id for track_id, _ in tracks],
            "genre": [genre[track_id] for track_id, _ in tracks],
            "first_frame": first,
            "num_frames": lengths,
        }
    )
    frames = np.concatenate([track for _, track in tracks])
    genres = sorted(genre.unique())
    training = spans(index, split, side="train", genres=genres)
    mean, std = _statistics(frames, training)
    description = {
        "genres": genres,
        "mel": mel,
        "segments": {
            "duration": params.duration,
            "vote_duration": params.vote_duration,
            "num_segments": params.num_segments,
        },
        "pooling": {"frames": pool_time, "bands": pool_mels},
        "frame_rate": mel["frame_rate"] / pool_time,  # Hz
        "num_bands": frames.shape[1],
        "mean": round(mean, 4),  # dB
        "std": round(std, 4),
    }
    with replacing(folder) as partial:
        partial.mkdir()
        frames = normalise(frames, description)
        np.save(partial / "frames.npy", frames.astype(np.float16))
        write_parquet(
            partial / "index.parquet",
            [pa.Table.from_pandas(index, schema=INDEX, preserve_index=False)],
            INDEX,
        )
        description["sha256"] = sha256(partial / "frames.npy")
        write_json(partial / "features.json", description)
    return description


def load(folder: Path) -> Features:
    """Read a features folder."""
    require(folder)
    return Features(
        frames=np.load(folder / "frames.npy"),
        index=pd.read_parquet(folder / "index.parquet"),
        description=read_json(folder / "features.json"),
    )


def pool(spectrogram: np.ndarray, *, frames: int, bands: int) -> np.ndarray:
    """Average whole groups of frames and of bands; what is left over at the end is cut off.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels)]
    frames, bands : int
        Group sizes. A clip shorter than one group of frames is averaged as a whole.

    Returns
    -------
    np.ndarray [shape=(max(1, num_frames // frames), num_mels // bands), dtype=float32]
    """
    frames = min(frames, len(spectrogram))
    num_frames, num_bands = len(spectrogram) // frames, spectrogram.shape[1] // bands
    whole = spectrogram[: num_frames * frames, : num_bands * bands].astype(np.float32)
    return whole.reshape(num_frames, frames, num_bands, bands).mean(axis=(1, 3))


def normalise(frames: np.ndarray, description: dict[str, Any]) -> np.ndarray:
    """Subtract the training mean and divide by the training deviation, one of each for all bands.

    Band by band would take away what distinguishes a bass-heavy genre from a bright one.
    """
    return (frames - np.float32(description["mean"])) / np.float32(description["std"])


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


def read_split(path: Path) -> pd.DataFrame:
    """split.csv as a table."""
    return pd.read_csv(
        require(path), dtype={"track_id": "str", "split": "str", "reason": "str", "segment": "Int64"}
    )


def _statistics(frames: np.ndarray, training: Spans) -> tuple[float, float]:
    """Mean and standard deviation over the training spans, summed in float64."""
    total, squares, count = 0.0, 0.0, 0
    for first, length in zip(training.first_frame, training.num_frames, strict=True):
        part = frames[first : first + length].astype(np.float64)
        total += float(part.sum())
        squares += float((part * part).sum())
        count += part.size
    mean = total / count
    return mean, max(squares / count - mean**2, 1e-6) ** 0.5
