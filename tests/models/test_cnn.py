"""Claims about the CNN: its blocks, what the network beside them hears, and that each learns for itself."""

from pathlib import Path

import numpy as np
import scipy.fft
import torch
from support.builders import Toy, make_inputs, make_params
from torch import nn
from torch.nn import functional as F

from genrepro import models
from genrepro.exact import numerics
from genrepro.models.shared import checkpoint
from genrepro.train import fit, objectives

CONFIG = {"channels": [4, 6], "dropout": 0.5, "statistics": 8}
RATE = 10.0  # Hz, of make_inputs


def build(**overrides: object) -> nn.Module:
    torch.manual_seed(0)
    return models.build("cnn", {**CONFIG, **overrides}, num_genres=4, inputs=make_inputs()).eval()


def statistics(segments: torch.Tensor) -> np.ndarray:
    """What the second network reads of 32 bands: 3 x 32 values of timbre, 8 groups x 14 rates of rhythm."""
    return build().members[1].statistics(segments).numpy()


def rhythm(segments: torch.Tensor) -> np.ndarray:
    return statistics(segments)[:, 96:].reshape(-1, 8, 14)


def beating(rate: float, *, phase: float = 0.0, num_frames: int = 100) -> torch.Tensor:
    """All bands swinging at a rate [Hz]."""
    time = torch.arange(num_frames) / RATE
    return torch.sin(2 * torch.pi * rate * time + phase).expand(1, 1, 32, -1)


FIVE = {"channels": [4, 6, 8, 10, 12], "dropout": 0.5}


def test_there_is_a_block_for_each_of_the_channels_as_wide_as_it_says() -> None:
    model = models.build("cnn", FIVE, num_genres=3)
    kinds = [type(module).__name__ for module in model.modules() if not list(module.children())]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"] * 5 + ["Dropout", "Linear"]
    widths = [
        (layer.in_channels, layer.out_channels) for layer in model.modules() if isinstance(layer, nn.Conv2d)
    ]
    assert widths == [(1, 4), (4, 6), (6, 8), (8, 10), (10, 12)]


