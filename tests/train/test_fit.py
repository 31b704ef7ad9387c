"""Claims about the fit loop: it learns, it repeats itself to the byte, and it keeps the epoch it says."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from support.builders import Toy, make_params, make_toy
from torch import nn

from genrepro import models
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.exact import numerics, streams
from genrepro.models import vit
from genrepro.models.shared import batches, checkpoint
from genrepro.models.shared.inputs import Features
from genrepro.models.shared.voting import segment_probabilities, vote
from genrepro.train import fit as training
from genrepro.train import loop, progress
from genrepro.train.parts import parts

CNN = {"channels": (4, 4, 8, 8, 8), "dropout": 0.0, "statistics": 0}
PLAIN = {
    "epochs": 3,
    "batch_size": 6,
    "lr": 0.01,
    "weight_decay": 0.0,
    "warmup": 0.1,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "num_time_masks": 0,
    "num_frequency_masks": 0,
    "frequency_shift": 0.0,
    "time_stretch": 0.0,
    "ema": 0.0,
    "select": "validation_loss",
    "precision": "32-true",
}


def seed_torch(seed: int) -> None:
    """As the train stage does, but on one thread: two that wait for each other crawl on a busy machine."""
    numerics.use_torch(streams.integer(seed, "train.torch"))
    torch.set_num_threads(1)


def fit(toy: Toy, *, seed: int = 0, **recipe: Any) -> tuple[loop.Fit, dict[str, int]]:
    config = make_params(seed=seed, model="cnn", cnn=CNN, train={**PLAIN, **recipe})
    seed_torch(seed)
    description = checkpoint.describe(
        model="cnn", section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    seen: list[progress.Epoch] = []
    fitted, counts = training.run(
        toy.features,
        toy.split,
        config,
        description,
        on_epoch=seen.append,
    )
    assert seen == fitted.curves
    return fitted, counts


def votes(
    model: nn.Module, packed: Features, split: pd.DataFrame, side: str
) -> tuple[np.ndarray, np.ndarray]:
    """Voted probabilities of a model on one side of a split, and the true labels."""
    cutter = batches.Cutter(packed.frames, device=devices.device(), embedded=packed.embedded)
    voters = batches.of_vote(packed, split, cutter, side=side)
    label = np.zeros(len(voters.spans.track_ids), int)
    label[voters.track] = voters.label
    return vote(segment_probabilities(model, voters), voters.track), label


def vote_of(toy: Toy, state: dict[str, torch.Tensor], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Voted probabilities of a kept model, and the true labels."""
    model = models.build("cnn", {**CNN, "channels": list(CNN["channels"])}, num_genres=3)
    model.load_state_dict(state)
    return votes(model, toy.features, toy.split, side)


def test_what_one_look_tells_apart_is_learnt(toy: Toy) -> None:
    fitted, _ = fit(toy, epochs=12)
    assert fitted.best.validation_accuracy == 1.0
    probabilities, label = vote_of(toy, fitted.state, "test")
    assert accuracy_score(label, probabilities.argmax(1)) == 1.0


def test_it_is_learnt_through_every_augmentation_too(toy: Toy) -> None:
    augmented = {
        "mixup": 0.3,
        "label_smoothing": 0.1,
        "num_time_masks": 2,
        "time_mask": 0.2,
        "num_frequency_masks": 1,
        "frequency_mask": 0.2,
        "time_stretch": 0.2,
        "ema": 0.9,
    }
    fitted, _ = fit(toy, epochs=15, **augmented)
    assert fitted.best.validation_accuracy == 1.0


def digest(fitted: loop.Fit) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in fitted.state.items()}


def test_the_same_seed_gives_the_same_bytes(toy: Toy) -> None:
    recipe = {"mixup": 0.3, "num_time_masks": 1, "time_mask": 0.2, "ema": 0.9}
    one, again = (fit(toy, seed=4, **recipe)[0] for _ in range(2))
    assert digest(one) == digest(again) and one.curves == again.curves


