"""What a training minimises: genres, genres and all else that a composer knows, or M2D without labels.

An objective wraps the model in the module whose weights are trained, makes the inputs and the loss of a step,
scores an epoch, and says which weights are kept: always those of the model alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from genrepro.base import devices
from genrepro.base.params import Train
from genrepro.exact.streams import generator
from genrepro.models.shared import batches
from genrepro.models.shared.voting import segment_probabilities, vote
from genrepro.train import m2d, probe
from genrepro.train.augment import mix, mixup

# Tempi [beats per minute] that part the classes of a tempo, eight per cent apart.
_TEMPI = np.geomspace(50, 220, 20)


class Genre:
    """Cross entropy of the genre."""

    def __init__(self, *, num_genres: int, params: Train) -> None:
        self.num_genres, self.params = num_genres, params

    def wrap(self, model: nn.Module, *, num_steps: int) -> nn.Module:
        """The module that is trained."""
        return model

    def inputs(
        self, segments: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, ...]:
        """The segments of a step, and what else it needs, a row for each segment."""
        segments, targets = mixup(segments, labels, params=self.params, num_genres=self.num_genres, rng=rng)
        return segments, targets, labels

    def loss(
        self, network: Any, inputs: tuple[torch.Tensor, ...], compute: devices.Compute
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of a step, and how many of its segments are right. They may stay on the device."""
        segments, targets, labels = inputs
        with compute.autocast():
            logits = network(segments)
        logits = logits.float()
        loss = cross_entropy(logits, targets, self.params.label_smoothing)
        return loss, (verdict(logits.detach()).argmax(1) == labels).sum()

    def follow(self, module: nn.Module) -> None:
        """After a step of the optimiser."""

    def scores(
        self, module: nn.Module, voters: batches.FixedSegments, compute: devices.Compute, *, voting: str
    ) -> dict[str, float]:
        """Fields of `progress.Epoch` that are known after an epoch: those of validation at least."""
        probabilities = vote(segment_probabilities(module, voters, compute), voters.track, how=voting)
        loss, accuracy = track_scores(probabilities, voters)
        return {"validation_loss": loss, "validation_accuracy": accuracy}

    def kept(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Of the module's weights, those of the model."""
        return state


class MultiTask(Genre):
    """Genre, tempo, key, metre, instruments and artist, each by a layer of its own; the losses are summed.

    Tempo is one of twenty classes, so that mixup mixes it as it mixes genres. Train accuracy, validation loss
    and accuracy are those of the genre.

    Parameters
    ----------
    labels : DataFrame
        Columns of `tables.LABELS`.
    training : TrainingSegments
        Its segments are labelled with the row of their track from now on.
    num_genres : int
    params : Train
    """

    def __init__(
        self, labels: pd.DataFrame, training: batches.TrainingSegments, *, num_genres: int, params: Train
    ) -> None:
        super().__init__(num_genres=num_genres, params=params)
        spans, device = training.spans, training.cutter.device
        _, first = np.unique(spans.track, return_index=True)
        genre = torch.from_numpy(spans.label[first]).to(device)
        known = labels.set_index("track_id").loc[spans.track_ids]
        classes = {
            "tempo": np.searchsorted(_TEMPI, known["tempo"]),
            **{name: pd.factorize(known[name], sort=True)[0] for name in ("metre", "key", "artist")},
        }
        chosen = [genre, *(torch.from_numpy(of.astype(np.int64)).to(device) for of in classes.values())]
        playing = known["instruments"].str.get_dummies(" ").to_numpy(np.float32).copy()
        rows = [F.one_hot(genre, num_genres), *(F.one_hot(of) for of in chosen[1:])]
        self.genre = genre
        self.sizes = [row.shape[1] for row in rows]
        self.targets = torch.cat([*(row.float() for row in rows), torch.from_numpy(playing).to(device)], 1)
        training.relabel(spans.track)

    def wrap(self, model: nn.Module, *, num_steps: int) -> nn.Module:
        return Heads(model, num_outputs=self.targets.shape[1] - self.num_genres)

    def inputs(
        self, segments: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, ...]:
        segments, targets = mix(segments, self.targets[labels], params=self.params, rng=rng)
        return segments, targets, self.genre[labels]

    def loss(
        self, network: Any, inputs: tuple[torch.Tensor, ...], compute: devices.Compute
    ) -> tuple[torch.Tensor, torch.Tensor]:
        segments, targets, labels = inputs
        with compute.autocast():
            logits = network(segments)
        sizes = [*self.sizes, targets.shape[1] - sum(self.sizes)]
        parts = list(zip(logits.float().split(sizes, 1), targets.split(sizes, 1), strict=True))
        genres, *single, several = parts
        loss = cross_entropy(*genres, self.params.label_smoothing)
        for part in single:
            loss = loss + F.cross_entropy(*part)
        loss = loss + F.binary_cross_entropy_with_logits(*several)
        return loss, (genres[0].detach().argmax(1) == labels).sum()

    def kept(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return _below("model.", state)


class Heads(nn.Module):
    """A model and a layer for the other tasks, which reads what the model's layer of genres reads."""

    def __init__(self, model: nn.Module, *, num_outputs: int) -> None:
        super().__init__()
        self.model = model
        self._last = (probe.last_layer(model),)  # in a tuple, so that it has one name in the state dict
        self.others = nn.Linear(self._last[0].in_features, num_outputs)

    def forward(self, segments: torch.Tensor) -> torch.Tensor:
        """In training logits of genres and of all else, side by side; otherwise of genres alone."""
        if not self.training:
            return self.model(segments)
        with probe.inputs_of(self._last[0]) as seen:
            logits = self.model(segments)
        return torch.cat([logits, self.others(seen[-1])], dim=1)


class M2d(Genre):
    """Masked Modeling Duo (`m2d`). Labels only serve a linear probe, which reads the body and changes it not.

    The probe is fitted after each epoch, into the last layer of the model's head. So an epoch has accuracies,
    and the kept model classifies: the stage `evaluate` measures how much of the genre its body shows.

    Parameters
    ----------
    probed : FixedSegments
        Training segments that the probe is fitted to.
    masked : FixedSegments
        Validation segments that are as long as those of training. Their masks are the same in every epoch.
    num_genres : int
    params : Train
        ``ema`` is the decay of the target encoder.
    """

    def __init__(
        self, probed: batches.FixedSegments, masked: batches.FixedSegments, *, num_genres: int, params: Train
    ) -> None:
        super().__init__(num_genres=num_genres, params=params)
        self.probed, self.masked = probed, masked

    def wrap(self, model: Any, *, num_steps: int) -> nn.Module:
        self.patch_grid = model.patch_grid
        return m2d.Duo(model, decay=self.params.ema, num_steps=num_steps)

    def inputs(
        self, segments: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, ...]:
        rows, columns = self.patch_grid(segments)
        return segments, m2d.draw(len(segments), rows * columns, rng=rng).to(segments.device)

    def loss(
        self, network: Any, inputs: tuple[torch.Tensor, ...], compute: devices.Compute
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with compute.autocast():
            loss = network(*inputs)
        return loss, torch.zeros((), device=loss.device)

    def follow(self, module: Any) -> None:
        module.follow()

    @torch.no_grad()
    def scores(
        self, module: Any, voters: batches.FixedSegments, compute: devices.Compute, *, voting: str
    ) -> dict[str, float]:
        module.eval()
        rng, total = generator(0, "train.m2d"), 0.0
        for segments in self.masked:
            loss, _ = self.loss(module, self.inputs(segments, segments, rng), compute)
            total += loss.item() * len(segments)
        accuracy = probe.fit(module.online, self.probed, compute)
        found = super().scores(module.online, voters, compute, voting=voting)
        return {**found, "train_accuracy": accuracy, "validation_loss": total / len(self.masked.track)}

    def kept(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return _below("online.", state)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Cross entropy. A model of several networks gets the mean of theirs, so each learns by itself."""
    if logits.ndim == 3:
        targets = targets.repeat_interleave(logits.shape[1], dim=0)
        logits = logits.flatten(0, 1)
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def verdict(logits: torch.Tensor) -> torch.Tensor:
    """Logits [shape=(batch, num_genres)]. Those of several networks are averaged, as in inference."""
    return logits if logits.ndim == 2 else logits.mean(dim=1)


def track_scores(probabilities: np.ndarray, voters: batches.FixedSegments) -> tuple[float, float]:
    """Cross entropy and accuracy of voted probabilities [shape=(num_tracks, num_genres)], over tracks."""
    label = np.zeros(len(probabilities), dtype=np.int64)
    label[voters.track] = voters.label
    likelihood = probabilities[np.arange(len(label)), label]
    loss = float(-np.log(np.maximum(likelihood, 1e-12)).mean())
    return loss, float((probabilities.argmax(1) == label).mean())


def _below(prefix: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
