"""Claims about the optimiser: rates of layers, schedules as torch's own, decay of weights alone."""

from typing import Any

import pytest
import torch
from support.builders import make_inputs, make_params
from torch import nn

from genrepro import models
from genrepro.base.params import Train
from genrepro.train import optimizer as optimization


def make_train(**recipe: Any) -> Train:
    return make_params(train={"lr": 0.01, **recipe}).train


def rates(params: Train, num_steps: int) -> list[float]:
    factor = optimization.schedule(params, num_steps=num_steps)
    return [params.lr * factor(step) for step in range(num_steps)]


def torchs(scheduler: Any, num_steps: int, **settings: Any) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.pop("lr", 0.01))
    schedule = scheduler(optimizer, **settings)
    seen = []
    for _ in range(num_steps):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return seen


def test_one_cycle_is_torchs(subtests: pytest.Subtests) -> None:
    for warmup in [0.1, 0.3, 0.5]:
        for num_steps in [20, 57, 500]:
            with subtests.test(num_steps=num_steps, warmup=warmup):
                expected = torchs(
                    torch.optim.lr_scheduler.OneCycleLR,
                    num_steps,
                    max_lr=0.01,
                    total_steps=num_steps,
                    pct_start=warmup,
                    cycle_momentum=False,
                )
                mine = rates(make_train(schedule="one_cycle", warmup=warmup), num_steps)
                assert mine == pytest.approx(expected, abs=1e-12)


def test_the_cosine_after_its_warm_up_is_torchs() -> None:
    mine = rates(make_train(schedule="cosine", warmup=0.2), 50)
    assert mine[:10] == pytest.approx([0.001 * (step + 1) for step in range(10)])
    expected = torchs(torch.optim.lr_scheduler.CosineAnnealingLR, 40, T_max=40)
    assert mine[10:] == pytest.approx(expected, abs=1e-12)


def test_a_constant_rate_stays_after_its_warm_up() -> None:
    mine = rates(make_train(schedule="constant", warmup=0.1), 40)
    assert mine == pytest.approx([0.0025, 0.005, 0.0075] + [0.01] * 37)
    assert rates(make_train(schedule="constant", warmup=0.0), 3) == [0.01] * 3


def test_every_rate_lies_between_nothing_and_its_peak(subtests: pytest.Subtests) -> None:
    for num_steps in [1, 2, 3, 10]:
        for warmup in [0.0, 0.1, 0.5, 0.99]:
            for schedule in ["cosine", "one_cycle", "constant"]:
                with subtests.test(schedule=schedule, warmup=warmup, num_steps=num_steps):
                    mine = rates(make_train(schedule=schedule, warmup=warmup), num_steps)
                    assert all(0 <= rate <= 0.01 + 1e-12 for rate in mine)
                    assert mine[0] > 0


def groups(model: nn.Module, **recipe: Any) -> list[dict[str, Any]]:
    return optimization.adamw(model, make_train(weight_decay=0.3, **recipe)).param_groups


def test_weights_are_decayed_and_biases_and_norms_are_not() -> None:
    model = models.build("cnn", {"channels": [4, 4], "dropout": 0.0}, num_genres=3)
    decayed, spared = groups(model)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4} and {p.ndim for p in spared["params"]} == {1}
    assert sum(len(group["params"]) for group in (decayed, spared)) == len(list(model.parameters()))


AST = {
    **make_params(model="ast").architecture(),
    "hidden_size": 16,
    "num_layers": 3,
    "num_heads": 2,
    "intermediate_size": 32,
    "patch_size": 4,
    "stride": 4,
}


@pytest.mark.parametrize("blocks", ["all", 2])
def test_each_layer_learns_more_slowly_than_the_one_after_it(blocks: int | str) -> None:
    model: Any = models.build("ast", {**AST, "trainable_blocks": blocks}, num_genres=3, inputs=make_inputs())
    rate = {id(p): group["lr"] for group in groups(model, layer_decay=0.5) for p in group["params"]}
    for depth, layer in enumerate(reversed(model.layers())):
        assert {rate[id(p)] for p in layer} <= {0.01 * 0.5**depth}
    assert set(rate) == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(set(rate.values())) == (5 if blocks == "all" else 3)


def test_a_model_without_layers_learns_at_one_rate() -> None:
    model = models.build("cnn", {"channels": [4, 4], "dropout": 0.0}, num_genres=3)
    assert {group["lr"] for group in groups(model, layer_decay=0.5)} == {0.01}


def test_the_rate_of_a_step_is_a_share_of_each_groups_peak() -> None:
    model = models.build("ast", AST, num_genres=3, inputs=make_inputs())
    optimizer = optimization.adamw(model, make_train(layer_decay=0.5))
    optimization.set_rate(optimizer, 0.1)
    optimization.set_rate(optimizer, 0.2)  # from the peak, not from what was set before
    assert {round(group["lr"], 9) for group in optimizer.param_groups} == {
        round(0.002 * 0.5**depth, 9) for depth in range(5)
    }
