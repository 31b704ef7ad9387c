"""AdamW whose learning rate learns: gradient descent on the logarithm of the rate.

Baydin et al., "Online Learning Rate Adaptation with Hypergradient Descent", ICLR 2018, their multiplicative
rule (equation 8), here on the logarithm so that the rate stays above 0. The derivative of the loss with
respect to the logarithm of the last step's rate is the product of the new gradient and the last update. Its
cosine is used, so that the rate of the rate has no unit: if two steps agree, the rate grows by at most a
factor exp(`BETA`).

The rate of the rate can learn too: Chandra et al., "Gradient Descent: The Ultimate Optimizer", NeurIPS 2022,
stack a second descent on the first. The derivative of the loss with respect to the logarithm of beta is, up
to a factor, minus the product of two cosines in a row. If they have one sign, beta was too small.
"""

import math
from typing import Any

import torch

from genrepro.train.optimizer import AdamW

BETA = 0.02
"""Rate of the logarithm of the rate. After 100 steps in one direction, the rate is 7.4 times as large."""

STACKED = 0.2
"""Rate of the logarithm of beta, where beta learns too."""
MAX_BETA = 0.3
"""Largest beta that is learned: in one step, the rate changes by no more than a factor of 1.35."""


class Hypergradient(AdamW):
    """AdamW. All groups share one factor on their rates, which each group keeps under ``log_factor``.

    Parameters
    ----------
    stacked : float
        Rate of the logarithm of beta. 0 keeps beta as it is.
    """

    def __init__(self, params: Any, *, stacked: float = 0.0, **settings: Any) -> None:
        super().__init__(params, **settings)
        for group in self.param_groups:
            group.setdefault("stacked", stacked)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change the factor by the last update and the new gradient, then step."""
        assert closure is None
        trained = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        known = [p for p in trained if "update" in self.state[p]]
        cosine = _cosine([p.grad for p in known], [-self.state[p]["update"] for p in known])
        for group in self.param_groups:
            learned = group.get("beta", BETA) * math.exp(group["stacked"] * cosine * group.get("cosine", 0.0))
            group["beta"], group["cosine"] = min(learned, MAX_BETA), cosine
            group["log_factor"] = group.get("log_factor", 0.0) + group["beta"] * cosine
            group["lr"] *= math.exp(group["log_factor"])
        before = [p.clone() for p in trained]
        super().step()
        for p, old in zip(trained, before, strict=True):
            self.state[p]["update"] = p - old


def _cosine(ones: list, others: list) -> float:
    """Cosine of the angle between two vectors in pieces. 0 if one of them is 0."""
    if not ones:
        return 0.0
    product, one, other = (
        torch.stack([(a * b).sum() for a, b in zip(left, right, strict=True)]).sum().item()
        for left, right in ((ones, others), (ones, ones), (others, others))
    )
    return product / (one * other) ** 0.5 if one and other else 0.0
