"""The AST report's network: blocks of convolution, batch norm, ReLU, max pooling; dropout, one dense layer.

The dense layer reads the mean and the maximum of each channel over what is left of time and frequency: what a
clip is like on the whole, and what happens in it at all. Segments of any length fit.

Beside it may stand a second network (``statistics``): a perceptron over cepstrum and modulation spectra,
which hears rhythm where max pooling keeps only that something happened. Each learns by its own loss, and the
mean of their logits is the verdict.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

_WINDOW = 5.0  # s in which rhythm is measured; slower than 0.2 Hz is not rhythm
_BANDS_PER_GROUP = 4  # whose rhythm is one
_RATES = 14  # modulation rates told apart, evenly up to half the frame rate
_COEFFICIENTS = 40  # of the cepstrum
_GAIN = 40.0  # amplitudes above a fortieth of a deviation count by their logarithm, those below as they are
_INPUT_DROPOUT, _HIDDEN_DROPOUT = 0.2, 0.5  # of the perceptron: it has 500 inputs for as many tracks


def build(
    config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> nn.Module:
    """The network, or the pair.

    Parameters
    ----------
    config : mapping
        ``channels``: outputs of each block; ``dropout``: share of units dropped before the dense layer;
        ``statistics``: hidden units of the second network, 0 for none, as in a model.json that lacks the key.
    num_genres : int
        Outputs.
    inputs : mapping, optional
        ``num_bands`` and ``frame_rate`` [Hz], which the second network needs; the blocks fit any segments.
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
    """A perceptron over what a segment is like on the whole: nothing in it knows when something happens.

    It reads mean, deviation and deviation of the change of cepstral coefficients (timbre), and how strongly
    each group of bands swings at which rate (rhythm), whatever the phase. Modulation spectra as features of
    music: McKinney and Breebaart, ISMIR 2003.
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
        }.items():  # constants: no weights, and no part of a checkpoint
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
        """What the perceptron reads [shape=(batch, num_statistics), dtype=float32]."""
        # Mixed precision's bfloat16 has too few digits for deviations.
        with torch.autocast(segments.device.type, enabled=False):
            frames = segments.squeeze(1).transpose(1, 2).float()
            cepstrum = frames @ self.cosines
            change = cepstrum.diff(dim=1) if cepstrum.shape[1] > 1 else torch.zeros_like(cepstrum)
            timbre = [cepstrum.mean(1), cepstrum.std(1, correction=0), change.std(1, correction=0)]
            return torch.cat([*timbre, self._rhythm(frames @ self.groups)], dim=1)

    def _rhythm(self, levels: torch.Tensor) -> torch.Tensor:
        """Modulation spectra [shape=(batch, num_groups * num_rates)] of groups' levels, over frames."""
        missing = self.window_frames - levels.shape[1]
        levels = levels.transpose(1, 2)
        if missing > 0:  # shorter than a window: a level that stays where it ends swings no further
            levels = torch.cat([levels, levels[..., -1:].expand(-1, -1, missing)], dim=2)
        windows = levels.unfold(2, self.window_frames, self.window_frames // 2)
        waves = (windows - windows.mean(3, keepdim=True)) @ self.waves
        cosine, sine = waves.chunk(2, dim=3)
        amplitude = (cosine.square() + sine.square()).sqrt().mean(2)
        return torch.log1p(_GAIN * amplitude @ self.rates).flatten(1)


class Pair(nn.Module):
    """Networks that judge the same segments, each by a loss of its own."""

    def __init__(self, *members: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Logits of each in training [shape=(batch, num_members, num_genres)], then their mean
        [shape=(batch, num_genres)]: by log loss better than the mean of their probabilities, which doubts
        more."""
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
    """From values to the means of neighbours [shape=(size, num_groups)]."""
    matrix = np.zeros((size, num_groups))
    for number, members in enumerate(np.array_split(np.arange(size), num_groups)):
        matrix[members, number] = 1 / len(members)
    return matrix


def _waves(window_frames: int) -> np.ndarray:
    """From frames to amplitudes of cosines and sines of 1 .. half the frames' periods in a Hann window.

    A matrix and no FFT: it rests on the products that are pinned already, and the window is short.
    """
    window = np.hanning(window_frames)
    phase = (
        2 * np.pi * np.outer(np.arange(window_frames), np.arange(1, window_frames // 2 + 1)) / window_frames
    )
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * (2 * window / window.sum())[:, None]
