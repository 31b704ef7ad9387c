"""Build the optimiser and its learning rates: AdamW, a rate for each layer of a body, three schedules.

AdamW: Loshchilov and Hutter, ICLR 2019. One cycle: Smith and Topin 2018, as in
`torch.optim.lr_scheduler.OneCycleLR`, except that the momentum does not cycle. Layer-wise decay of the rate:
BEiT (Bao et al., ICLR 2022).
"""

import inspect
import math
from collections.abc import Callable

import torch
from torch import nn

from genrepro.base.params import Train

# OneCycleLR's defaults: the rate begins at 1/25 of its peak and ends at 1/10 000 of its first value.
_FIRST, _LAST = 1 / 25, 1 / 25e4


class AdamW(torch.optim.AdamW):
    """torch's AdamW without the decorators for torch.compile, which import the compiler when called.

    The import took longer than an epoch of the default training, and the optimiser is not compiled here.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def adamw(model: nn.Module, params: Train) -> torch.optim.Optimizer:
    """AdamW that decays the weights, but not biases and the scales of norms, which have one dimension.

    Each group keeps its peak rate under ``peak_lr``, and `set_rate` scales it.
    """
    groups = []
    layers = _layers(model) if params.layer_decay < 1 else [list(model.parameters())]
    for depth, parameters in enumerate(reversed(layers)):
        lr = params.lr * params.layer_decay**depth
        for weight_decay, chosen in (
            (params.weight_decay, [p for p in parameters if p.requires_grad and p.ndim > 1]),
            (0.0, [p for p in parameters if p.requires_grad and p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": lr, "peak_lr": lr, "weight_decay": weight_decay})
    # The fused kernel computes its own square roots. The others call MKL, whose last bit depends on the CPU.
    return AdamW(groups, lr=params.lr, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to this share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def schedule(params: Train, *, num_steps: int) -> Callable[[int], float]:
    """The share of the peak rate at each step, counted from 0.

    Parameters
    ----------
    params : Train
        ``schedule`` and ``warmup``. The warm-up is linear, except in one cycle, where it is a cosine.
    num_steps : int
        Number of steps of the whole training.
    """
    warmup = max(1, round(params.warmup * num_steps))

    def cosine(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))

    def constant(step: int) -> float:
        return min(1.0, (step + 1) / warmup)

    def one_cycle(step: int) -> float:
        peak = params.warmup * num_steps - 1  # as in OneCycleLR, where it may be a fraction
        if step <= peak:
            return _ease(_FIRST, 1.0, step / peak if peak > 0 else 1.0)
        return _ease(1.0, _LAST, (step - max(peak, 0)) / max(1.0, num_steps - 1 - max(peak, 0)))

    return {"cosine": cosine, "constant": constant, "one_cycle": one_cycle}[params.schedule]


def _ease(first: float, last: float, share: float) -> float:
    """Half a cosine from one value to another."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


def _layers(model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters by depth. A model without ``layers`` has them all at one depth."""
    layers = getattr(model, "layers", None)
    return layers() if layers is not None else [list(model.parameters())]
