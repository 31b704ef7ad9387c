"""Draw segments of a spectrogram as the pictures that vision models read.

Values are converted back to decibels. The range -top_db .. 0 dB becomes levels 0 .. 1, and levels become
colours: grey, or matplotlib's magma in 256 steps. The lowest band is at the bottom. The whole picture is
resized and normalised.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Drawing(nn.Module):
    """From segments [shape=(batch, 1, num_bands, num_frames)] to pictures [shape=(batch, 3, height, width)].

    It adds nothing to the state dict.

    Parameters
    ----------
    inputs : mapping
        features.json or model.json: ``mean`` and ``std`` [dB], ``mel.top_db`` and
        ``segments.representation``.
    size : sequence of int
        Height and width in pixels.
    centre, spread : sequence of float
        Mean and deviation of red, green and blue, by which pictures are normalised.
    colours : str
        ``magma`` or ``grey``.
    mode : str
        Interpolation: ``nearest``, ``bilinear`` or ``bicubic``. The last two are antialiased.
    white_columns : int
        Columns of white that are added on the left before resizing.
    """

    map: torch.Tensor | None
    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(
        self,
        inputs: Mapping[str, Any],
        *,
        size: Sequence[int],
        centre: Sequence[float],
        spread: Sequence[float],
        colours: str = "magma",
        mode: str = "bilinear",
        white_columns: int = 0,
    ) -> None:
        super().__init__()
        self.mean, self.std, self.top_db = _levels(inputs)
        self.size, self.mode, self.white_columns = tuple(size), mode, white_columns
        self.register_buffer("map", _magma() if colours == "magma" else None, persistent=False)
        self.register_buffer("centre", torch.tensor(centre).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(spread).view(3, 1, 1), persistent=False)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        # A picture's 256 levels need more digits than bfloat16 has.
        levels = ((segments.float() * self.std + self.mean) / self.top_db + 1).clamp(0, 1).flip(2)
        if self.map is None:
            colours = levels.expand(-1, 3, -1, -1)
        else:
            colours = self.map[(levels[:, 0] * 255).round().long()].permute(0, 3, 1, 2)
        colours = F.pad(colours, (self.white_columns, 0), value=1.0)
        # Contiguous, so that resizing gives the same bytes whatever the strides of the input.
        picture = F.interpolate(
            colours.contiguous(), size=self.size, mode=self.mode, antialias=self.mode != "nearest"
        )
        if self.mode == "bicubic":  # it overshoots at edges
            picture = picture.clamp(0, 1)
        return (picture - self.centre) / self.spread


def _levels(inputs: Mapping[str, Any]) -> tuple[float, float, float]:
    """How values become decibels. MFCC have no decibels: their scale is 3 deviations around the mean."""
    if inputs["segments"]["representation"] == "mfcc":
        return -0.5, 1 / 6, 1.0
    return inputs["mean"], inputs["std"], inputs["mel"]["top_db"]


def _magma() -> torch.Tensor:
    """matplotlib's map [shape=(256, 3)]: red, green, blue from 0 to 1."""
    import matplotlib
    import numpy as np

    # Rounded to 8 bits, as in a PNG.
    colours = np.round(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255) / 255
    return torch.from_numpy(colours).float()