def test_every_parameter_is_trained() -> None:
    torch.manual_seed(0)
    model = models.build("cnn", FIVE, num_genres=3).train()
    model(torch.randn(4, 1, 32, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_without_it_the_network_is_that_of_the_blocks() -> None:
    torch.manual_seed(0)
    blocks = models.build("cnn", {"channels": [4, 6], "dropout": 0.5}, num_genres=4)
    names = [name for name, _ in build(statistics=0).named_parameters()]
    assert names == [name for name, _ in blocks.named_parameters()]


def test_the_blocks_begin_with_the_same_weights_with_it_and_without() -> None:
    alone, beside = build(statistics=0).state_dict(), build().members[0].state_dict()
    assert all(torch.equal(value, beside[name]) for name, value in alone.items())


def test_segments_of_any_size_give_a_logit_a_genre() -> None:
    for num_frames in (1, 2, 51, 300):
        for num_bands in (1, 3, 109, 128):
            torch.manual_seed(0)
            model = models.build("cnn", CONFIG, num_genres=7, inputs=make_inputs(num_bands=num_bands)).eval()
            logits = model(torch.randn(2, 1, num_bands, num_frames))
            assert logits.shape == (2, 7) and torch.isfinite(logits).all()


def test_timbre_is_mean_and_deviation_of_the_cosine_transform_and_of_its_change() -> None:
    segments = torch.randn(2, 1, 32, 60)
    cepstrum = scipy.fft.dct(segments[:, 0].double().numpy(), axis=1, norm="ortho")
    cepstrum[:, 0] *= np.sqrt(2)  # scipy's orthonormal scale has an exception for the level
    expected = [cepstrum.mean(2), cepstrum.std(2), np.diff(cepstrum, axis=2).std(2)]
    np.testing.assert_allclose(
        statistics(segments)[:, :96], np.concatenate(expected, 1), rtol=1e-4, atol=1e-5
    )


def test_rhythm_is_the_spectrum_of_each_group_of_bands() -> None:
    segments = torch.randn(1, 1, 32, 50)  # one window of 5 s
    levels = segments[0, 0].double().numpy().reshape(8, 4, 50).mean(1)
    window = np.hanning(50)
    spectrum = (
        np.abs(np.fft.rfft((levels - levels.mean(1, keepdims=True)) * window))[:, 1:] * 2 / window.sum()
    )
    means = [part.mean(1) for part in np.array_split(spectrum, 14, axis=1)]
    np.testing.assert_allclose(rhythm(segments)[0], np.log1p(40 * np.stack(means, 1)), rtol=1e-4)


def test_what_swings_at_a_rate_is_heard_at_that_rate() -> None:
    # 25 rates up to 5 Hz in 14 groups: 1 Hz is the fifth and in the third pair, 4 Hz the 20th, in the tenth.
    assert rhythm(beating(1.0))[0].argmax(1).tolist() == [2] * 8
    assert rhythm(beating(4.0))[0].argmax(1).tolist() == [9] * 8


def test_when_the_beat_falls_makes_no_difference() -> None:
    one, later = (rhythm(beating(2.0, phase=phase)) for phase in (0.0, 1.0))
    np.testing.assert_allclose(one.max(2), later.max(2), rtol=0.02)


def test_a_level_that_stays_has_no_rhythm() -> None:
    np.testing.assert_allclose(rhythm(torch.full((1, 1, 32, 70), 3.0)), 0, atol=1e-4)


def test_the_verdict_is_the_mean_of_the_logits() -> None:
    model, segments = build(), torch.randn(5, 1, 32, 60)
    blocks, beside = (member(segments) for member in model.members)
    torch.testing.assert_close(model(segments), (blocks + beside) / 2)
    assert not torch.allclose(blocks, beside)


def test_a_segment_is_judged_by_itself_and_not_by_its_batch() -> None:
    model, segments = build(), torch.randn(5, 1, 32, 60)
    alone = torch.cat([model(segment[None]) for segment in segments])
    torch.testing.assert_close(model(segments), alone, rtol=1e-4, atol=1e-5)


def test_each_network_learns_by_its_own_loss() -> None:
    segments, targets = torch.randn(6, 1, 32, 60), torch.eye(4)[torch.arange(6) % 4]
    pair = build(dropout=0.0).train()
    for module in pair.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    objectives.cross_entropy(pair(segments), targets, 0.1).backward()
    found = [parameter.grad.clone() for parameter in pair.parameters()]
    expected = []
    for member in pair.members:
        member.zero_grad()
        (F.cross_entropy(member(segments), targets, label_smoothing=0.1) / 2).backward()
        expected += [parameter.grad for parameter in member.parameters()]
    assert all(gradient.any() for gradient in found)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_the_constants_are_no_part_of_a_checkpoint() -> None:
    assert not {"cosines", "groups", "waves", "rates"} & {
        name.rpartition(".")[2] for name in build().state_dict()
    }


def test_a_pair_learns_and_comes_back_from_its_file(toy: Toy, tmp_path: Path) -> None:
    recipe = {"epochs": 12, "batch_size": 6, "lr": 0.01, "ema": 0.9, "precision": "32-true"}
    config = make_params(model="cnn", cnn={**CONFIG, "channels": (4, 8)}, train=recipe)
    description = checkpoint.describe(
        model="cnn", section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    numerics.use_torch(0)
    torch.set_num_threads(1)
    fitted, _ = fit.run(toy.features, toy.split, config, description)
    assert fitted.best.validation_accuracy == 1.0 and fitted.best.train_accuracy > 0.5
    checkpoint.save(tmp_path, fitted.state, description)
    model, _ = checkpoint.load(tmp_path)
    assert all(torch.equal(value, fitted.state[name]) for name, value in model.state_dict().items())
