"""Train a model: AdamW over segments, a validation vote after each epoch, one epoch's weights kept.

`torchrun` may start several processes. All of them draw the same batches, and each takes every n-th segment
of a batch, so that n processes make the same steps as one. A killed training goes on from the last epoch that
it wrote (`resume`).
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from genrepro import models
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.base.files import rounded
from genrepro.base.params import Params, Train
from genrepro.exact import dense
from genrepro.exact.streams import generator
from genrepro.models.shared import batches
from genrepro.models.shared.body import standardise
from genrepro.models.shared.inputs import Features
from genrepro.train import choose, objectives, probe, start
from genrepro.train.augment import augment
from genrepro.train.optimizer import schedule, set_rate
from genrepro.train.parts import parts
from genrepro.train.progress import Average, Epoch, Progress
from genrepro.train.resume import Resume
from genrepro.train.room import require_room
from genrepro.train.start import Start

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


def run(
    features: Features,
    split: pd.DataFrame,
    config: Params,
    description: dict[str, Any],
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    unfinished: Path | None = None,
    watch: Watch | None = None,
    begin: Start | None = None,
    labels: pd.DataFrame | None = None,
) -> tuple[Fit, dict[str, int]]:
    """Build the model of ``description`` and fit it to the training side of ``split``.

    Parameters
    ----------
    features : Features
        Spectrograms, or embeddings of a frozen body. Of embeddings, only the head is built and trained.
    split : DataFrame
    config : Params
    description : dict
        model.json, as `checkpoint.describe` makes it.
    on_epoch : callable
        Called with each finished epoch. A resumed training first calls it with the epochs already done.
    unfinished : Path, optional
        File that keeps the state and from which a killed training goes on. Deleted at the end.
    watch : callable, optional
        See `fit`. With it no progress bar is shown: the caller shows its own.
    begin : Start, optional
        The trained model that ``train.start`` names. What is taken of it is printed.
    labels : DataFrame, optional
        Columns of `tables.LABELS`, for ``train.objective`` multi_task.

    Returns
    -------
    Fit
    dict
        ``num_parameters`` and ``num_trainable_parameters``.

    Raises
    ------
    GenreproError
        If nothing of ``begin`` fits, or not all of it while ``train.epochs`` is 0, or if only a head is
        trained, for which there is no start.
    """
    compute = devices.compute(config.train.precision)
    resume = None if unfinished is None else _resume(unfinished, config, description, compute)
    num_genres = len(features.genres)
    if features.embedded:
        if begin is not None:
            raise GenreproError(
                f"train.start begins with a trained body, and {config.model}.trainable_blocks = 0 freezes "
                "another: set it to 1 or more, or train.start to none."
            )
        model = models.build_head(
            config.model, description[config.model], num_genres=num_genres, inputs=description
        )
        standardise(model, batches.training_rows(features, split))
    else:
        model = models.build(
            config.model, description[config.model], num_genres=num_genres, inputs=description
        )
        models.load_weights(model)
        if begin is not None:
            taken = start.load(
                model, begin, name=config.model, section=description[config.model], description=description
            )
            if not compute.rank:
                print(f"start from {begin.folder}: {taken}")
            if not config.train.epochs and not taken.whole:
                raise GenreproError(
                    f"train.epochs = 0 keeps the start as it is, but it does not fit: {taken}."
                )
    parameters = list(model.parameters())
    body = features.description["body"]["num_parameters"] if features.embedded else 0
    counted = {
        "num_parameters": body + sum(p.numel() for p in parameters),
        "num_trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }
    cutter = batches.Cutter(features.frames, device=compute.device, embedded=features.embedded)
    rng = generator(config.seed, "train.batches")
    params = config.train
    if description["segments"]["representation"] == "mfcc":
        params = replace(params, frequency_shift=0.0, num_frequency_masks=0)  # coefficients are not bands
    if params.objective == "multi_task":
        params = replace(params, frequency_shift=0.0, time_stretch=0.0)  # they would change key and tempo
    voters = batches.of_vote(features, split, cutter, side="validation")
    voting = description["segments"]["voting"]
    if not params.epochs:
        trained = batches.of_vote(features, split, cutter, side="train")
        fitted = as_it_is(
            model,
            trained,
            voters,
            voting=voting,
            objective=objectives.Genre(num_genres=num_genres, params=params),
            compute=compute,
        )
        on_epoch(fitted.best)
        return fitted, counted
    training = batches.of_training(features, split, cutter, params=params, rng=rng)
    objective = _objective(features, split, training, labels, params=params)
    if params.objective == "m2d":  # it has a mask and an average of its own
        params = replace(params, ema=0.0, num_time_masks=0, num_frequency_masks=0)
    with (
        # torch.compile chooses its own kernels for matrix products.
        nullcontext() if params.compile else dense.arithmetic(compute.device, embedded=features.embedded),
        tqdm(
            total=params.epochs,
            desc="train",
            unit=" epochs",
            disable=True if compute.rank or watch else None,
        ) as progress,
    ):

        def advance(epoch: Epoch) -> None:
            progress.set_postfix_str(
                f"loss {epoch.train_loss:.3f}, validation {epoch.validation_accuracy:.3f}"
            )
            progress.update()
            on_epoch(epoch)

        fitted = fit(
            model,
            training=training,
            voters=voters,
            voting=voting,
            num_genres=num_genres,
            params=params,
            compute=compute,
            rng=rng,
            on_epoch=advance,
            resume=resume,
            watch=watch,
            objective=objective,
        )
    if resume is not None and compute.rank == 0:
        resume.done()
    return fitted, counted


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


def _objective(
    features: Features,
    split: pd.DataFrame,
    training: batches.TrainingSegments,
    labels: pd.DataFrame | None,
    *,
    params: Train,
) -> objectives.Genre:
    """What ``train.objective`` names."""
    num_genres, cutter = len(features.genres), training.cutter
    if params.objective == "multi_task":
        assert labels is not None
        return objectives.MultiTask(labels, training, num_genres=num_genres, params=params)
    if params.objective == "m2d":
        return objectives.M2d(
            batches.of_probe(features, split, cutter, at_most=probe.NUM_SEGMENTS),
            batches.of_vote(features, split, cutter, side="validation", role="grid"),
            num_genres=num_genres,
            params=params,
        )
    return objectives.Genre(num_genres=num_genres, params=params)


def _resume(path: Path, config: Params, description: dict[str, Any], compute: devices.Compute) -> Resume:
    identity = {
        **description,
        "seed": config.seed,
        "train": config.section("train"),
        "device": compute.device.type,
        "processes": compute.num_processes,
    }
    return Resume(path, identity)


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
