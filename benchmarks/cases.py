"""The cases of `train.py`: what is trained in turns of how many steps, on which random data.

Sizes on a GPU are those that fill it; on a CPU those that end in minutes.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from genrepro.base import params

if TYPE_CHECKING:
    from genrepro.models.shared.inputs import Features

GPU = torch.cuda.is_available() and os.environ.get("GENREPRO_ACCELERATOR") != "cpu"
PRECISION = "bf16-mixed" if GPU else "32-true"
NUM_GENRES = 10
NUM_TRACKS = 442  # of GTZAN's official training side
NUM_DISTINCT = 64  # tracks; the others repeat these
BANDS, FRAMES = 218, 336  # of the spectrogram in one of Kaggle's pictures of GTZAN
TOP_DB = 80.0


@dataclass(frozen=True, kw_only=True)
class Case:
    model: str
    batch_size: int
    """Samples in a step."""
    steps: int
    """In a turn; with those of an epoch, a turn holds the epoch's end too."""
    rounds: int
    """Turns of each contestant; at least 2, since the first warms up."""
    contestants: tuple[str, ...]
    slow_steps: int = 0
    """In a turn of those that run a body which the others have run before; they take two turns."""

    @property
    def num_tracks(self) -> int:
        """To train on: enough for the steps of a turn."""
        return max(NUM_TRACKS, self.steps * self.batch_size)


FITS = ("fit", "augmented", "bare") if GPU else ("fit", "augmented", "bare", "native")
WHOLE = ("embed", "user")  # run the body of a frozen model
CASES = {
    "cnn": Case(model="cnn", batch_size=32, steps=14, rounds=5, contestants=FITS),  # an epoch, by default
    "ast": Case(
        model="ast",
        batch_size=32 if GPU else 8,
        steps=64 if GPU else 1,
        rounds=4,
        contestants=(*FITS, "user"),
    ),
    "vit_frozen": Case(
        model="vit",
        batch_size=128 if GPU else 100,  # the ViT report's, and its 800 tracks
        steps=16 if GPU else 8,
        rounds=9,
        contestants=(*FITS, "lr", *WHOLE),
        slow_steps=16 if GPU else 1,
    ),
    "vit_tuned": Case(
        model="vit",
        batch_size=128 if GPU else 2,
        steps=16 if GPU else 1,
        rounds=4 if GPU else 2,
        contestants=(*FITS, "user"),
    ),
}


def configuration(name: str) -> params.Params:
    """The committed parameters, with what the case says."""
    case, config = CASES[name], params.load()
    return replace(
        config,
        model=case.model,
        train=replace(config.train, batch_size=case.batch_size, precision=PRECISION),
        vit=replace(config.vit, trainable_blocks=0 if name == "vit_frozen" else "all"),
    )


