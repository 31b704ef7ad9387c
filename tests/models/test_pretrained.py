"""Claims about tuned bodies of pictures: what is trained, and that a kept model predicts as it was "
"trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import bodies
from support.builders import make_params, make_toy

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.models import pretrained
from genrepro.models.shared import body, checkpoint
from genrepro.train import fit
from genrepro.train.parts import parts


def section(folder: Path, **overrides: Any) -> dict[str, Any]:
    given = {"weights": str(folder), "trainable_blocks": 1, **overrides}
    return make_params(model="pretrained", pretrained=given, head={"kind": "linear"}).architecture()


INPUTS = {"mel": {"top_db": 80.0}, "segments": {"representation": "log_mel"}, "mean": -40.0, "std": 20.0}


def build(folder: Path, **overrides: Any) -> pretrained.PictureModel:
    bodies.write(folder, "dinov2")
    return pretrained.build(section(folder, **overrides), num_genres=3, inputs=INPUTS)


def trained(model: pretrained.PictureModel) -> set[str]:
    return {name for name, value in model.body.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("blocks", [0, 1, "all", "lora"])
def test_only_what_is_named_is_trained(blocks: int | str, tmp_path: Path) -> None:
    model = build(tmp_path, trainable_blocks=blocks)
    names = trained(model)
    everything = {name for name, _ in model.body.named_parameters()}
    if blocks == "all":
        assert names == everything
    elif blocks == "lora":
        assert names == {name for name in everything if "lora_" in name}
        assert len(names) == 2 * 2 * 6  # of two blocks, six dense layers each
    else:
        layers = {name.split(".")[2] for name in names if name.startswith("encoder.layer.")}
        assert layers == ({"1"} if blocks else set())
        assert {name for name in names if name.startswith("layernorm")} == (
            {"layernorm.weight", "layernorm.bias"} if blocks else set()
        )
    model(torch.randn(2, 1, 12, 20)).sum().backward()
    moved = {name for name, value in model.body.named_parameters() if value.grad is not None}
    # The mask token is never used, and LoRA's second matrix begins with zeros.
    assert moved == names - {"embeddings.mask_token"}


def test_low_rank_updates_begin_as_the_published_body(tmp_path: Path) -> None:
    segments = torch.randn(2, 1, 12, 20)
    plain, updated = (build(tmp_path, trainable_blocks=blocks).eval() for blocks in (0, "lora"))
    torch.testing.assert_close(updated.embed(segments), plain.embed(segments))


@pytest.mark.parametrize("blocks", [1, "lora"])
def test_a_tuned_body_is_kept_with_its_head(blocks: int | str, tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    bodies.write(tmp_path / "body", "dinov2")
    params = make_params(
        model="pretrained",
        pretrained={"weights": str(tmp_path / "body"), "trainable_blocks": blocks},
        head={"kind": "linear"},
        train={"epochs": 2, "batch_size": 8},
    )
    description = checkpoint.describe(
        model="pretrained", section=params.architecture(), features=toy.features.description, split_sha256="-"
    )
    torch.manual_seed(0)
    fitted, counts = fit.run(toy.features, toy.split, params, description)
    assert 0 < counts["num_trainable_parameters"] < counts["num_parameters"]
    checkpoint.save(tmp_path, fitted.state, description)
    whole, _ = checkpoint.load(tmp_path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, fitted.state[name])
    untouched = pretrained.build(params.architecture(), num_genres=3, inputs=description)
    state = untouched.state_dict()
    assert any(not torch.equal(value, state[name]) for name, value in fitted.state.items() if "body" in name)


def test_every_head_stands_on_standardised_embeddings() -> None:
    rows = (np.random.default_rng(0).standard_normal((50, 12)) * 30 + 7).astype(np.float32)
    for kind in ("linear", "mlp", "report"):
        for layer, size in (("last", 12), ("weighted", 4)):
            config = {"layer": layer, "head": make_params(head={"kind": kind}).section("head")}
            inputs = {"body": {"embedding_size": 12, "num_layers": 3}}
            head = models.build_head("pretrained", config, num_genres=5, inputs=inputs)
            body.standardise(head, rows)
            standard = head[0](torch.from_numpy(rows))
            torch.testing.assert_close(standard.mean(0), torch.zeros(12), atol=1e-5, rtol=0)
            torch.testing.assert_close(standard.std(0, correction=0), torch.ones(12))
            first = next(module for module in head if isinstance(module, torch.nn.Linear))
            assert first.in_features == size
            assert head(torch.from_numpy(rows)).shape == (50, 5)


def test_a_weighted_mean_begins_as_the_mean_of_the_layers() -> None:
    mix = body.Mix(3)
    embeddings = torch.arange(12.0).view(1, 12)
    torch.testing.assert_close(mix(embeddings), embeddings.view(1, 3, 4).mean(1))


def test_a_number_that_never_changes_becomes_zero() -> None:
    layer = body.Standardise(2)
    layer.fit(np.array([[3.0, 1.0], [3.0, 2.0]]))
    assert layer(torch.tensor([[4.0, 1.0]])).tolist() == [[0.0, -1.0]]


def test_a_layer_or_part_that_the_body_lacks_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match=r"pretrained\.layer = 3, but the body has layers 0 to 2"):
        build(tmp_path, layer=3)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"do_center_crop": True, "crop_size": {"height": 224, "width": 200}, "size": {"shortest_edge": 256}},
        (224, 200)), ({"size": {"height": 96, "width": 128}}, (96, 128)), ({"size": {"shortest_edge": 256}},
        (256, 256)), ({"size": 384}, (384, 384)), ({"size": [10, 20]}, (10, 20)), ({}, (224, 224)),
    ],
)  # fmt: skip
def test_the_picture_has_the_size_that_the_processor_gives(settings: dict, size: tuple[int, int]) -> None:
    assert pretrained.picture_size(settings) == size


# ----------------------------------------------------------------------------------------------------
# Bodies that do not fit


def step(model: pretrained.PictureModel, *, number: int = 1) -> tuple[float, dict[str, torch.Tensor], int]:
    """Loss and gradients of a batch in parts, and the bytes that autograd kept for the largest part."""
    torch.manual_seed(0)
    batch = torch.randn(6, 1, 12, 20), torch.tensor([0, 1, 2, 0, 1, 2])
    loss, most = 0.0, 0
    model.train()
    for share, (segments, labels) in parts(batch, number=number):
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            of_part = torch.nn.functional.cross_entropy(model(segments), labels)
        most = max(most, sum(kept.values()))
        (share * of_part).backward()
        loss += share * of_part.item()
    grads = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return loss, grads, most


@pytest.mark.parametrize("blocks", [1, "all", "lora"])
def test_parts_and_checkpoints_give_the_same_step_in_less_memory(blocks: int | str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    plain = build(tmp_path, trainable_blocks=blocks)
    state = plain.state_dict()
    loss, grads, memory = step(plain)
    for number, checkpointing in ((3, False), (1, True), (2, True)):
        model = build(tmp_path, trainable_blocks=blocks, checkpointing=checkpointing)
        model.load_state_dict(state)
        other, found, less = step(model, number=number)
        assert other == pytest.approx(loss, abs=1e-6) and less < memory
        assert found.keys() == grads.keys()
        for name, value in grads.items():
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)


def test_a_checkpointed_body_trains_and_is_kept_as_any_other(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    bodies.write(tmp_path / "body", "dinov2")
    curves = []
    for checkpointing in (False, True):
        params = make_params(
            model="pretrained",
            pretrained={
                "weights": str(tmp_path / "body"),
                "trainable_blocks": 2,
                "checkpointing": checkpointing,
            },
            head={"kind": "linear"},
            train={"epochs": 2, "batch_size": 8, "ema": 0.9},
        )
        description = checkpoint.describe(
            model="pretrained",
            section=params.architecture(),
            features=toy.features.description,
            split_sha256="-",
        )
        torch.manual_seed(0)
        fitted, _ = fit.run(toy.features, toy.split, params, description)
        checkpoint.save(tmp_path, fitted.state, description)
        assert checkpoint.load(tmp_path)[0].state_dict().keys() == fitted.state.keys()
        curves.append(np.array([[of.train_loss, of.validation_loss] for of in fitted.curves]))
    np.testing.assert_allclose(*curves, atol=1e-6)
