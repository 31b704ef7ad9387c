"""A bidirectional LSTM over frames: each column of a log-mel or MFCC segment is one step.

LSTM: Hochreiter and Schmidhuber 1997. Both directions: Schuster and Paliwal 1997. The dense layer reads the
mean and the maximum of every output over time, or the last state of each direction. Segments of any length
fit.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def build(config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]) -> nn.Module:
    """Build the network.

    Parameters
    ----------
    config : mapping
        The section ``lstm`` of params.yaml.
    num_genres : int
        Outputs.
    inputs : mapping
        ``num_bands``: number of values in a frame.
    """
    return Lstm(
        inputs["num_bands"],
        hidden=config["hidden"],
        num_layers=config["num_layers"],
        dropout=config["dropout"],
        pooling=config["pooling"],
        num_genres=num_genres,
    )


class Lstm(nn.Module):
    def __init__(
        self, num_bands: int, *, hidden: int, num_layers: int, dropout: float, pooling: str, num_genres: int
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.recurrent = nn.LSTM(
            num_bands,
            hidden,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout
            if num_layers > 1
            else 0.0,  # torch drops units between layers, and warns if there is one
        )
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * hidden * (2 if pooling == "mean_max" else 1), num_genres)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(batch, num_genres)] of segments [shape=(batch, 1, num_bands, num_frames)]."""
        frames = segments.squeeze(1).transpose(1, 2).float().contiguous()
        # oneDNN has no bfloat16 LSTM below AVX-512. Other devices keep mixed precision.
        with torch.autocast("cpu", enabled=False):
            outputs, (states, _) = self.recurrent(frames)
        if self.pooling == "mean_max":
            pooled = torch.cat([outputs.mean(dim=1), outputs.amax(dim=1)], dim=1)
        else:
            pooled = torch.cat([states[-2], states[-1]], dim=1)  # last layer: forward, backward
        return self.dense(self.dropout(pooled))
