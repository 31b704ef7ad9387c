"""Claims about the other optimisers: each learns, goes on after a kill, and refuses what it cannot follow."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.builders import Toy, make_params

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.models.shared import checkpoint
from genrepro.sweep import heads
from genrepro.train import choose, fit, hypergradient, loop, optimizer, resume

RECIPES: dict[str, dict[str, Any]] = {
    "schedulefree": {"lr": 0.01, "ema": 0.0, "schedule": "constant"},
    "prodigy": {"lr": 1.0, "schedule": "constant"},
    "hypergradient": {"lr": 0.003},
    "hypergradient_stacked": {"lr": 0.003},
}


def make_config(name: str, **recipe: Any) -> Params:
    return make_params(
        model="lstm",
        lstm={"hidden": 8, "num_layers": 1, "dropout": 0.1},
        train={"epochs": 6, "batch_size": 4, "mixup": 0.0, "optimizer": name}
        | RECIPES.get(name, {})
        | recipe,
    )


def train(toy: Toy, config: Params, unfinished: Path | None = None, *, killed_after: int = 99) -> loop.Fit:
    torch.manual_seed(3)
    description = checkpoint.describe(
        model="lstm", section=config.architecture(), features=toy.features.description, split_sha256="-"
    )

    def on_epoch(epoch: fit.Epoch) -> None:
        if epoch.epoch > killed_after:
            raise KeyboardInterrupt

    return fit.run(
        toy.features, toy.split, config, description, on_epoch=on_epoch, unfinished=unfinished
    )[0]  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_training_ends_with_the_bytes_of_an_undisturbed_one(
    name: str, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)
    whole, unfinished = train(toy, make_config(name)), tmp_path / "unfinished.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(toy, make_config(name), unfinished, killed_after=3)
    assert unfinished.is_file()
    resumed = train(toy, make_config(name), unfinished)
    assert resumed.curves == whole.curves
    assert all(torch.equal(value, whole.state[key]) for key, value in resumed.state.items())


@pytest.mark.parametrize("name", RECIPES)
def test_it_learns_what_is_easy(name: str, toy: Toy) -> None:
    curves = train(toy, make_config(name, epochs=30)).curves
    assert curves[-1].validation_accuracy == 1.0
    assert curves[-1].validation_loss < curves[0].validation_loss


def test_the_optimisers_are_five_different_ones(toy: Toy) -> None:
    recipe = {"lr": 0.01, "ema": 0.0, "schedule": "constant"}
    names = ["adamw", *RECIPES]
    states = [train(toy, make_config(name, **recipe)).state for name in names]
    some = {
        value["dense.weight" if "dense.weight" in value else next(iter(value))].numpy().tobytes()
        for value in states
    }
    assert len(some) == 5


def test_adamw_is_the_one_that_it_was() -> None:
    model = torch.nn.Linear(2, 2)
    chosen = choose.optimizer(model, make_config("adamw").train)
    assert type(chosen) is optimizer.AdamW


@pytest.mark.parametrize(
    ("name", "recipe", "sentence"),
    [
        ("schedulefree", {"ema": 0.99}, r"at a constant rate: set train\.ema=0\.0\."),
        ("schedulefree", {"schedule": "cosine"}, r"set train\.schedule=constant"),
        ("prodigy", {"layer_decay": 0.75}, r"one rate for all layers: set train\.layer_decay=1\.0"),
    ],
)
def test_a_recipe_that_it_cannot_follow_is_refused(name: str, recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GenreproError, match=sentence):
        choose.optimizer(torch.nn.Linear(2, 2), make_config(name, **recipe).train)


def test_averaged_weights_refuse_batch_norm() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    with pytest.raises(GenreproError, match="batch norm has no statistics"):
        choose.optimizer(model, make_config("schedulefree").train)


def test_a_sweep_refuses_all_but_adamw(toy: Toy, tmp_path: Path) -> None:
    frozen = dataclasses.replace(toy.features, description=toy.features.description | {"body": {}})
    for change, sentence in (({"optimizer": "prodigy"}, "is for AdamW"), ({"start": "a"}, "must be none")):
        config = make_params(model="vit", train=change)
        with pytest.raises(GenreproError, match=sentence):
            heads.run(frozen, toy.split, config, {}, [], folder=tmp_path)


def quadratic(weights: torch.Tensor) -> torch.Tensor:
    return (torch.tensor([1.0, 4.0, 9.0]) * (weights - 1) ** 2).sum()


def test_the_hypergradient_is_the_derivative_of_the_loss_by_the_logarithm_of_the_rate() -> None:
    """By finite differences: no step of this project's code is used for the reference."""

    def after_one_step(lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        weights = torch.zeros(3, requires_grad=True)
        adam = torch.optim.AdamW([weights], lr=lr, weight_decay=0.1)
        quadratic(weights).backward()
        adam.step()
        return weights.detach(), quadratic(weights.detach())

    lr, step = 0.05, 1e-2
    slope = (after_one_step(lr * math.exp(step))[1] - after_one_step(lr * math.exp(-step))[1]) / (2 * step)
    weights = after_one_step(lr)[0].requires_grad_()
    quadratic(weights).backward()
    assert weights.grad is not None
    gradient, update = weights.grad, weights.detach()  # it began at 0
    torch.testing.assert_close(gradient @ update, slope, rtol=1e-3, atol=0)
    cosine = float(slope / gradient.norm() / update.norm())

    ours = torch.zeros(3, requires_grad=True)
    learner = hypergradient.Hypergradient([ours], lr=lr, weight_decay=0.1, fused=True)
    for _ in range(2):
        learner.zero_grad()
        quadratic(ours).backward()
        learner.step()
    found = learner.param_groups[0]["log_factor"]
    assert found == pytest.approx(-hypergradient.BETA * cosine, rel=1e-3)
    assert found > 0  # a rate that is too small grows


@pytest.mark.parametrize("stacked", [0.0, hypergradient.STACKED])
def test_the_rate_follows_an_independent_implementation(stacked: float) -> None:
    lr, beta1, beta2, eps = 0.5, 0.9, 0.999, 1e-8
    ours = torch.zeros(3, requires_grad=True)
    learner = hypergradient.Hypergradient([ours], lr=lr, weight_decay=0.0, fused=True, stacked=stacked)
    log_beta, before = math.log(hypergradient.BETA), 0.0
    scale, weights, log_rate = np.array([1.0, 4.0, 9.0]), np.zeros(3), math.log(lr)
    first, second, update = np.zeros(3), np.zeros(3), np.zeros(3)
    rates = []
    for step in range(1, 41):
        gradient = 2 * scale * (weights - 1)
        if update.any():
            norms = np.linalg.norm(gradient) * np.linalg.norm(update)
            cosine = -float(gradient @ update) / norms
            log_beta = min(log_beta + stacked * cosine * before, math.log(hypergradient.MAX_BETA))
            log_rate += math.exp(log_beta) * cosine
            before = cosine
        first, second = beta1 * first + (1 - beta1) * gradient, beta2 * second + (1 - beta2) * gradient**2
        update = first / (1 - beta1**step) / (np.sqrt(second / (1 - beta2**step)) + eps)
        update *= -math.exp(log_rate)
        weights = weights + update
        rates.append(math.exp(log_rate))
        learner.zero_grad()
        quadratic(ours).backward()
        learner.param_groups[0]["lr"] = lr  # as `set_rate` does before each step
        learner.step()
        assert learner.param_groups[0]["lr"] == pytest.approx(rates[-1], rel=1e-3)
    assert min(rates) < lr  # 0.5 overshoots, so the rate falls
    np.testing.assert_allclose(ours.detach().numpy(), weights, rtol=1e-2, atol=1e-3)


def test_a_rate_a_thousand_times_too_small_is_found_by_the_stack_alone() -> None:
    def left(stacked: float) -> float:
        """Share of the loss that is left after 100 steps."""
        weights = torch.zeros(3, requires_grad=True)
        learner = hypergradient.Hypergradient(
            [weights], lr=1e-5, weight_decay=0.0, fused=True, stacked=stacked
        )
        for _ in range(100):
            learner.zero_grad()
            quadratic(weights).backward()
            learner.param_groups[0]["lr"] = 1e-5
            learner.step()
        return float(quadratic(weights.detach()) / quadratic(torch.zeros(3)))

    assert left(0.0) > 0.9
    assert left(hypergradient.STACKED) < 0.1
