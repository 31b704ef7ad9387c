"""Models of two parts: a body from segments to embeddings and a head from embeddings to logits.

The frozen part of a body has no gradients and no dropout, in training mode too. If all of the body is frozen,
embeddings can be computed once and stored, and only the head is trained on them.
"""

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import nn

REPORT_WIDTH = 1024  # units in each of the ViT report's two hidden layers
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class BodyAndHead(nn.Module, ABC):
    """The common part of models that start from pretrained weights. Each adds its own `prepare` and `load`.

    Parameters
    ----------
    body : nn.Module
        From prepared segments to embeddings [shape=(batch, embedding_size)].
    head : nn.Module
        From embeddings to logits [shape=(batch, num_genres)].
    blocks : sequence of nn.Module
        The body's blocks of equal kind, from input to output.
    norm : nn.Module
        The norm after the last block, which is trained with it.
    embedding_size : int
    trainable_blocks : int, "all" or "lora"
        How many of the last blocks are trained. 0 freezes the body. "all" also trains the part before the
        blocks (patches, positions, class token). "lora" freezes it too, and the model adds what is trained.
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Module,
        *,
        blocks: Sequence[nn.Module],
        norm: nn.Module,
        embedding_size: int,
        trainable_blocks: int | str,
    ) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.embedding_size = embedding_size
        # torch does not register modules in tuples, so each block has one name only in the state dict.
        self._blocks, self._norm = tuple(blocks), (norm,)
        self.trainable_blocks = trainable_blocks
        if trainable_blocks != "all":
            body.requires_grad_(False)
            for module in self._thawed():
                module.requires_grad_(True)
        self.train()

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """The body's blocks, from input to output."""
        return self._blocks

    @property
    def norm(self) -> nn.Module:
        """The norm after the last block."""
        return self._norm[0]

    @property
    def frozen_body(self) -> bool:
        """Whether the whole body is frozen, so that `embed` always gives the same."""
        return self.trainable_blocks == 0

    def train(self, mode: bool = True) -> Self:
        """Set training mode. The frozen part stays in evaluation mode, without dropout."""
        super().train(mode)
        if self.trainable_blocks != "all":
            self.body.eval()
            for module in self._thawed():
                module.train(mode)
        return self

    @abstractmethod
    def load(self) -> None:
        """Load the pretrained weights that the model's section names into the body, if it names any."""

    @abstractmethod
    def prepare(self, segments: torch.Tensor) -> torch.Tensor:
        """The body's input, from segments [shape=(batch, 1, num_bands, num_frames)]."""

    def embed(self, segments: torch.Tensor) -> torch.Tensor:
        """Embeddings [shape=(batch, embedding_size)] of segments [shape=(batch, 1, num_bands, num_frames)].

        A frozen body builds no graph for gradients.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_body):
            return self.encode(self.prepare(segments))

    def encode(self, prepared: torch.Tensor) -> torch.Tensor:
        """Embeddings of prepared segments."""
        return self.body(prepared)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """Logits [shape=(batch, num_genres)] of segments [shape=(batch, 1, num_bands, num_frames)]."""
        return self.head(self.embed(segments))

    def body_sha256(self) -> str:
        """The hash of the body's weights, in the order of their names."""
        digest = hashlib.sha256()
        for name, value in sorted(self.body.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def layers(self) -> list[list[nn.Parameter]]:
        """Trainable parameters by depth: before the blocks, each block, then norm and head.

        With them a learning rate can decay from the head to the first layer. Depths without trained
        parameters are empty lists, so that a depth's distance from the head does not depend on what is
        frozen.
        """
        inner = [list(block.parameters()) for block in self._blocks]
        last = [*self.norm.parameters(), *self.head.parameters()]
        known = {id(parameter) for group in [*inner, last] for parameter in group}
        stem = [parameter for parameter in self.body.parameters() if id(parameter) not in known]
        return [[p for p in group if p.requires_grad] for group in [stem, *inner, last]]

    def checkpoint_blocks(self) -> None:
        """Compute the trained blocks again for the gradient (Chen et al. 2016), not to keep their insides."""
        from torch.utils.checkpoint import checkpoint

        for block in self._blocks:
            if any(parameter.requires_grad for parameter in block.parameters()):
                block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)

    def _thawed(self) -> tuple[nn.Module, ...]:
        if isinstance(self.trainable_blocks, str) or self.trainable_blocks == 0:
            return ()
        return (*self._blocks[-self.trainable_blocks :], *self._norm)


def head(
    config: Mapping[str, Any], *, num_inputs: int, num_genres: int, report: Callable[[], nn.Module]
) -> nn.Module:
    """Build the head that ``head.kind`` names.

    Parameters
    ----------
    config : mapping
        The section ``head`` of params.yaml.
    num_inputs, num_genres : int
    report : callable
        Builds the head of the model's own report.
    """
    if config["kind"] == "report":
        return report()
    if config["kind"] == "linear":
        return nn.Sequential(Standardise(num_inputs), nn.Linear(num_inputs, num_genres))
    return mlp(config, num_inputs=num_inputs, num_genres=num_genres)


def report_head(num_inputs: int, num_genres: int) -> nn.Sequential:
    """The ViT report's head. Its code has no activation between the first two layers."""
    return nn.Sequential(
        nn.Linear(num_inputs, REPORT_WIDTH),
        nn.Linear(REPORT_WIDTH, REPORT_WIDTH),
        nn.ReLU(),
        nn.Linear(REPORT_WIDTH, num_genres),
    )


def mlp(config: Mapping[str, Any], *, num_inputs: int, num_genres: int) -> nn.Sequential:
    """Build a head of ``depth`` hidden layers, each with activation and dropout. Depth 0 is a linear probe.

    Parameters
    ----------
    config : mapping
        The section ``head`` of params.yaml.
    num_inputs, num_genres : int
    """
    layers: list[nn.Module] = []
    for _ in range(config["depth"]):
        layers += [
            nn.Linear(num_inputs, config["width"]),
            _ACTIVATIONS[config["activation"]](),
            nn.Dropout(config["dropout"]),
        ]
        num_inputs = config["width"]
    return nn.Sequential(*layers, nn.Linear(num_inputs, num_genres))


class Standardise(nn.Module):
    """Subtract the mean of the training embeddings and divide by their deviation, each number by itself.

    They are buffers, so they are saved with the head and are not trained. Until `fit` they change nothing.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, num_inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("scale", torch.ones(num_inputs))

    def fit(self, embeddings: np.ndarray) -> None:
        """Take mean and deviation of embeddings [shape=(num_segments, num_inputs)]. A constant becomes 0."""
        wide = embeddings.astype(np.float64)
        std = wide.std(axis=0)
        scale = np.where(std > 1e-8, 1 / np.maximum(std, 1e-8), 0.0)
        self.mean.copy_(torch.from_numpy(wide.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return (embeddings - self.mean) * self.scale


class Mix(nn.Module):
    """A learnt weighted mean of layers, with a softmax over their weights (SUPERB, Yang et al. 2021).

    From [shape=(batch, num_layers * size)] to [shape=(batch, size)]. All layers begin with equal weights.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_layers))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        layers = embeddings.unflatten(1, (len(self.weights), -1))
        return (layers * self.weights.softmax(0)[:, None]).sum(1)


def standardise(model: nn.Module, embeddings: np.ndarray) -> None:
    """Fit every `Standardise` of a head to the training embeddings."""
    for module in model.modules():
        if isinstance(module, Standardise):
            module.fit(embeddings)
