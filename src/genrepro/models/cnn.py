"""The AST report's network: blocks of convolution, batch norm, ReLU and max pooling, then one dense layer.

The dense layer reads the mean and the maximum of each channel over the remaining time and frequency. The mean
describes the clip as a whole, and the maximum shows whether something occurs at all. Segments of any length
fit.

An optional second network (``statistics``) is a perceptron over cepstrum and modulation spectra. It detects
rhythm, which max pooling loses. Each network learns by its own loss. The prediction is the mean of their
logits.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

_WINDOW = 5.0  # s in which rhythm is measured; slower than 0.2 Hz is not rhythm
_BANDS_PER_GROUP = 4  # bands whose levels are averaged before their rhythm is measured
_RATES = 14  # bins of modulation rates, evenly spaced up to half the frame rate
_COEFFICIENTS = 40  # of the cepstrum
_GAIN = 40.0  # log1p(gain x amplitude): linear below 1/40 of a standard deviation, logarithmic above
_INPUT_DROPOUT, _HIDDEN_DROPOUT = 0.2, 0.5  # of the perceptron, which has 500 inputs for about as many tracks


def build(
    config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build the network, or the pair of networks.

    Parameters
    ----------
    config : mapping
        ``channels``: outputs of each block. ``dropout``: share of units dropped before the dense layer.
        ``statistics``: hidden units of the second network, 0 for none. An old model.json lacks this key.
    num_genres : int
        Outputs.
    inputs : mapping, optional
        ``num_bands`` and ``frame_rate`` [Hz], which only the second network needs.
    """
    blocks = Cnn(config["channels"], dropout=config["dropout"], num_genres=num_genres)
    if not config.get("statistics"):
        return blocks
    assert inputs is not None
    return Pair(
        blocks,
        Statistics(
            inputs["num_bands"],
            frame_rate=inputs["frame_rate"],
            hidden=config["statistics"],
            num_genres=num_genres,
        ),
    )


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


class Statistics(nn.Module):
    """A perceptron over statistics of a whole segment, which do not depend on when something happens.

    Timbre: mean and deviation of the cepstral coefficients, and deviation of their change. Rhythm: the
    amplitude of each group of bands at each modulation rate, without its phase. Modulation spectra as
    features of music: McKinney and Breebaart, ISMIR 2003.
    """

    cosines: torch.Tensor
    groups: torch.Tensor
    waves: torch.Tensor
    rates: torch.Tensor

    def __init__(self, num_bands: int, *, frame_rate: float, hidden: int, num_genres: int) -> None:
        super().__init__()
        self.window_frames = max(4, round(_WINDOW * frame_rate))
        for name, value in {
            "cosines": _cosines(num_bands, min(_COEFFICIENTS, num_bands)),
            "groups": _means(num_bands, max(1, num_bands // _BANDS_PER_GROUP)),
            "waves": _waves(self.window_frames),
            "rates": _means(self.window_frames // 2, min(_RATES, self.window_frames // 2)),
        }.items():  # constants, not weights: they are not in a checkpoint
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)), persistent=False)
        num_inputs = 3 * self.cosines.shape[1] + self.groups.shape[1] * self.rates.shape[1]
        self.perceptron = nn.Sequential(
            nn.BatchNorm1d(num_inputs, affine=False),
            nn.Dropout(_INPUT_DROPOUT),
            nn.Linear(num_inputs, hidden, bias=False),  # batch norm has the bias
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(_HIDDEN_DROPOUT),
            nn.Linear(hidden, num_genres),
        )

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(batch, num_genres)] of segments [shape=(batch, 1, num_bands, num_frames)]."""
        return self.perceptron(self.statistics(segments))

    @torch.no_grad()
    def statistics(self, segments: torch.Tensor) -> torch.Tensor:
        """The inputs of the perceptron [shape=(batch, num_statistics), dtype=float32]."""
        # bfloat16 (mixed precision) has too few digits for deviations.
        with torch.autocast(segments.device.type, enabled=False):
            frames = segments.squeeze(1).transpose(1, 2).float()
            cepstrum = frames @ self.cosines
            change = cepstrum.diff(dim=1) if cepstrum.shape[1] > 1 else torch.zeros_like(cepstrum)
            timbre = [cepstrum.mean(1), cepstrum.std(1, correction=0), change.std(1, correction=0)]
            return torch.cat([*timbre, self._rhythm(frames @ self.groups)], dim=1)

    def _rhythm(self, levels: torch.Tensor) -> torch.Tensor:
        """Modulation spectra [shape=(batch, num_groups * num_rates)] of the levels of groups over time."""
        missing = self.window_frames - levels.shape[1]
        levels = levels.transpose(1, 2)
        if missing > 0:  # shorter than a window: repeat the last level, which adds no modulation
            levels = torch.cat([levels, levels[..., -1:].expand(-1, -1, missing)], dim=2)
        windows = levels.unfold(2, self.window_frames, self.window_frames // 2)
        waves = (windows - windows.mean(3, keepdim=True)) @ self.waves
        cosine, sine = waves.chunk(2, dim=3)
        amplitude = (cosine.square() + sine.square()).sqrt().mean(2)
        return torch.log1p(_GAIN * amplitude @ self.rates).flatten(1)


class Pair(nn.Module):
    """Several networks on the same segments. Each learns by its own loss."""

    def __init__(self, *members: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """In training the logits of each member [shape=(batch, num_members, num_genres)], else their mean.

        The mean of the logits has a lower log loss than the mean of the probabilities, which is less certain.
        """
        logits = torch.stack([member(segments) for member in self.members], dim=1)
        return logits if self.training else logits.mean(dim=1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),  # batch norm has the bias
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, ceil_mode=True),  # a short segment keeps at least one cell
    )


def _cosines(num_bands: int, num_coefficients: int) -> np.ndarray:
    """The cosine transform from bands to cepstrum [shape=(num_bands, num_coefficients)]."""
    band = np.arange(num_bands)[:, None] + 0.5
    return np.sqrt(2 / num_bands) * np.cos(np.pi / num_bands * band * np.arange(num_coefficients))


def _means(size: int, num_groups: int) -> np.ndarray:
    """The matrix that averages groups of neighbouring values [shape=(size, num_groups)]."""
    matrix = np.zeros((size, num_groups))
    for number, members in enumerate(np.array_split(np.arange(size), num_groups)):
        matrix[members, number] = 1 / len(members)
    return matrix


def _waves(window_frames: int) -> np.ndarray:
    """The Fourier transform of a Hann window: cosines, then sines, of 1 .. window_frames / 2 periods.

    It is a matrix because matrix products are pinned to the bit already, and the window is short.
    """
    window = np.hanning(window_frames)
    phase = (
        2 * np.pi * np.outer(np.arange(window_frames), np.arange(1, window_frames // 2 + 1)) / window_frames
    )
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * (2 * window / window.sum())[:, None]
