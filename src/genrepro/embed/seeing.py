"""Bodies of pictures: from a spectrogram of mel.parquet to what every layer says of its picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from genrepro.models import pretrained
from genrepro.models.shared.published import Published
from genrepro.models.shared.segments import windows


class Seeing:
    """A body of pictures, ready for spectrograms.

    Parameters
    ----------
    body : Published
    mel : dict
        The description of mel.parquet.
    segment : float or "auto"
        s. ``auto`` draws the whole track as one picture.
    device : torch.device
    """

    def __init__(
        self, body: Published, *, mel: dict[str, Any], segment: float | str, device: torch.device
    ) -> None:
        self.network = body.network.to(device)
        self.device = device
        self.segment = None if segment == "auto" else float(segment)
        self.frame_rate = mel["frame_rate"]
        self.parts = pretrained.parts_of(body.network)
        self.drawing = pretrained.drawing(body.settings, as_inputs(mel)).to(device)

    def cut(self, spectrogram: np.ndarray) -> list[np.ndarray]:
        """Segments of a spectrogram [shape=(num_frames, num_bands)], all of equal length."""
        width = len(spectrogram) if self.segment is None else max(1, round(self.segment * self.frame_rate))
        starts, width = windows(len(spectrogram), width)
        return [spectrogram[start : start + width] for start in starts]

    def __call__(self, segments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As `hearing.Hearing.__call__`."""
        given = torch.from_numpy(np.stack(segments)).to(self.device).float().transpose(1, 2).unsqueeze(1)
        layers = pretrained.hidden_layers(self.network, self.drawing(given))
        return [layer.flatten(1).float().cpu().numpy() for layer in layers]


def as_inputs(mel: dict[str, Any]) -> dict[str, Any]:
    """The description of features that are the decibels of mel.parquet themselves, at full resolution."""
    return {
        "mel": mel,
        "segments": {"representation": "log_mel"},
        "pooling": {"frames": 1, "bands": 1},
        "frame_rate": mel["frame_rate"],
        "mean": 0.0,
        "std": 1.0,
    }
