"""A linear probe: fit the last layer of a model to what the layers before it say, and change nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from genrepro.base import devices
from genrepro.models.shared import batches
from genrepro.models.shared.voting import segment_probabilities

PENALTY = 1e-3  # on the squared weights of standardised inputs, beside the mean cross entropy
NUM_SEGMENTS = 1000  # at most; more cost time and change the accuracy little


def fit(model: nn.Module, segments: batches.FixedSegments, compute: devices.Compute) -> float:
    """Fit the last layer by multinomial logistic regression, whose loss has one minimum.

    Parameters
    ----------
    model : nn.Module
        Left in evaluation mode.
    segments : FixedSegments
    compute : devices.Compute

    Returns
    -------
    float
        Accuracy on these segments.
    """
    layer = last_layer(model)
    with inputs_of(layer) as seen:
        segment_probabilities(model, segments, compute)
    inputs = torch.cat(seen).double().cpu()
    labels = torch.from_numpy(segments.label)
    mean, scale = inputs.mean(0), inputs.std(0, correction=0).clamp(min=1e-8)
    inputs = (inputs - mean) / scale
    weight = torch.zeros(layer.out_features, layer.in_features, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(layer.out_features, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(inputs, weight, bias), labels) + PENALTY * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    with torch.no_grad():
        right = (F.linear(inputs, weight, bias).argmax(1) == labels).double().mean().item()
        layer.weight.copy_(weight / scale)
        layer.bias.copy_(bias - weight @ (mean / scale))
    return right


def last_layer(model: nn.Module) -> nn.Linear:
    """The dense layer whose outputs are the genres: in every model the last one."""
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The inputs that a layer gets inside this context, one for each call."""
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()
