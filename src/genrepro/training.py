"""The fit loop: AdamW over random segments, a validation vote each epoch, one epoch's weights kept."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from genrepro import devices, models
from genrepro.augment import augment, mixup
from genrepro.batches import Cutter, EvenSegments, RandomCrops
from genrepro.features import Features, segment_frames, spans
from genrepro.params import Params, Train
from genrepro.streams import generator
from genrepro.voting import segment_probabilities, vote


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One row of metrics/curves.csv."""

    epoch: int
    """From 1."""
    train_loss: float
    """Cross entropy over the epoch's own augmented segments, while the weights move."""
    train_accuracy: float
    """Likewise, against the genre of the larger part where mixup mixes."""
    validation_loss: float
    """Cross entropy of the voted probabilities, over tracks."""
    validation_accuracy: float
    """Over tracks."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training leaves."""

    state: dict[str, torch.Tensor]
    """The selected epoch's weights, on the CPU."""
    curves: list[Epoch]
    best: Epoch
    """The selected epoch: the last, or the best by validation, as ``train.select`` says."""


def run(
    features: Features,
    split: pd.DataFrame,
    config: Params,
    description: dict[str, Any],
    *,
    on_epoch: Callable[[Epoch], None],
) -> tuple[Fit, dict[str, int]]:
    """Build the model of ``description`` and fit it to the training side of ``split``.

    Returns
    -------
    Fit
    dict
        ``num_parameters`` and ``num_trainable_parameters``.
    """
    section = description[config.model]
    model = models.build(config.model, section, num_genres=len(features.genres), inputs=description)
    models.load_weights(model)
    fabric = devices.fabric(config.train.precision)
    cutter = Cutter(features.frames, device=fabric.device)
    train, validation = (
        spans(features.index, split, side=side, genres=features.genres) for side in ("train", "validation")
    )
    rng = generator(config.seed, "train.batches")
    with tqdm(total=config.train.epochs, desc="train", unit=" epochs", disable=None) as progress:

        def advance(epoch: Epoch) -> None:
            progress.set_postfix_str(
                f"loss {epoch.train_loss:.3f}, validation {epoch.validation_accuracy:.3f}"
            )
            progress.update()
            on_epoch(epoch)

        fitted = fit(
            model,
            crops=RandomCrops(
                cutter,
                train,
                segment_frames=segment_frames(features.description),
                batch_size=config.train.batch_size,
                time_stretch=config.train.time_stretch,
                rng=rng,
            ),
            voters=EvenSegments(
                cutter,
                validation,
                segment_frames=segment_frames(features.description, "vote_duration"),
                num_segments=features.description["segments"]["num_segments"],
            ),
            num_genres=len(features.genres),
            params=config.train,
            fabric=fabric,
            rng=rng,
            on_epoch=advance,
        )
    parameters = list(model.parameters())
    return fitted, {
        "num_parameters": sum(p.numel() for p in parameters),
        "num_trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }


def fit(
    model: nn.Module,
    *,
    crops: RandomCrops,
    voters: EvenSegments,
    num_genres: int,
    params: Train,
    fabric: Any,
    rng: np.random.Generator,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Fit:
    """Train ``model`` and keep the epoch that ``params.select`` names.

    Parameters
    ----------
    model : nn.Module
        Segments to logits; moved to the fabric's device.
    crops : RandomCrops
        The training batches.
    voters : EvenSegments
        The validation segments.
    num_genres : int
    params : Train
    fabric : lightning_fabric.Fabric
        Device and precision.
    rng : np.random.Generator
        Augmentation; weights and dropout draw from torch's own generator.
    on_epoch : callable
        Called with each finished epoch.

    Returns
    -------
    Fit
    """
    model.to(memory_format=torch.channels_last)  # a third faster on a CPU, tensor cores on a GPU
    network, optimizer = fabric.setup(model, _optimizer(model, params))
    average = _Average(model, decay=params.ema)
    factor = _warmup_cosine(params, steps=params.epochs * len(crops))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    curves: list[Epoch] = []
    best, state = None, {}
    for number in range(1, params.epochs + 1):
        network.train()
        loss_sum, num_correct, num_seen = torch.zeros(()), torch.zeros(()), 0
        for segments, labels in crops:
            segments = augment(segments, params=params, rng=rng)
            segments, targets = mixup(segments, labels, params=params, num_genres=num_genres, rng=rng)
            logits = network(segments.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, targets, label_smoothing=params.label_smoothing)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            average.update()
            # Sums stay tensors until the epoch's end: reading one would wait for the device.
            loss_sum = loss_sum + loss.detach() * len(labels)
            num_correct = num_correct + (logits.detach().argmax(1) == labels).sum()
            num_seen += len(labels)
        probabilities = vote(segment_probabilities(average.model, voters, fabric), voters.track)
        epoch = Epoch(
            epoch=number,
            train_loss=float(loss_sum) / num_seen,
            train_accuracy=float(num_correct) / num_seen,
            **_validation_scores(probabilities, voters),
        )
        curves.append(epoch)
        on_epoch(epoch)
        if best is None or _better(epoch, best, params.select):
            best = epoch
            state = {name: value.detach().cpu().clone() for name, value in average.model.state_dict().items()}
    assert best is not None, "params.Train has at least one epoch"
    return Fit(state=state, curves=curves, best=best)


def diverged(fitted: Fit) -> bool:
    """Whether a loss or score of the selected epoch is not a number."""
    return not all(math.isfinite(value) for value in asdict(fitted.best).values())


class _Average:
    """Exponential moving average of the weights and batch statistics; with decay 0, the model itself.

    The decay grows with the steps, (1 + step) / (10 + step) at most, so that the first epochs are not mostly
    the random start.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay, self.step = decay, 0
        self.model = copy.deepcopy(model).requires_grad_(False) if decay else model
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        floats = [(mine, theirs) for mine, theirs in pairs if mine.is_floating_point()]
        self.mine, self.theirs = [mine for mine, _ in floats], [theirs for _, theirs in floats]

    @torch.no_grad()
    def update(self) -> None:
        if not self.decay:
            return
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.mine, self.theirs, 1 - decay)


def _optimizer(model: nn.Module, params: Train) -> torch.optim.Optimizer:
    """AdamW that decays weights but neither biases nor batch norm's scales, which have one dimension."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # The fused kernel takes its own square roots; the others ask MKL, whose last bit differs between vendors.
    return torch.optim.AdamW(groups, lr=params.lr, fused=True)


def _warmup_cosine(params: Train, *, steps: int) -> Callable[[int], float]:
    warmup = max(1, round(params.warmup * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def _validation_scores(probabilities: np.ndarray, voters: EvenSegments) -> dict[str, float]:
    label = np.zeros(len(probabilities), dtype=np.int64)
    label[voters.track] = voters.label
    likelihood = probabilities[np.arange(len(label)), label]
    return {
        "validation_loss": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "validation_accuracy": float((probabilities.argmax(1) == label).mean()),
    }


def _better(epoch: Epoch, best: Epoch, select: str) -> bool:
    """Strictly better, so that of equal epochs the first is kept; accuracy ties are broken by the loss."""
    if select == "last":
        return True
    if select == "validation_loss":
        return epoch.validation_loss < best.validation_loss
    return (epoch.validation_accuracy, -epoch.validation_loss) > (
        best.validation_accuracy,
        -best.validation_loss,
    )
