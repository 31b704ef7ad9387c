"""Predict a file with a published body of audio and the head that was trained on what it says."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.embed.chunks import in_batches
from genrepro.embed.hearing import Hearing
from genrepro.models.shared import layers, published


class Heard:
    """A body of audio, ready for samples.

    Parameters
    ----------
    description : dict
        model.json
    device : torch.device

    Raises
    ------
    GenreproError
        If the body cannot be brought, or is no longer the one that the head was trained on.
    """

    def __init__(self, description: dict[str, Any], *, device: Any) -> None:
        self.section = description["pretrained"]
        body = published.load(self.section["weights"], revision=self.section["revision"])
        if published.sha256(body.network) != description["body"]["sha256"]:
            raise GenreproError(
                f"{published.KEY}: {self.section['weights']!r} is no longer the body that this model was "
                "trained on: bring its file back, or train on the new one."
            )
        self.body = Hearing(body, segment=description["segments"]["duration"], device=device)
        self.rate = self.body.rate

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        """The head's input from a track's samples [shape=(num_samples,)] at ``rate`` Hz.

        Returns
        -------
        np.ndarray [shape=(num_segments, embedding_size), dtype=float32]
            One row if the head reads the mean of a track's segments.
        float
            Length of a segment [s]. Segments lie evenly from the first sample to the last.
        """
        import torch

        from genrepro.exact import dense

        segments = self.body.cut(samples)
        with torch.inference_mode(), dense.arithmetic(self.body.device):
            found = in_batches(self.body, segments)
        rows: layers.Rows = ([""] * len(segments), range(len(segments)), found)
        # Through the table that the stages read, so that layer and pooling mean the same here.
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder, "embeddings.parquet")
            layers.write(
                kept,
                [rows],
                sizes=[layer.shape[1] for layer in found],
                dtype=self.section["storage"],
                description={"kind": "audio", "parts": list(self.body.parts)},
            )
            index, vectors = layers.read(kept, layer=self.section["layer"], pooling=self.section["pooling"])
        if self.section["per"] == "track":
            return layers.by_track(index, vectors)[1], len(samples) / self.rate
        return vectors, len(segments[0]) / self.rate
