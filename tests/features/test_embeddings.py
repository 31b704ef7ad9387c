"""Claims about kept embeddings: what is trained on them is what the body in the loop would give."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss
from support.builders import Toy, alone, make_params, make_toy

from genrepro import models
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.evaluate import scores
from genrepro.exact.streams import generator
from genrepro.features import embeddings
from genrepro.models import vit
from genrepro.models.shared import batches, checkpoint, inputs
from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import fixed_spans
from genrepro.models.shared.voting import segment_probabilities, vote
from genrepro.train import fit, loop

AST = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_size": 32,
    "patch_size": 4,
    "stride": 4,
    "trainable_blocks": 0,
}
VIT = {"size": "tiny", "trainable_blocks": 0}
SECTIONS: dict[str, dict[str, Any]] = {"ast": AST, "vit": VIT}
RECIPE = {"epochs": 4, "batch_size": 5, "lr": 0.0005, "ema": 0.5, "mixup": 0.3}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ViT of twelve layers that takes a tenth of the time."""
    monkeypatch.setitem(vit.SIZES, "tiny", {"hidden_dim": 24, "num_heads": 2, "mlp_dim": 48})


def make_config(model: str, **recipe: Any) -> Any:
    return make_params(model=model, train={**RECIPE, **recipe}, **{model: SECTIONS[model]})


def embed(toy: Toy, config: Any) -> tuple[Features, Any]:
    model = models.with_frozen_body(
        config.model, config.architecture(), num_genres=3, inputs=toy.features.description
    )
    return embeddings.embed(toy.features, toy.split, model, compute=devices.compute("32-true")), model


def describe(config: Any, packed: Features) -> dict[str, Any]:
    return checkpoint.describe(
        model=config.model,
        section=config.architecture(),
        features={**packed.description, "sha256": "-"},
        split_sha256="-",
    )


def train(packed: Features, toy: Toy, config: Any) -> fit.Fit:
    torch.manual_seed(0)
    fitted, _ = fit.run(packed, toy.split, config, describe(config, packed))
    return fitted


class Looped(batches.Cutter):
    """Runs the body on every segment each time it is asked for: what a report without a cache does."""

    def __init__(self, model: Any, toy: Toy, packed: Features) -> None:
        super().__init__(toy.features.frames, device=torch.device("cpu"))
        self.model, self.toy, self.packed = model, toy, packed
        self.num_runs = 0
        places = [
            fixed_spans(toy.features, toy.split, side=side, role=role)
            for side in ("train", "validation", "test")
            for role in embeddings.ROLES
        ]
        rows = [
            fixed_spans(packed, toy.split, side=side, role=role)
            for side in ("train", "validation", "test")
            for role in embeddings.ROLES
        ]
        self.place = {
            row: (first, length)
            for mine, theirs in zip(rows, places, strict=True)
            for row, first, length in zip(
                mine.first_frame, theirs.first_frame, theirs.num_frames, strict=True
            )
        }

    def cut(self, first: np.ndarray, length: np.ndarray, place: np.ndarray) -> torch.Tensor:
        self.num_runs += len(first)
        where = np.array([self.place[row] for row in first])
        steps = np.arange(where[0, 1])[None]
        segments = super().cut(where[:, 0], where[:, 1], np.repeat(steps, len(where), axis=0))
        with torch.no_grad():
            return self.model.eval().embed(segments)


# Each plan with the quick model, the slow one once: a plan does not depend on the model.
@pytest.mark.parametrize(
    ("model", "plan"), [("ast", "random"), ("ast", "grid"), ("ast", "full"), ("vit", "random")]
)
def test_kept_embeddings_give_the_loss_curve_of_the_body_in_the_loop(
    model: str, plan: str, tmp_path: Path
) -> None:
    toy = make_toy(tmp_path, plan=plan, vote_duration=3.0, num_segments=2, num_grid_segments=3)
    config = make_config(model, epochs=2 if model == "vit" else 4)
    packed, whole = embed(toy, config)
    kept = train(packed, toy, config)

    looped = Looped(whole, toy, packed)
    torch.manual_seed(0)
    rng = generator(config.seed, "train.batches")
    fitted = loop.fit(
        models.build_head(model, config.architecture(), num_genres=3),
        training=batches.of_training(packed, toy.split, looped, params=config.train, rng=rng),
        voters=batches.of_vote(packed, toy.split, looped, side="validation"),
        voting="mean",
        num_genres=3,
        params=config.train,
        compute=devices.compute("32-true"),
        rng=rng,
    )
    assert looped.num_runs > config.train.epochs * 12
    for mine, theirs in zip(kept.curves, fitted.curves, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, abs=1e-5)
        assert mine.validation_loss == pytest.approx(theirs.validation_loss, abs=1e-5)
    assert len({epoch.train_loss for epoch in kept.curves}) == config.train.epochs


def by_plan(toy_folder: Path, plan: str) -> list[int]:
    toy = make_toy(toy_folder, plan=plan, duration=1.0, vote_duration=2.0, num_grid_segments=4)
    packed, _ = embed(toy, make_config("ast"))
    cutter = batches.Cutter(packed.frames, device=torch.device("cpu"), embedded=True)
    params = make_config("ast", batch_size=1).train
    epoch = batches.of_training(packed, toy.split, cutter, params=params, rng=np.random.default_rng(0))
    rows = {tuple(row): number for number, row in enumerate(packed.frames.tolist())}
    return [rows[tuple(segment[0].tolist())] for segment, _ in epoch]


