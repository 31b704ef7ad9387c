"""Train many heads at once on the same embeddings, with stacked weights and one step for all.

One head of the ViT report uses a hundredth of a GPU, and a thousand heads fill it. Every head sees the
batches, the mixing and the dropout of its single experiment, and has its own learning rate and weight decay.
`loop.fit` multiplies matrices, and this multiplies stacks of matrices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from genrepro.base.devices import Compute
from genrepro.base.params import Train
from genrepro.models.shared.batches import FixedSegments, TrainingSegments
from genrepro.models.shared.voting import vote
from genrepro.train import objectives, optimizer
from genrepro.train.augment import mixup

# The defaults of AdamW in torch.optim.
_BETAS, _EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True, kw_only=True)
class Step:
    """The results of one epoch. The first axis of each array is the head."""

    batch_loss: np.ndarray
    """[shape=(num_heads, num_batches)]"""
    batch_accuracy: np.ndarray
    """[shape=(num_heads, num_batches)]"""
    num_segments: np.ndarray
    """[shape=(num_batches,)] Size of each batch, the same for all heads."""
    validation: list[tuple[float, float]]
    """Loss and accuracy over tracks, of each head."""
    test: list[tuple[float, float]]
    test_predicted: list[np.ndarray]
    """The genre of each test track [shape=(num_tracks,)], by each head."""


def fit(
    head: nn.Module,
    *,
    lr: Sequence[float],
    weight_decay: Sequence[float],
    training_segments: TrainingSegments,
    validation: FixedSegments,
    test: FixedSegments,
    voting: str,
    num_genres: int,
    params: Train,
    compute: Compute,
    rng: np.random.Generator,
) -> Iterator[Step]:
    """Train a copy of ``head`` for each pair of ``lr`` and ``weight_decay``, and yield each epoch.

    Parameters
    ----------
    head : nn.Module
        From embeddings to logits, with the initial weights of every copy. It must have no batch norm.
    lr, weight_decay : sequence of float
        The values of each copy. Those of ``params`` are not used.
    training_segments : TrainingSegments
        Segments that are embeddings.
    validation, test : FixedSegments
    voting : str
        See `voting.vote`.
    num_genres : int
    params : Train
    compute : devices.Compute
    rng : np.random.Generator
        The generator that ``training_segments`` draws from.
    """
    norms = [module for module in head.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert not norms, "a head with batch statistics would mix up its copies"
    head = head.to(compute.device)  # the stack is cloned from it, on the same device
    stack = _Stack(head, lr=lr, weight_decay=weight_decay, params=params)
    rate = optimizer.schedule(params, num_steps=params.epochs * len(training_segments))
    # Dropout draws one mask for all heads, the same as the single experiment.
    forward = torch.func.vmap(
        lambda weights, segments: torch.func.functional_call(head, weights, (segments,)),
        in_dims=(0, None),
        randomness="same",
    )

    def loss_of(weights: dict, segments: torch.Tensor, targets: torch.Tensor) -> tuple:
        logits = torch.func.functional_call(head, weights, (segments,))
        return F.cross_entropy(logits, targets, label_smoothing=params.label_smoothing), logits

    gradients = torch.func.vmap(
        torch.func.grad_and_value(loss_of, has_aux=True), in_dims=(0, None, None), randomness="same"
    )

    def votes(weights: dict, segments: FixedSegments) -> list[np.ndarray]:
        """Probabilities of tracks [shape=(num_tracks, num_genres)], by each head."""
        head.eval()
        with torch.no_grad(), compute.autocast():
            parts = [forward(weights, batch).double().softmax(-1).cpu() for batch in segments]
        probabilities = torch.cat(parts, dim=1).numpy()
        return [vote(of_one, segments.track, how=voting) for of_one in probabilities]

    step = 0
    for _ in range(params.epochs):
        head.train()
        losses, accuracies, sizes = [], [], []
        for segments, labels in training_segments:
            segments, targets = mixup(segments, labels, params=params, num_genres=num_genres, rng=rng)
            with compute.autocast():
                grads, (loss, logits) = gradients(stack.weights, segments, targets)
            stack.step(grads, rate(step))
            step += 1
            losses.append(loss.detach())
            accuracies.append((logits.detach().argmax(-1) == labels).float().mean(-1))
            sizes.append(len(labels))
        tested = votes(stack.averaged, test)
        yield Step(
            batch_loss=torch.stack(losses, dim=1).float().cpu().numpy(),
            batch_accuracy=torch.stack(accuracies, dim=1).cpu().numpy(),
            num_segments=np.array(sizes),
            validation=[
                objectives.track_scores(voted, validation) for voted in votes(stack.averaged, validation)
            ],
            test=[objectives.track_scores(voted, test) for voted in tested],
            test_predicted=[voted.argmax(1) for voted in tested],
        )


def fitting(head: nn.Module, *, device: torch.device) -> int:
    """How many copies of ``head`` fit into half of the device's free memory, at least one."""
    # Weights, gradients, two moments, an average, and the temporary arrays of a step.
    needed = 10 * sum(parameter.numel() * parameter.element_size() for parameter in head.parameters())
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 4 * 2**30
    return max(1, int(free // (2 * needed)))


class _Stack:
    """Stacked weights, their moments and their average, with AdamW at a rate and a decay for each head."""

    def __init__(
        self,
        head: nn.Module,
        *,
        lr: Sequence[float],
        weight_decay: Sequence[float],
        params: Train,
    ) -> None:
        self.params, self.number = params, 0
        self.weights = {
            name: value.detach().expand(len(lr), *value.shape).clone()
            for name, value in head.named_parameters()
        }
        self.first = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.averaged = (
            {name: value.clone() for name, value in self.weights.items()} if params.ema else self.weights
        )
        # In float64 on the CPU, as in torch.optim.
        self.lr = torch.tensor(lr, dtype=torch.float64)
        self.weight_decay = torch.tensor(weight_decay, dtype=torch.float64)

    @torch.no_grad()
    def step(self, grads: dict[str, torch.Tensor], rate: float) -> None:
        """Make one step of AdamW as in torch.optim, clipped and averaged as in `loop.fit`."""
        self.number += 1
        self._clip(grads)
        corrected = [1 - beta**self.number for beta in _BETAS]
        for name, weights in self.weights.items():
            grad, first, second = grads[name], self.first[name], self.second[name]
            lr = self.lr * rate
            if weights.ndim > 2:  # biases and scales of norms do not decay (the first axis is the head)
                weights.mul_(self._of_each_head(1 - lr * self.weight_decay, weights))
            first.lerp_(grad, 1 - _BETAS[0])
            second.mul_(_BETAS[1]).addcmul_(grad, grad, value=1 - _BETAS[1])
            scale = second.sqrt().div_(corrected[1] ** 0.5).add_(_EPS)
            weights.sub_(first.div(scale).mul_(self._of_each_head(lr / corrected[0], weights)))
        if self.params.ema:
            decay = min(self.params.ema, (1 + self.number) / (10 + self.number))
            torch._foreach_lerp_(list(self.averaged.values()), list(self.weights.values()), 1 - decay)

    def _clip(self, grads: dict[str, torch.Tensor]) -> None:
        if not self.params.clip_norm:
            return
        squares = [grad.square().flatten(1).sum(1) for grad in grads.values()]
        norm = torch.stack(squares).sum(0).sqrt()
        share = (self.params.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for grad in grads.values():
            grad.mul_(share.view(-1, *[1] * (grad.ndim - 1)))

    @staticmethod
    def _of_each_head(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return values.to(weights).view(-1, *[1] * (weights.ndim - 1))