def data(name: str, config: params.Params) -> "tuple[Features, pd.DataFrame]":
    """Features of random tracks, all to train on but one, and their split."""
    from genrepro.models.shared.inputs import Features

    case = CASES[name]
    number = np.arange(case.num_tracks + 1)
    if name.startswith("vit"):
        frame_rate, bands, num_frames, seconds = FRAMES / 30, BANDS, FRAMES, 30.0
    else:  # AudioSet's and the report's resolutions: 128 bands, and a quarter of them for AST
        frame_rate, bands, seconds = 22050 / 512 / 4, 32 if name == "ast" else 128, 10.0
        num_frames = round(30 * frame_rate)
    segments = {"duration": seconds, "vote_duration": 30.0, "num_grid_segments": 1, "num_segments": 1}
    description: dict[str, Any] = {
        "genres": [f"genre{genre}" for genre in range(NUM_GENRES)],
        "mel": {"kind": "picture" if name.startswith("vit") else "power", "top_db": TOP_DB},
        "segments": {"representation": "log_mel", "plan": "random", "voting": "mean", **segments},
        "pooling": {"frames": 1, "bands": 1},
        "frame_rate": frame_rate,
        "num_bands": bands,
        "mean": -TOP_DB / 2,
        "std": TOP_DB / 4,
    }
    index = pd.DataFrame(
        {
            "track_id": [f"track{one:05}" for one in number],
            "genre": [f"genre{one % NUM_GENRES}" for one in number],
            "first_frame": number % NUM_DISTINCT * num_frames,
            "num_frames": num_frames,
        }
    )
    if name == "vit_frozen":
        frames = np.random.default_rng(0).standard_normal((len(number), 768), dtype=np.float32)
        description["body"] = {"num_parameters": 0}
        index = index.assign(
            segment=pd.array([None] * len(index), dtype="Int64"), num_frames=1, first_frame=number
        )
        index = pd.concat([index.assign(role=role) for role in ("grid", "vote")], ignore_index=True)
    elif name == "vit_tuned":
        decibels = levels().transpose(0, 2, 1).reshape(-1, BANDS) / np.float32(255) * TOP_DB - TOP_DB
        frames = ((decibels - description["mean"]) / description["std"]).astype(np.float16)
    else:
        size = (NUM_DISTINCT * num_frames, bands)
        frames = np.random.default_rng(0).standard_normal(size, dtype=np.float32).astype(np.float16)
    side = np.where(number == number[-1], "validation", "train")
    split = pd.DataFrame({"track_id": index["track_id"].unique(), "split": side})
    return Features(frames=frames, index=index, description=description), split


def levels() -> np.ndarray:
    """Spectrograms of 256 levels [shape=(NUM_DISTINCT, BANDS, FRAMES), dtype=uint8]: smooth, with grain."""
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (NUM_DISTINCT, 14, 21), np.uint8)
    smooth = [Image.fromarray(one).resize((FRAMES, BANDS), Image.Resampling.BICUBIC) for one in coarse]
    grain = rng.integers(-12, 13, (NUM_DISTINCT, BANDS, FRAMES))
    return np.clip(np.stack(smooth) + grain, 0, 255).astype(np.uint8)


def draw(folder: Path, *, number: int) -> None:
    """The same spectrograms as Kaggle's pictures, in folders of genres; repeated ones are links."""
    import matplotlib
    from PIL import Image

    magma = (matplotlib.colormaps["magma"](np.arange(256)) * 255).round().astype(np.uint8)
    for genre in range(NUM_GENRES):
        (folder / f"genre{genre}").mkdir(parents=True)
    drawn: list[Path] = []
    pictures = levels()
    for one in range(number):
        path = folder / f"genre{one % NUM_GENRES}" / f"{one:05}.png"
        if one < NUM_DISTINCT:
            canvas = np.full((288, 432, 4), 255, np.uint8)
            canvas[35:253, 54:390] = magma[pictures[one, ::-1]]
            Image.fromarray(canvas).save(path)
            drawn.append(path)
        else:
            path.symlink_to(drawn[one % NUM_DISTINCT])


def transformers_ast(config: params.Params, packed: "Features") -> torch.nn.Module:
    """The network of ``model: ast`` as transformers' users build it, with random weights."""
    import transformers

    from genrepro.models.shared.segments import segment_frames

    ast = config.ast
    return transformers.ASTForAudioClassification(
        transformers.ASTConfig(
            hidden_size=ast.hidden_size,
            num_hidden_layers=ast.num_layers,
            num_attention_heads=ast.num_heads,
            intermediate_size=ast.intermediate_size,
            hidden_dropout_prob=ast.dropout,
            attention_probs_dropout_prob=ast.dropout,
            patch_size=ast.patch_size,
            frequency_stride=ast.stride,
            time_stride=ast.stride,
            num_mel_bins=packed.frames.shape[1],
            max_length=segment_frames(packed.description),
            num_labels=NUM_GENRES,
        )
    )
