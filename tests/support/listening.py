"""A repository in which `genrepro listen` has everything to show: a model, a data set, predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile
import torch

from genrepro import models
from genrepro.base import files, tables
from genrepro.models.shared import checkpoint
from genrepro.serve.predictor import Predictor
from genrepro.spectrogram import mel
from support.builders import GENRES, ROOT, make_catalog, make_inputs, make_mel_params, make_music

RATE = 8000
MEL = make_mel_params(n_mels=64)
EVIL = "<img src=x onerror=alert(1)>"


def make_repository(folder: Path) -> Path:
    """Twelve clips of six seconds; sides by number; one artist whose name is HTML; a random network."""
    data = folder / "data" / "synthetic"
    rows, mels, sides = [], [], {}
    for seed, (genre, number) in enumerate((genre, number) for genre in GENRES for number in range(4)):
        track_id, path = f"{genre}.{number}", data / "raw" / genre / f"{genre}.{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = melody(seed)
        if track_id == "rock.1":  # a louder copy of a training track
            sound = 0.5 * melody(seed - 1)
        soundfile.write(path, sound, RATE, subtype="PCM_16")
        samples, _ = soundfile.read(path, dtype="float32")
        spectrogram = mel.log_mel(samples, params=MEL)
        mels.append(
            {
                "track_id": track_id,
                "mel": tables.pack_mel(spectrogram),
                "num_frames": len(spectrogram),
                "num_mels": spectrogram.shape[1],
                "fault": None,
            }
        )
        sides[track_id] = ("train", "validation", "test", "train")[number]
        rows.append(
            {
                "track_id": track_id,
                "genre": genre,
                "artist": EVIL if track_id == "blues.2" else f"Artist {number}",
                "title": f"Song {seed}",
                "path": f"{genre}/{genre}.{number}.wav",
                "sha256": files.sha256(path),
            }
        )
    schema = tables.with_mel_description(mel.describe(MEL))
    files.write_parquet(data / "mel.parquet", [pa.Table.from_pylist(mels, schema=schema)], schema)
    files.write_parquet(data / "catalog.parquet", [make_catalog(rows)], tables.CATALOG)
    files.write_csv(
        data / "split.csv", ["track_id", "split", "reason"], [[k, v, None] for k, v in sides.items()]
    )
    (data / "duplicates.csv").write_text("first,second,offset,similarity,overlap\nrock.0,rock.1,0,0.9,6\n")
    torch.manual_seed(0)
    section = {"channels": [4, 8], "dropout": 0.0}
    inputs = make_inputs(mel=mel.describe(MEL), pooling={"frames": 6, "bands": 1}, num_bands=64)
    model = models.build("cnn", section, num_genres=3, inputs=inputs)
    model(torch.randn(8, 1, 64, 20))
    description = checkpoint.describe(
        model="cnn",
        section=section,
        features={**inputs, "genres": GENRES, "sha256": "of features"},
        split_sha256=files.sha256(data / "split.csv"),
    )
    checkpoint.save(folder / "models", model.state_dict(), description)
    predictor = Predictor(folder / "models")
    said = []
    for row in rows:
        if sides[row["track_id"]] == "test":
            probabilities = predictor(data / "raw" / row["path"]).probabilities
            predicted = max(probabilities, key=probabilities.__getitem__)
            said.append([row["track_id"], row["genre"], predicted, row["artist"], *probabilities.values()])
    header = ["track_id", "genre", "predicted", "group", *GENRES]
    files.write_csv(folder / "metrics" / "predictions.csv", header, said)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return folder


def melody(seed: int) -> np.ndarray:
    """Six seconds of chords that change, so that there is something to recognise."""
    chords = [make_music(duration=0.3, sample_rate=RATE, seed=1000 * seed + number) for number in range(20)]
    return np.concatenate(chords)


def wrong(folder: Path) -> list[str]:
    """The test tracks that the model gets wrong."""
    said = pd.read_csv(folder / "metrics" / "predictions.csv")
    return said.loc[said["genre"] != said["predicted"], "track_id"].tolist()


def noise(seconds: float) -> np.ndarray:
    """Quiet noise, which no track holds."""
    return np.random.default_rng(9).normal(0, 0.05, round(seconds * RATE)).astype(np.float32)
