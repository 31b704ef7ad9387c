"""The epochs of a training: steps of an optimiser, then a vote on validation. One epoch's weights are kept.

`torchrun` may start several processes. All of them draw the same batches, and each takes every n-th segment
of a batch, so that n processes make the same steps as one. A killed training goes on from the last epoch that
it wrote (`resume`).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from genrepro.base import devices
from genrepro.base.files import rounded
from genrepro.base.params import Train
from genrepro.exact import dense
from genrepro.models.shared import batches
from genrepro.train import choose, objectives
from genrepro.train.augment import augment
from genrepro.train.optimizer import schedule, set_rate
from genrepro.train.parts import parts
from genrepro.train.progress import Average, Epoch, Progress
from genrepro.train.resume import Resume
from genrepro.train.room import require_room

Watch = Callable[[Epoch, nn.Module, list[float], list[float]], None]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The result of a training."""

    state: dict[str, torch.Tensor]
    """The selected epoch's weights, on the CPU. Those of a frozen body are left out."""
    curves: list[Epoch]
    best: Epoch
    """The epoch that ``train.select`` names: the last, or the best by validation."""

    def metrics(self) -> dict[str, float]:
        """The selected epoch's values for metrics/train.json."""
        keys = ("train_loss", "validation_loss", "validation_accuracy")
        return {"best_epoch": self.best.epoch, **{key: rounded(getattr(self.best, key)) for key in keys}}


def as_it_is(
    model: nn.Module,
    trained: batches.FixedSegments,
    voters: batches.FixedSegments,
    *,
    voting: str,
    objective: objectives.Genre,
    compute: devices.Compute,
) -> Fit:
    """Keep ``model`` as it began, as epoch 0: the votes of both sides give all losses and accuracies."""
    model.to(memory_format=torch.channels_last)
    model.to(compute.device)
    with dense.arithmetic(compute.device, embedded=False):
        seen, scores = (objective.scores(model, side, compute, voting=voting) for side in (trained, voters))
    epoch = Epoch(
        epoch=0,
        train_loss=seen["validation_loss"],
        train_accuracy=seen["validation_accuracy"],
        **scores,
    )
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    return Fit(state=state, curves=[epoch], best=epoch)


def fit(
    model: nn.Module,
    *,
    training: batches.TrainingSegments,
    voters: batches.FixedSegments,
    voting: str,
    num_genres: int,
    params: Train,
    compute: devices.Compute,
    rng: np.random.Generator,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    resume: Resume | None = None,
    watch: Watch | None = None,
    objective: objectives.Genre | None = None,
) -> Fit:
    """Train ``model`` and keep the epoch that ``params.select`` names.

    Parameters
    ----------
    model : nn.Module
        Segments (or embeddings) to logits; in training perhaps to those of several networks
        [shape=(batch, num_networks, num_genres)]. Moved to the device.
    training : TrainingSegments
    voters : FixedSegments
        The validation segments.
    voting : str
        How segments vote, see `voting.vote`.
    num_genres : int
    params : Train
    compute : devices.Compute
    rng : np.random.Generator
        The generator that ``training`` draws from. Augmentation draws from it too. Weights and dropout draw
        from torch's generator.
    on_epoch : callable
        Called with each finished epoch.
    resume : Resume, optional
    watch : callable, optional
        Called with each finished epoch, the validated model, and the loss and the accuracy of each batch.
    objective : objectives.Genre, optional
        What is minimised; the genre if it is not given.

    Returns
    -------
    Fit

    Raises
    ------
    GenreproError
        If batches are too small for the processes or for the model's batch norm.
    """
    rank, world = compute.rank, compute.num_processes
    require_room(
        model,
        training,
        voters,
        batch_size=params.batch_size,
        num_processes=world,
        num_parts=params.accumulate,
    )
    objective = objective or objectives.Genre(num_genres=num_genres, params=params)
    module = objective.wrap(model, num_steps=params.epochs * len(training))
    module.to(memory_format=torch.channels_last)  # a third faster on a CPU, and a GPU uses tensor cores
    module.to(compute.device)
    optimizer = choose.optimizer(module, params)
    network: Any = compute.share(module)
    if params.compile:
        network = torch.compile(network)
    if world > 1:
        torch.manual_seed(torch.initial_seed() + rank)  # each process drops out different units
    average = Average(module, decay=params.ema)
    rate = schedule(params, num_steps=params.epochs * len(training))
    progress = Progress(module, average, optimizer, rng)
    if resume is not None:
        progress.restore(resume)
    for epoch in progress.curves:
        on_epoch(epoch)
    while len(progress.curves) < params.epochs and not progress.stalled(params.patience):
        network.train()
        choose.begin(optimizer)
        loss_sum, num_correct, num_seen = (torch.zeros((), device=compute.device) for _ in range(3))
        step = len(progress.curves) * len(training)
        losses, accuracies = [], []
        for segments, labels in training:
            if segments.ndim == 4:
                segments = augment(segments, params=params, rng=rng)
            inputs = objective.inputs(segments, labels, rng)
            share, size = 1.0, len(labels)
            if world > 1:  # DDP's mean over processes: weight each by its number of segments
                share = world * len(range(rank, size, world)) / size
                inputs = tuple(part[rank::world] for part in inputs)
                size = len(inputs[0])
            if segments.ndim == 4:
                inputs = (inputs[0].contiguous(memory_format=torch.channels_last), *inputs[1:])
            set_rate(optimizer, rate(step))
            loss, correct = torch.zeros((2,), device=compute.device)
            for weight, part in parts(inputs, number=params.accumulate):
                of_part, right = objective.loss(network, part, compute)
                (share * weight * of_part).backward()
                loss = loss + weight * of_part.detach()
                correct = correct + right
            if params.clip_norm:
                nn.utils.clip_grad_norm_(module.parameters(), params.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            average.update()
            objective.follow(module)
            step += 1
            # Keep the sums as tensors until the epoch ends: reading one waits for the device.
            loss_sum += loss * size
            num_correct += correct
            num_seen += size
            if watch is not None:
                losses.append(loss)
                accuracies.append(correct / size)
        choose.end(optimizer)
        sums = compute.sum(torch.stack([loss_sum, num_correct, num_seen])).tolist()
        seen = {"train_loss": sums[0] / sums[2], "train_accuracy": sums[1] / sums[2]}
        scores = objective.scores(average.model, voters, compute, voting=voting)
        epoch = Epoch(epoch=len(progress.curves) + 1, **seen | scores)
        progress.add(epoch, better=lambda one, other: _better(one, other, params.select))
        on_epoch(epoch)
        if watch is not None:
            watch(epoch, average.model, torch.stack(losses).tolist(), torch.stack(accuracies).tolist())
        if resume is not None and rank == 0:
            progress.keep(resume)
    return Fit(state=objective.kept(progress.state), curves=progress.curves, best=progress.best)


def diverged(fitted: Fit) -> bool:
    """Whether a loss or score of the selected epoch is not a number."""
    return not all(math.isfinite(value) for value in asdict(fitted.best).values())


def _better(epoch: Epoch, best: Epoch, select: str) -> bool:
    """Whether an epoch beats the best. Of equal ones the first stays. The loss breaks ties of accuracy."""
    if select == "last":
        return True
    if select == "validation_loss":
        return epoch.validation_loss < best.validation_loss
    return (epoch.validation_accuracy, -epoch.validation_loss) > (
        best.validation_accuracy,
        -best.validation_loss,
    )
