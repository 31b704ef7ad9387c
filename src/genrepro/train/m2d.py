"""Masked Modeling Duo: an encoder learns music without labels (Niizumi et al., ICASSP 2023).

The online encoder sees the visible patches of a segment, a predictor fills in the masked ones, and its
targets are what a second encoder makes of the masked patches alone. That target encoder is a moving average
of the online one. Of the authors' code (github.com/nttcslab/m2d) this follows the mask, the standardised
targets, the loss, the patches that both encoders share, and the rate of the average, which rises linearly.
It differs in three points: positions of the encoder are the model's own, learned ones; the target begins as a
copy of the online encoder; the average begins at ``train.ema`` and ends at 1, since 0.99995 of the authors is
for 300 000 steps.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from genrepro.models.shared.body import BodyAndHead

MASKED = 0.7  # share of the patches
# The authors' predictor of 512 x 8 stands beside an encoder of 768 x 12: two thirds of its width and depth.
_SHARE = 2 / 3
_HEAD_SIZE = 32  # width of a head in the predictor, as theirs


class Duo(nn.Module):
    """The model that is trained, ``online``, with all that M2D needs beside it.

    Parameters
    ----------
    model : BodyAndHead
        A transformer with `tokens` and `patch_grid`. Its head takes no part and is not trained.
    decay : float
        Decay of the target encoder at the first step.
    num_steps : int
        Steps over which the decay rises to 1.
    """

    step: torch.Tensor

    def __init__(self, model: BodyAndHead, *, decay: float, num_steps: int) -> None:
        super().__init__()
        self.online: Any = model
        self.online.head.requires_grad_(False)
        self.decay, self.num_steps = decay, num_steps
        self.target = nn.ModuleList(copy.deepcopy([*model.blocks, model.norm])).requires_grad_(False)
        self.predictor = Predictor(model.embedding_size, num_blocks=round(_SHARE * len(model.blocks)))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> "Duo":
        """Set training mode. The target has no dropout in any."""
        super().train(mode)
        self.target.eval()
        return self

    def forward(self, segments: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The loss: 2 - 2 x cosine of prediction and target, averaged over masked patches.

        Parameters
        ----------
        segments : torch.Tensor [shape=(batch, 1, num_bands, num_frames)]
        order : torch.Tensor [shape=(batch, num_patches), dtype=int64]
            A permutation of each segment's patches, from `draw`. The first are visible.
        """
        special, patches = self.online.tokens(segments)
        num_visible = visible(patches.shape[1])
        shown, hidden = order[:, :num_visible], order[:, num_visible:]
        seen = encode([*self.online.blocks, self.online.norm], special, _take(patches, shown))
        grid = self.online.patch_grid(segments)
        predicted = self.predictor(seen, order=order, grid=grid, num_special=special.shape[1])
        with torch.no_grad():
            made = encode(self.target, special, _take(patches, hidden))[:, special.shape[1] :]
            target = F.layer_norm(made.float(), made.shape[-1:], eps=1e-6)
        return (2 - 2 * F.cosine_similarity(predicted.float(), target, dim=-1)).mean()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the target towards the online encoder, after a step of the optimiser."""
        share = self.step.item() / max(1, self.num_steps - 1)
        decay = self.decay + (1 - self.decay) * min(1.0, share)
        online = nn.ModuleList([*self.online.blocks, self.online.norm]).parameters()
        torch._foreach_lerp_(list(self.target.parameters()), list(online), 1 - decay)
        self.step += 1


class Predictor(nn.Module):
    """A narrower transformer that fills the masked places of a segment, as MAE's decoder.

    Parameters
    ----------
    embedding_size : int
        Width of the encoder.
    num_blocks : int
        At least 1 is built.
    """

    def __init__(self, embedding_size: int, *, num_blocks: int) -> None:
        super().__init__()
        num_heads = max(1, round(_SHARE * embedding_size / _HEAD_SIZE))
        self.width = 4 * num_heads * max(1, round(_SHARE * embedding_size / num_heads / 4))  # four waves
        self.enter = nn.Linear(embedding_size, self.width)
        self.mask = nn.Parameter(torch.empty(1, 1, self.width).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                self.width, num_heads, 4 * self.width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(max(1, num_blocks))
        )  # fmt: skip
        self.norm = nn.LayerNorm(self.width)
        self.leave = nn.Linear(self.width, embedding_size)

    def forward(
        self, seen: torch.Tensor, *, order: torch.Tensor, grid: tuple[int, int], num_special: int
    ) -> torch.Tensor:
        """Predictions [shape=(batch, num_masked, embedding_size)] for the patches that ``order`` has last.

        Parameters
        ----------
        seen : torch.Tensor [shape=(batch, num_special + num_visible, embedding_size)]
            The online encoder's output.
        order : torch.Tensor [shape=(batch, num_patches), dtype=int64]
        grid : tuple of int
            Rows and columns of patches.
        num_special : int
        """
        special, shown = self.enter(seen).split([num_special, seen.shape[1] - num_special], dim=1)
        masked = self.mask.expand(len(seen), order.shape[1] - shown.shape[1], -1).to(shown.dtype)
        # Attention has no order of its own, so patches stay in the order of the permutation.
        places = waves(grid, self.width).to(shown)[order]
        tokens = torch.cat([special, torch.cat([shown, masked], dim=1) + places], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.leave(self.norm(tokens[:, num_special + shown.shape[1] :]))


def encode(layers: Any, special: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """The output of a transformer's blocks and norm for its special tokens and some patches."""
    tokens = torch.cat([special, patches], dim=1)
    for layer in layers:
        made = layer(tokens)
        tokens = made[0] if isinstance(made, tuple) else made  # transformers before 5
    return tokens


def visible(num_patches: int) -> int:
    """Number of patches that the online encoder sees."""
    return int(num_patches * (1 - MASKED))


def draw(batch: int, num_patches: int, *, rng: np.random.Generator) -> torch.Tensor:
    """A random permutation of the patches of each segment [shape=(batch, num_patches), dtype=int64]."""
    return torch.from_numpy(rng.random((batch, num_patches)).argsort(axis=1))


def waves(grid: tuple[int, int], width: int) -> torch.Tensor:
    """Fixed positions of a grid's cells, row by row [shape=(rows * columns, width)], as in MAE.

    A quarter of the width each: sine and cosine of the column, sine and cosine of the row.
    """
    rate = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in grid), indexing="ij")
    angles = [axis.reshape(-1, 1) * rate for axis in (column, row)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1).float()


def _take(patches: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return patches.gather(1, chosen[:, :, None].expand(-1, -1, patches.shape[2]))
