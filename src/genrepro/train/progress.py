"""The state of a running training: its epochs, the average of the weights, all that resuming needs."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from genrepro.train.resume import Resume


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One row of metrics/curves.csv."""

    epoch: int
    """From 1."""
    train_loss: float
    """Cross entropy over the augmented segments, each measured before its step changes the weights."""
    train_accuracy: float
    """Accuracy over the same segments. Of a mixed segment, the genre of the larger part counts."""
    validation_loss: float
    """Cross entropy of the voted probabilities, over tracks."""
    validation_accuracy: float
    """Over tracks."""


class Average:
    """Exponential moving average of the weights and batch statistics. With decay 0, the model itself.

    The decay is at most (1 + step) / (10 + step). It grows with the steps, so that the random first weights
    do not dominate the first epochs.
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


class Progress:
    """Everything that changes while a training runs, and that a resumed training must restore."""

    def __init__(
        self,
        model: nn.Module,
        average: Average,
        optimizer: torch.optim.Optimizer,
        rng: np.random.Generator,
    ) -> None:
        self.model, self.average, self.optimizer, self.rng = model, average, optimizer, rng
        self.curves: list[Epoch] = []
        self.state: dict[str, torch.Tensor] = {}

    @property
    def best(self) -> Epoch:
        return self.curves[self.best_position]

    def add(self, epoch: Epoch, *, better: Callable[[Epoch, Epoch], bool]) -> None:
        """Append an epoch, and keep its weights if it is the best so far."""
        first = not self.curves
        self.curves.append(epoch)
        if first or better(epoch, self.best):
            self.best_position = len(self.curves) - 1
            self.state = {
                name: value.detach().cpu().clone() for name, value in self.average.model.state_dict().items()
            }

    def stalled(self, patience: int) -> bool:
        """Whether the last ``patience`` epochs brought no better one. Always false if ``patience`` is 0."""
        return bool(self.curves and patience) and len(self.curves) - 1 - self.best_position >= patience

    def keep(self, resume: Resume) -> None:
        """Write everything to ``resume``."""
        resume.keep(self._tensors, self._values())

    def restore(self, resume: Resume) -> None:
        """Restore everything from ``resume``, if it has a state of this training."""
        kept = resume.load()
        if kept is None:
            return
        tensors, values = kept
        self.curves = [Epoch(**epoch) for epoch in values["curves"]]
        self.best_position = values["best_position"]
        self.average.step = values["average_step"]
        self.rng.bit_generator.state = values["rng"]
        torch.set_rng_state(tensors.pop("rng.cpu"))
        if "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors.pop("rng.cuda"))
        groups: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            groups.setdefault(kind, {})[rest] = value
        self.state = groups["best"]
        self.model.load_state_dict(groups["model"])
        if self.average.decay:
            self.average.model.load_state_dict(groups["average"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in groups["optimizer"].items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        for group, kept_numbers in zip(self.optimizer.param_groups, values["groups"], strict=True):
            group.update(kept_numbers)
        # The fused kernel needs the moments in the same memory format as their parameters, channels last.
        for parameter, of_it in self.optimizer.state.items():
            for key, value in of_it.items():
                if value.shape == parameter.shape:
                    of_it[key] = torch.empty_like(parameter).copy_(value)

    def _tensors(self) -> dict[str, torch.Tensor]:
        kept = {
            **{f"model.{name}": value for name, value in self.model.state_dict().items()},
            **{f"best.{name}": value for name, value in self.state.items()},
            **{
                f"optimizer.{number}.{key}": torch.as_tensor(value)
                for number, moments in self.optimizer.state_dict()["state"].items()
                for key, value in moments.items()
            },
            "rng.cpu": torch.get_rng_state(),
        }
        if self.average.decay:
            kept |= {f"average.{name}": value for name, value in self.average.model.state_dict().items()}
        if torch.cuda.is_available():
            kept["rng.cuda"] = torch.cuda.get_rng_state()
        return kept

    def _values(self) -> dict[str, Any]:
        return {
            "curves": [asdict(epoch) for epoch in self.curves],
            "best_position": self.best_position,
            "average_step": self.average.step,
            "groups": [_numbers(group) for group in self.optimizer.param_groups],
            "rng": self.rng.bit_generator.state,
        }


def _numbers(group: dict[str, Any]) -> dict[str, float]:
    """What an optimiser counts and measures in a group: schedule-free's steps, Prodigy's distance, a rate."""
    return {key: value for key, value in group.items() if isinstance(value, int | float)}
