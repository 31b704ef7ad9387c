"""Claims about the LSTM: both directions, every length, what its dense layer reads."""

import pytest
import torch
from support.builders import make_inputs
from torch import nn

from genrepro import models
from genrepro.base import devices
from genrepro.exact import numerics

CONFIG = {"hidden": 6, "num_layers": 2, "dropout": 0.5, "pooling": "mean_max"}


def build(**overrides: object) -> nn.Module:
    torch.manual_seed(0)
    return models.build("lstm", {**CONFIG, **overrides}, num_genres=4, inputs=make_inputs(num_bands=9)).eval()


def test_segments_of_any_length_give_a_logit_a_genre() -> None:
    for pooling in ["mean_max", "last"]:
        for num_frames in [1, 2, 50]:
            logits = build(pooling=pooling)(torch.randn(3, 1, 9, num_frames))
            assert logits.shape == (3, 4) and torch.isfinite(logits).all()


def test_the_width_of_the_first_layer_is_the_number_of_bands() -> None:
    assert build().recurrent.input_size == 9


def test_the_dense_layer_reads_both_directions() -> None:
    for pooling, width in [("mean_max", 24), ("last", 12)]:
        assert build(pooling=pooling).dense.in_features == width


def test_mean_and_maximum_are_taken_over_time() -> None:
    model, batch = build(), torch.randn(2, 1, 9, 20)
    outputs, _ = model.recurrent(batch[:, 0].transpose(1, 2))
    expected = model.dense(torch.cat([outputs.mean(1), outputs.max(1).values], 1))
    torch.testing.assert_close(model(batch), expected)


def test_the_last_state_is_the_end_of_each_direction() -> None:
    model, batch = build(pooling="last"), torch.randn(2, 1, 9, 20)
    outputs, _ = model.recurrent(batch[:, 0].transpose(1, 2))
    expected = model.dense(torch.cat([outputs[:, -1, :6], outputs[:, 0, 6:]], 1))
    torch.testing.assert_close(model(batch), expected)


def test_a_segment_is_judged_by_itself_and_not_by_its_batch() -> None:
    model, batch = build(), torch.randn(5, 1, 9, 20)
    alone = torch.cat([model(segment[None]) for segment in batch])
    torch.testing.assert_close(model(batch), alone, rtol=1e-4, atol=1e-5)


def test_the_order_of_frames_matters() -> None:
    model, batch = build(), torch.randn(2, 1, 9, 20)
    assert not torch.allclose(model(batch), model(batch.flip(3)), atol=1e-4)


def test_every_parameter_is_trained_by_deterministic_kernels() -> None:
    model = build().train()
    numerics.use_torch(0)
    torch.set_num_threads(1)
    try:
        model(torch.randn(4, 1, 9, 20)).square().sum().backward()
    finally:
        torch.set_deterministic_debug_mode("default")
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_mixed_precision_trains_on_any_processor() -> None:
    model = build().train()
    with devices.compute("bf16-mixed").autocast():
        logits = model(torch.randn(4, 1, 9, 20))
    logits.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_one_layer_gives_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    build(num_layers=1)
    assert not recwarn.list
