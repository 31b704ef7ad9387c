"""The AST report's network: blocks of convolution, batch norm, ReLU, max pooling; dropout, one dense layer.

The dense layer reads the mean and the maximum of each channel over what is left of time and frequency: what a
clip is like on the whole, and what happens in it at all. Segments of any length fit.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn


def build(
    config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> nn.Module:
    """The network.

    Parameters
    ----------
    config : mapping
        ``channels``: outputs of each block; ``dropout``: share of units dropped before the dense layer.
    num_genres : int
        Outputs.
    inputs : mapping, optional
        Ignored: the blocks fit any segments.
    """
    return Cnn(config["channels"], dropout=config["dropout"], num_genres=num_genres)


class Cnn(nn.Module):
    def __init__(self, channels: list[int], *, dropout: float, num_genres: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(_block(inputs, outputs) for inputs, outputs in pairwise([1, *channels]))
        )
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * channels[-1], num_genres)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(batch, num_genres)] of segments [shape=(batch, 1, num_bands, num_frames)]."""
        hidden = self.blocks(segments)
        pooled = torch.cat([hidden.mean(dim=(2, 3)), hidden.amax(dim=(2, 3))], dim=1)
        return self.dense(self.dropout(pooled))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),  # batch norm has the bias
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, ceil_mode=True),  # a short segment keeps at least one cell
    )
