"""Tiny inputs that several tests build."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.base import files, params, tables
from genrepro.features import packing
from genrepro.models.shared import inputs

ROOT = Path(__file__).resolve().parents[2]
GENRES = ["blues", "jazz", "rock"]


def make_params(**overrides: Any) -> params.Params:
    """params.yaml with overrides: ``make_params(seed=1, train={"epochs": 2})``."""
    config = params.load(ROOT / "params.yaml")
    return dataclasses.replace(
        config,
        **{
            key: dataclasses.replace(getattr(config, key), **value) if isinstance(value, dict) else value
            for key, value in overrides.items()
        },
    )


def make_mel_params(**overrides: Any) -> params.Mel:
    """A transform that is quick and fits clips of a second."""
    small = {"sample_rate": 8000, "n_fft": 512, "hop_length": 128, "n_mels": 16, "fmin": 0.0, "fmax": 4000.0}
    return make_params(mel={**small, "top_db": 80.0, **overrides}).mel


def make_music(*, duration: float, sample_rate: int, seed: int = 0, num_channels: int = 1) -> np.ndarray:
    """A chord over noise, float32, of one channel [shape=(num_samples,)] or more [shape=(num_samples, n)]."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration * sample_rate)) / sample_rate
    pitches = rng.uniform(100, 1500, (4, num_channels))
    chord = np.sin(2 * np.pi * time[:, None, None] * pitches).sum(axis=1)
    sound = 0.1 * chord + 0.02 * rng.standard_normal((len(time), num_channels))
    return np.squeeze(sound, axis=1).astype(np.float32) if num_channels == 1 else sound.astype(np.float32)


def make_catalog(rows: list[dict[str, Any]]) -> pa.Table:
    """A catalog whose rows say only what matters; the other columns are null."""
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in tables.CATALOG.names} for row in rows], schema=tables.CATALOG
    )


def write_mels(
    path: Path, spectrograms: Mapping[str, np.ndarray | None], *, frame_rate: float = 10.0
) -> Path:
    """A mel.parquet of ``[shape=(num_frames, num_mels)]`` arrays by track; None is a faulty track."""
    described = tables.with_mel_description({"kind": "log_mel", "frame_rate": frame_rate, "top_db": 80.0})
    rows = [
        {
            "track_id": track_id,
            "mel": None if spectrogram is None else tables.pack_mel(spectrogram),
            "num_frames": 0 if spectrogram is None else len(spectrogram),
            "num_mels": 0 if spectrogram is None else spectrogram.shape[1],
            "fault": "undecodable: for the test" if spectrogram is None else None,
        }
        for track_id, spectrogram in sorted(spectrograms.items())
    ]
    files.write_parquet(path, [pa.Table.from_pylist(rows, schema=described)], described)
    return path


def make_split(sides: Mapping[str, str]) -> pd.DataFrame:
    """split.csv as a table, from side by track."""
    return pd.DataFrame(
        [{"track_id": track_id, "split": side, "reason": None} for track_id, side in sorted(sides.items())]
    )


@dataclasses.dataclass(frozen=True)
class Toy:
    """Three genres that one look tells apart: each is loud in bands of its own."""

    features: inputs.Features
    split: pd.DataFrame


def make_toy(
    folder: Path,
    *,
    tracks_per_genre: int = 8,
    num_frames: int = 40,
    duration: float = 2.0,
    num_mels: int = 9,
    **segments: Any,
) -> Toy:
    """A features folder of the toy genres at 10 Hz, and its split: half train, a quarter each of the rest."""
    rng = np.random.default_rng(0)
    spectrograms, genre, sides = {}, {}, {}
    for position, name in enumerate(GENRES):
        for number in range(tracks_per_genre):
            track_id = f"{name}.{number:05d}"
            spectrogram = rng.normal(-60, 3, (num_frames, num_mels))
            spectrogram[:, position::3] += 30
            spectrograms[track_id], genre[track_id] = spectrogram, name
            sides[track_id] = ("train", "validation", "train", "test")[number % 4]
    split = make_split(sides)
    packed = packing.pack(
        write_mels(folder / "mel.parquet", spectrograms),
        genre=pd.Series(genre),
        split=split,
        params=make_params(
            segments={
                "duration": duration,
                "vote_duration": duration,
                "num_segments": 3,
                "max_frame_rate": 10.0,
                "max_mels": num_mels,
                **segments,
            }
        ).segments,
    )
    inputs.save(packed, folder / "features")
    return Toy(features=inputs.load(folder / "features"), split=split)


def make_inputs(**overrides: Any) -> dict[str, Any]:
    """What features.json says of the segments that a model reads: 32 bands at 10 Hz, 5 s, in decibels."""
    return {
        "mel": {"kind": "log_mel", "top_db": 80.0},
        "segments": {
            "representation": "log_mel",
            "duration": 5.0,
            "num_grid_segments": 1,
            "vote_duration": 5.0,
            "num_segments": 1,
            "voting": "mean",
        },
        "pooling": {"frames": 1, "bands": 1},
        "frame_rate": 10.0,
        "num_bands": 32,
        "mean": -45.0,
        "std": 18.0,
        **overrides,
    }


def alone(split: pd.DataFrame) -> pd.Series:
    """Each track of a split as a group of its own, by track_id."""
    ids = split["track_id"].unique()
    return pd.Series(ids, index=ids)