def test_another_seed_gives_another_model(toy: Toy) -> None:
    assert digest(fit(toy, seed=4)[0]) != digest(fit(toy, seed=5)[0])


def test_epochs_are_numbered_from_one(toy: Toy) -> None:
    assert [epoch.epoch for epoch in fit(toy, epochs=3)[0].curves] == [1, 2, 3]


RESTLESS = {"epochs": 8, "lr": 0.1}  # a rate at which validation goes up and down


def test_the_epoch_of_the_lowest_loss_is_kept(toy: Toy) -> None:
    fitted, _ = fit(toy, select="validation_loss", **RESTLESS)
    losses = [epoch.validation_loss for epoch in fitted.curves]
    assert fitted.best == fitted.curves[int(np.argmin(losses))]
    assert len(set(losses)) > 1


def test_the_epoch_of_the_highest_accuracy_is_kept_and_the_loss_breaks_ties(toy: Toy) -> None:
    fitted, _ = fit(toy, select="validation_accuracy", **RESTLESS)
    highest = max(epoch.validation_accuracy for epoch in fitted.curves)
    tied = [epoch for epoch in fitted.curves if epoch.validation_accuracy == highest]
    assert fitted.best == min(tied, key=lambda epoch: epoch.validation_loss)


def test_the_last_epoch_is_kept_however_it_validates(toy: Toy) -> None:
    fitted, _ = fit(toy, select="last", **{**RESTLESS, "epochs": 7})
    assert fitted.best == fitted.curves[-1]
    lowest = min(fitted.curves, key=lambda epoch: epoch.validation_loss)
    assert fitted.best != lowest, "the last epoch happens to be the best: this shows nothing"


@pytest.mark.parametrize(("ema", "select"), [(0.0, "validation_loss"), (0.5, "last")])
def test_the_weights_that_are_kept_have_the_scores_of_their_epoch(toy: Toy, ema: float, select: str) -> None:
    fitted, _ = fit(toy, ema=ema, select=select, **RESTLESS)
    probabilities, label = vote_of(toy, fitted.state, "validation")
    assert fitted.best.validation_loss == pytest.approx(log_loss(label, probabilities), rel=1e-4)
    assert fitted.best.validation_accuracy == accuracy_score(label, probabilities.argmax(1))


def test_the_average_after_one_step_is_the_weighted_mean_of_before_and_after(toy: Toy) -> None:
    one_step = {"epochs": 1, "batch_size": 100}
    seed_torch(0)
    before = models.build("cnn", {**CNN, "channels": list(CNN["channels"])}, num_genres=3).state_dict()
    after = fit(toy, ema=0.0, **one_step)[0].state
    average = fit(toy, ema=0.99, **one_step)[0].state
    decay = min(0.99, (1 + 1) / (10 + 1))
    for name, value in average.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, decay * before[name] + (1 - decay) * after[name])


def test_without_an_average_the_raw_weights_are_kept(toy: Toy) -> None:
    assert digest(fit(toy, ema=0.0)[0]) != digest(fit(toy, ema=0.99)[0])


def test_spans_shorter_than_a_segment_are_no_obstacle(tmp_path: Path) -> None:
    fitted, _ = fit(make_toy(tmp_path, num_frames=6, duration=2.0), epochs=2)
    assert not loop.diverged(fitted)


def test_no_batch_size_is_an_obstacle(toy: Toy) -> None:
    for batch_size in [1, 11, 12, 1000]:
        assert len(fit(toy, epochs=1, batch_size=batch_size)[0].curves) == 1


def test_parameters_are_counted_as_they_are_stored(toy: Toy) -> None:
    fitted, counts = fit(toy, epochs=1)
    of_batch_norm = ("running_mean", "running_var", "num_batches_tracked")
    stored = sum(value.numel() for name, value in fitted.state.items() if not name.endswith(of_batch_norm))
    assert counts == {"num_parameters": stored, "num_trainable_parameters": stored}


