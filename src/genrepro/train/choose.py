"""Choose the optimiser that ``train.optimizer`` names, and refuse the recipes that it cannot follow.

Schedule-free AdamW: Defazio et al., NeurIPS 2024 (schedulefree). Prodigy: Mishchenko and Defazio, ICML 2024
(prodigyopt). Only AdamW and the hypergradient use torch's fused kernel, so only they give equal bytes on CPUs
of different makers.
"""

from typing import Any

import torch
from torch import nn

from genrepro.base.errors import GenreproError
from genrepro.base.params import Train
from genrepro.train.optimizer import adamw


def optimizer(model: nn.Module, params: Train) -> torch.optim.Optimizer:
    """Build the optimiser. Groups, weight decay and rates by layer are those of `optimizer.adamw`.

    Raises
    ------
    GenreproError
        If the recipe has a key that the optimiser replaces, or if the model has batch norm, whose statistics
        schedule-free's averaged weights would need anew.
    """
    ours = adamw(model, params)
    if params.optimizer == "adamw":
        return ours
    keys = ("params", "lr", "peak_lr", "weight_decay")
    kept = [{key: group[key] for key in keys} for group in ours.param_groups]
    if params.optimizer.startswith("hypergradient"):
        from genrepro.train.hypergradient import STACKED, Hypergradient

        stacked = STACKED if params.optimizer == "hypergradient_stacked" else 0.0
        return Hypergradient(kept, lr=params.lr, fused=True, stacked=stacked)
    if params.optimizer == "prodigy":
        _require(params, "finds one rate for all layers", layer_decay=1.0)
        from prodigyopt import Prodigy

        return Prodigy(kept, lr=params.lr)
    _require(params, "averages the weights itself, at a constant rate", ema=0.0, schedule="constant")
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        raise GenreproError(
            "train.optimizer = schedulefree keeps averaged weights, for which batch norm has no statistics: "
            "choose another optimizer, or a model without batch norm (lstm, vit, ast)."
        )
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(kept, lr=params.lr)


def begin(optimizer: torch.optim.Optimizer) -> None:
    """Before the steps of an epoch: schedule-free moves the weights to where gradients are taken."""
    if hasattr(optimizer, "train"):
        optimizer.train()


def end(optimizer: torch.optim.Optimizer) -> None:
    """Before validation: schedule-free moves the weights to their average."""
    if hasattr(optimizer, "eval"):
        optimizer.eval()


def _require(params: Train, why: str, **wanted: Any) -> None:
    wrong = {key: value for key, value in wanted.items() if getattr(params, key) != value}
    if wrong:
        settings = " and ".join(f"train.{key}={value}" for key, value in wrong.items())
        raise GenreproError(f"train.optimizer = {params.optimizer} {why}: set {settings}.")
