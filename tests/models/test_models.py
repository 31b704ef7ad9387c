"""Claims about the networks: five blocks, any segment, one logit a genre."""

import pytest
import torch
from torch import nn

from genrepro import models

CONFIG = {"channels": [4, 6, 8, 10, 12], "dropout": 0.5}


def build(num_genres: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return models.build("cnn", CONFIG, num_genres=num_genres).eval()


def test_the_cnn_has_a_block_for_each_of_its_channels() -> None:
    kinds = [type(module).__name__ for module in build().modules() if not list(module.children())]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"] * 5 + ["Dropout", "Linear"]


def test_the_blocks_have_the_widths_of_the_parameters() -> None:
    convolutions = [module for module in build().modules() if isinstance(module, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (1, 4),
        (4, 6),
        (6, 8),
        (8, 10),
        (10, 12),
    ]


@pytest.mark.parametrize("num_frames", [1, 2, 31, 54, 323])
@pytest.mark.parametrize("num_bands", [8, 109, 128])
def test_segments_of_any_size_give_a_logit_a_genre(num_bands: int, num_frames: int) -> None:
    logits = build(num_genres=7)(torch.randn(2, 1, num_bands, num_frames))
    assert logits.shape == (2, 7) and torch.isfinite(logits).all()


def test_a_segment_is_judged_by_itself_and_not_by_its_batch() -> None:
    model, segments = build(), torch.randn(5, 1, 16, 40)
    alone = torch.cat([model(segment[None]) for segment in segments])
    torch.testing.assert_close(model(segments), alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_is_trained() -> None:
    model = build().train()
    model(torch.randn(4, 1, 32, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