def epoch(**changes: float) -> progress.Epoch:
    values = {
        "train_loss": 1.0,
        "train_accuracy": 0.5,
        "validation_loss": 1.0,
        "validation_accuracy": 0.5,
    }
    return progress.Epoch(epoch=1, **{**values, **changes})


def test_a_loss_that_is_no_number_is_noticed() -> None:
    for changes, expected in [
        ({}, False),
        ({"train_loss": float("nan")}, True),
        ({"validation_loss": float("inf")}, True),
    ]:
        best = epoch(**changes)
        assert loop.diverged(loop.Fit(state={}, curves=[best], best=best)) is expected


OTHERS = {
    "vit": {"size": "tiny", "trainable_blocks": 1},
    "ast": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 32,
        "patch_size": 4,
        "stride": 4,
    },
    "lstm": {"hidden": 8, "num_layers": 1},
}


@pytest.mark.parametrize("model", OTHERS)
def test_every_model_is_trained_kept_and_votes_as_it_was_validated(
    model: str, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vit.SIZES, "tiny", {"hidden_dim": 24, "num_heads": 2, "mlp_dim": 48})
    config = make_params(model=model, train={**PLAIN, "epochs": 2, "lr": 0.003}, **{model: OTHERS[model]})
    seed_torch(0)
    description = checkpoint.describe(
        model=model, section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    fitted, counts = training.run(toy.features, toy.split, config, description)
    assert 0 < counts["num_trainable_parameters"] <= counts["num_parameters"]
    checkpoint.save(tmp_path, fitted.state, description)
    kept, _ = checkpoint.load(tmp_path)
    probabilities, label = votes(kept, toy.features, toy.split, "validation")
    assert log_loss(label, probabilities) == pytest.approx(fitted.best.validation_loss, rel=1e-4)


@pytest.mark.parametrize(("plan", "steps"), [("random", 2), ("grid", 8), ("full", 6)])
def test_an_epoch_is_as_long_as_its_plan_says(plan: str, steps: int, tmp_path: Path) -> None:
    toy = make_toy(tmp_path, plan=plan, duration=1.0, num_grid_segments=4, vote_duration=2.0)
    params = make_params(train={**PLAIN, "batch_size": 6}).train
    cutter = batches.Cutter(toy.features.frames, device=devices.device())
    rng = np.random.default_rng(0)
    epoch = list(batches.of_training(toy.features, toy.split, cutter, params=params, rng=rng))
    assert len(epoch) == steps  # of 12 tracks
    assert {segments.shape[-1] for segments, _ in epoch} == {20 if plan == "full" else 10}
    fitted, _ = fit(toy, epochs=12)
    assert fitted.curves[-1].train_accuracy > 0.9


def test_mfcc_are_learnt_from_too(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, representation="mfcc", n_mfcc=6)
    fitted, _ = fit(toy, epochs=12, frequency_shift=0.2, num_frequency_masks=1, frequency_mask=0.2)
    assert fitted.best.validation_accuracy == 1.0
    # Coefficients are no bands: they are neither shifted nor masked.
    assert digest(fitted) == digest(fit(toy, epochs=12)[0])


def test_a_long_gradient_is_scaled_down_to_its_limit(toy: Toy) -> None:
    one_step = {"epochs": 1, "batch_size": 100, "lr": 0.01}
    free, wide, narrow = (digest(fit(toy, clip_norm=norm, **one_step)[0]) for norm in (0.0, 1e6, 1e-7))
    assert free == wide  # a norm below the limit is left alone
    assert free != narrow  # AdamW's epsilon is no longer small beside such a gradient


def test_a_majority_can_vote_in_validation(toy: Toy) -> None:
    spoken = {**toy.features.description["segments"], "voting": "majority"}
    outspoken = Toy(
        features=dataclasses.replace(
            toy.features, description={**toy.features.description, "segments": spoken}
        ),
        split=toy.split,
    )
    mean, majority = fit(toy)[0], fit(outspoken)[0]
    assert [e.train_loss for e in mean.curves] == [e.train_loss for e in majority.curves]
    assert [e.validation_loss for e in mean.curves] != [e.validation_loss for e in majority.curves]


def test_a_compiled_network_learns_the_same(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    # Everything but the C++ compiler, which takes half a minute.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = fit(toy, epochs=2)[0], fit(toy, epochs=2, compile=True)[0]
    assert plain.state.keys() == compiled.state.keys()
    for mine, theirs in zip(plain.curves, compiled.curves, strict=True):
        assert theirs.validation_loss == pytest.approx(mine.validation_loss, abs=1e-3)


def with_statistics(toy: Toy, *, num_tracks: int, batch_size: int, accumulate: int = 1) -> loop.Fit:
    """A training of the pair of networks on the first tracks of the training side."""
    train = toy.split.index[toy.split["split"] == "train"]
    split = toy.split.copy()
    split.loc[train[num_tracks:], "split"] = "excluded"
    config = make_params(
        model="cnn",
        cnn={**CNN, "statistics": 8},
        train={**PLAIN, "epochs": 1, "batch_size": batch_size, "accumulate": accumulate},
    )
    description = checkpoint.describe(
        model="cnn", section=config.architecture(), features=toy.features.description, split_sha256="-"
    )
    seed_torch(0)
    return training.run(toy.features, split, config, description)[0]


@pytest.mark.parametrize(("num_tracks", "batch_size"), [(11, 2), (3, 2), (7, 6), (2, 100)])
def test_a_last_batch_of_one_is_no_obstacle_to_batch_norm(toy: Toy, num_tracks: int, batch_size: int) -> None:
    assert not loop.diverged(with_statistics(toy, num_tracks=num_tracks, batch_size=batch_size))


@pytest.mark.parametrize(("num_tracks", "batch_size"), [(4, 1), (1, 16)])
def test_batches_that_batch_norm_refuses_are_one_sentence(toy: Toy, num_tracks: int, batch_size: int) -> None:
    with pytest.raises(GenreproError, match=rf"train.batch_size = {batch_size} gives batches of one segment"):
        with_statistics(toy, num_tracks=num_tracks, batch_size=batch_size)


# ----------------------------------------------------------------------------------------------------
# Parts of a batch


@pytest.mark.parametrize("number", [1, 2, 3, 7, 50])
def test_the_gradients_of_parts_add_up_to_that_of_the_batch(number: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    inputs, labels = torch.randn(10, 5).double(), torch.randint(0, 3, (10,))
    nn.functional.cross_entropy(model(inputs), labels).backward()
    whole = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    sizes = []
    for share, (some, of_some) in parts((inputs, labels), number=number):
        (share * nn.functional.cross_entropy(model(some), of_some)).backward()
        sizes.append(len(some))
    assert len(sizes) == min(number, 10) and sum(sizes) == 10 and min(sizes) >= 1
    assert whole and len(whole) == 4
    for parameter, expected in zip(model.parameters(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-12, rtol=0)


def test_a_training_in_parts_is_the_training_of_whole_batches(toy: Toy) -> None:
    curves = []
    for accumulate in (1, 2):
        config = make_params(
            model="lstm",  # without batch norm
            lstm={"hidden": 8, "num_layers": 1, "dropout": 0.0},
            train={**PLAIN, "mixup": 0.3, "clip_norm": 0.5, "num_time_masks": 1, "accumulate": accumulate},
        )
        description = checkpoint.describe(
            model="lstm", section=config.architecture(), features=toy.features.description, split_sha256="-"
        )
        seed_torch(0)
        fitted, _ = training.run(toy.features, toy.split, config, description)
        curves.append([dataclasses.astuple(epoch) for epoch in fitted.curves])
    np.testing.assert_allclose(*curves, atol=1e-5)
    assert curves[0] != curves[1]  # it does go through in parts


def test_a_part_of_one_segment_that_batch_norm_refuses_is_one_sentence(toy: Toy) -> None:
    with_statistics(toy, num_tracks=6, batch_size=6)
    with pytest.raises(GenreproError, match=r"set it to 12 or more"):
        with_statistics(toy, num_tracks=6, batch_size=6, accumulate=6)
