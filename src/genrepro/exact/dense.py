"""Compute dense layers with oneDNN on a pinned CPU: the same bytes on Intel and AMD, at full speed.

By default torch computes dense layers with MKL. MKL has one code path that Intel and AMD share
(`numerics.pin`), and it is two to three times slower than the best path of either. oneDNN is pinned to AVX2
instead; torch uses it for convolutions anyway. The operator is the one that torch's own compiler puts in
place of a linear layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F

from genrepro.exact import numerics

# Layers with fewer weights stay with MKL: oneDNN is not faster for them.
MIN_WEIGHTS = 2**16
# Gradients are products with a transposed matrix. If the distance between its columns is a multiple of
# SLOW_STRIDE numbers, as in ViT's feed-forward layers, oneDNN reads it up to five times slower than a copy.
# Copying it pays from MIN_COPY rows on.
SLOW_STRIDE = 1536
MIN_COPY = 128


@contextmanager
def arithmetic(device: torch.device, *, embedded: bool = False) -> Iterator[None]:
    """Compute large dense layers with oneDNN inside this context, if ``device`` is a pinned CPU.

    Parameters
    ----------
    device : torch.device
    embedded : bool
        Whether the model is a head on embeddings. On a CPU such a head computes on one thread: a sweep trains
        one head on each processor, and each head must equal that of its single experiment, to the bit.
        Numbers below 1e-38 become 0: if the learning rate is too high, gradients get that small, and
        computing with them took three times as long.
    """
    threads = torch.get_num_threads()
    linear, fused = F.linear, torch.backends.mha.get_fastpath_enabled()
    flushes = _flushes()
    if device.type == "cpu" and embedded:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # for this thread only
    if device.type == "cpu" and numerics.pinned() and _available():
        # `nn.Linear` and attention look up F.linear at each call; attention's fused kernel calls MKL itself.
        F.linear = _linear
        torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        F.linear = linear
        torch.backends.mha.set_fastpath_enabled(fused)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes)


def _flushes() -> bool:
    """Whether this thread turns denormal numbers into 0. torch has no function that says so."""
    return (torch.tensor(1e-30) * 1e-10).item() == 0


def _available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    plain = input.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or weight.numel() < MIN_WEIGHTS:
        return torch._C._nn.linear(input, weight, bias)
    return _Dense.apply(input, weight, bias)


def _product(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``input @ weight.T + bias``; neither needs to be contiguous."""
    if weight.stride(0) == 1 and weight.stride(1) % SLOW_STRIDE == 0 and input[..., 0].numel() >= MIN_COPY:
        weight = weight.contiguous()  # the same bytes come out
    return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")


class _Dense(torch.autograd.Function):
    """A linear layer and its gradients, each computed by one oneDNN product."""

    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        return _product(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        (grad,) = grads
        of_input = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_input = _product(grad, weight.t())
        rows = grad.reshape(-1, grad.shape[-1])
        if ctx.needs_input_grad[1]:
            of_weight = _product(rows.t(), input.reshape(-1, input.shape[-1]).t())
        if ctx.needs_input_grad[2]:
            of_bias = rows.sum(0)
        return of_input, of_weight, of_bias