def test_an_epoch_takes_one_segment_of_each_track_or_all_of_the_grid_or_those_that_vote(
    tmp_path: Path,
) -> None:
    for plan in ("random", "grid", "full"):
        (tmp_path / plan).mkdir()
    taken = {plan: by_plan(tmp_path / plan, plan) for plan in ("random", "grid", "full")}
    num_tracks = 12
    assert len(set(taken["random"])) == num_tracks and set(taken["random"]) < set(taken["grid"])
    assert len(set(taken["grid"])) == len(taken["grid"]) == 4 * num_tracks
    assert len(taken["full"]) == 3 * num_tracks and not set(taken["full"]) & set(taken["grid"])


def test_a_segment_that_both_votes_and_trains_is_embedded_once(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, num_grid_segments=3)  # 3 of 2 s, as those that vote
    packed, _ = embed(toy, make_config("ast"))
    assert len(packed.frames) == 3 * 24
    assert len(packed.index) == 2 * 3 * 24


def test_pieces_of_a_track_keep_to_their_side(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, num_grid_segments=2)
    rows = [
        {"track_id": track_id, "segment": piece, "split": ("train", "validation", "test")[piece % 3]}
        for track_id in toy.features.index["track_id"]
        for piece in range(4)
    ]
    pieces = Toy(features=toy.features, split=pd.DataFrame(rows))
    packed, _ = embed(pieces, make_config("ast"))
    sides = {
        side: set(fixed_spans(packed, pieces.split, side=side, role="grid").first_frame)
        for side in ("train", "validation", "test")
    }
    assert [len(rows) for rows in sides.values()] == [48, 24, 24]
    assert not sides["train"] & sides["validation"] and not sides["train"] & sides["test"]


def test_they_survive_the_disk(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    packed, _ = embed(toy, make_config("ast"))
    inputs.save(packed, tmp_path / "embedded", inputs.EMBEDDED)
    read = inputs.load(tmp_path / "embedded")
    np.testing.assert_array_equal(read.frames, packed.frames)
    for role in embeddings.ROLES:
        for mine, theirs in zip(
            vars(fixed_spans(read, toy.split, side="test", role=role)).values(),
            vars(fixed_spans(packed, toy.split, side="test", role=role)).values(),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("model", SECTIONS)
def test_a_kept_head_finds_its_body_again_and_votes_as_it_was_validated(
    model: str, toy: Toy, tmp_path: Path
) -> None:
    config = make_config(model)
    packed, _ = embed(toy, config)
    fitted = train(packed, toy, config)
    description = describe(config, packed)
    checkpoint.save(tmp_path, fitted.state, description)
    torch.manual_seed(99)  # whatever the state of the generator is
    whole, description = checkpoint.load(tmp_path)
    cutter = batches.Cutter(toy.features.frames, device=torch.device("cpu"))
    voters = batches.of_vote(toy.features, toy.split, cutter, side="validation")
    probabilities = vote(segment_probabilities(whole, voters), voters.track)
    label = np.zeros(len(probabilities), int)
    label[voters.track] = voters.label
    assert log_loss(label, probabilities) == pytest.approx(fitted.best.validation_loss, abs=1e-5)
    # And the evaluation, which never builds the body, says the same of the test tracks.
    head, _ = checkpoint.load(tmp_path, with_body=False)
    evaluate = make_params().evaluate
    fast = scores.run(
        head, description, packed_as(packed, "-"), toy.split, group=alone(toy.split), params=evaluate
    )
    slow = scores.run(
        whole, description, packed_as(toy.features, "-"), toy.split, group=alone(toy.split), params=evaluate
    )
    assert fast.test == slow.test
    assert fast.predictions.equals(slow.predictions)


def packed_as(packed: Features, sha256: str) -> Features:
    return Features(
        frames=packed.frames,
        index=packed.index,
        description={**packed.description, "sha256": sha256},
    )


def test_a_changed_body_is_noticed(toy: Toy, tmp_path: Path) -> None:
    config = make_config("ast")
    packed, _ = embed(toy, config)
    description = describe(config, packed)
    description["body"] = {**description["body"], "sha256": "of another"}
    checkpoint.save(tmp_path, train(packed, toy, config).state, description)
    with pytest.raises(
        GenreproError, match=r"no longer the one .* `dvc repro --force --single-item features`"
    ):
        checkpoint.load(tmp_path)


def test_the_body_is_counted_though_it_is_not_built(toy: Toy) -> None:
    config = make_config("ast")
    packed, whole = embed(toy, config)
    _, counts = fit.run(packed, toy.split, config, describe(config, packed))
    assert counts["num_parameters"] == sum(p.numel() for p in whole.parameters())
    assert counts["num_trainable_parameters"] == sum(p.numel() for p in whole.head.parameters())


def test_the_random_body_is_the_same_whatever_the_seed(toy: Toy) -> None:
    torch.manual_seed(1)
    one, first = embed(toy, make_config("ast"))
    torch.manual_seed(2)
    other, second = embed(toy, make_config("ast"))
    assert first.body_sha256() == second.body_sha256()
    np.testing.assert_array_equal(one.frames, other.frames)


def test_training_draws_the_same_numbers_wherever_the_embeddings_come_from(toy: Toy) -> None:
    # Building the body must not move torch's generator, from which the head is drawn.
    config = make_config("ast")
    torch.manual_seed(5)
    models.with_frozen_body("ast", config.architecture(), num_genres=3, inputs=toy.features.description)
    after = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(3))
