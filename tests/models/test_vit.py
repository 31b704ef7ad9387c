"""Claims about the ViT: torchvision's body, the report's head and picture, and a body that stays frozen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from support.builders import make_inputs, make_params
from torch import nn
from torch.nn import functional as F
from torchvision import models as torchvision_models
from torchvision import transforms

from genrepro.base import devices
from genrepro.exact import numerics
from genrepro.features import packing
from genrepro.models import vit
from genrepro.spectrogram import pictures

BASE = make_params(model="vit").architecture()
TINY = {**BASE, "size": "tiny"}


@pytest.fixture(autouse=True)
def as_in_training() -> Iterator[None]:
    """Deterministic kernels or an error, as in the train stage, but one thread."""
    numerics.use_torch(0)
    torch.set_num_threads(1)
    yield
    torch.set_deterministic_debug_mode("default")


def build(config: dict[str, Any] | None = None, **overrides: Any) -> vit.Vit:
    inputs = overrides.pop("inputs", make_inputs())
    return vit.build({**(config or TINY), **overrides}, num_genres=10, inputs=inputs)


def build_without_memory(**overrides: Any) -> vit.Vit:
    """For counting."""
    with torch.device("meta"):
        return build(BASE, **overrides)


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def segments(batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, 32, 50)


def step(model: nn.Module, batch: torch.Tensor, labels: torch.Tensor) -> float:
    """One step of AdamW over what is trained; the loss before it."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    loss = F.cross_entropy(model(batch), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def test_the_body_has_torchvisions_parameters_but_for_its_head() -> None:
    published = torchvision_models.ViT_B_16_Weights.IMAGENET1K_V1.meta["num_params"]
    assert num_parameters(build_without_memory().body) == published - (768 * 1000 + 1000) == 85_798_656


def test_the_smaller_sizes_are_deits() -> None:
    for size, published, width in [("small", 22_050_664, 384), ("tiny", 5_717_416, 192)]:
        body = build_without_memory(size=size).body
        assert num_parameters(body) == published - (width * 1000 + 1000)


def test_the_default_head_is_the_reports() -> None:
    head = build_without_memory().head
    shapes = [tuple(layer.weight.shape) if isinstance(layer, nn.Linear) else type(layer) for layer in head]
    assert shapes == [(1024, 768), (1024, 1024), nn.ReLU, (10, 1024)]
    assert num_parameters(head) == 1_847_306


def test_another_head_is_described_by_its_depth_width_activation_and_dropout() -> None:
    mlp = {"kind": "mlp", "depth": 2, "width": 7, "activation": "gelu", "dropout": 0.4}
    head = build(head=mlp).head
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Linear", "GELU", "Dropout"] * 2 + ["Linear"]
    assert [layer.out_features for layer in head if isinstance(layer, nn.Linear)] == [7, 7, 10]
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.4, 0.4]


def test_a_head_without_hidden_layers_is_a_linear_probe() -> None:
    assert [type(layer) for layer in build(head={**BASE["head"], "kind": "mlp", "depth": 0}).head] == [
        nn.Linear
    ]


def test_embeddings_are_those_of_torchvisions_own_class() -> None:
    model = build().eval()
    reference = torchvision_models.VisionTransformer(
        image_size=224, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768
    ).eval()
    reference.heads = nn.Identity()
    reference.requires_grad_(False)  # torch's attention takes another way where something could be trained
    reference.load_state_dict(model.body.state_dict())
    batch = segments()
    with torch.no_grad():
        torch.testing.assert_close(model.embed(batch), reference(model.prepare(batch)), rtol=0, atol=0)


def draw(levels: np.ndarray) -> np.ndarray:
    """A picture [shape=(288, 432, 4), dtype=uint8] in Kaggle's layout, its ring blended with the frame."""
    colours = np.round(matplotlib.colormaps["magma"](levels)[..., :3] * 255)
    ring = np.ones(levels.shape, bool)
    ring[1:-1, 1:-1] = False
    colours[ring] = (colours[ring] + 255) / 2
    pixels = np.full((288, 432, 4), 255, np.uint8)
    pixels[35:253, 54:390, :3] = colours
    return pixels


def test_a_picture_of_gtzan_reaches_the_body_as_in_the_report(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (218, 336)).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(draw(levels)).save(path)

    # The report's way, through PIL, as its data set class opens a file.
    theirs = transforms.Compose(
        [
            transforms.CenterCrop((218, 348)),
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize(vit.IMAGENET_MEAN, vit.IMAGENET_STD),
        ]
    )(Image.open(path).convert("RGB"))

    # Ours: through mel.parquet's float16, normalisation, and float16 again.
    frames = pictures.read_png(path).astype(np.float16)
    description = make_inputs(mel=pictures.describe(), mean=-38.2217, std=17.9031, num_bands=218)
    packed = packing.normalise(frames.astype(np.float32), description).astype(np.float16)
    segment = torch.from_numpy(packed).float().T[None, None]
    (ours,) = build(inputs=description).prepare(segment)

    ring = torch.ones(224, 224, dtype=torch.bool)  # where the two differ: the spectrogram's outermost pixels
    ring[2:-2, 10:-2] = False
    ring[:, :6] = False
    # PIL rounds to whole pixel values after each of two passes.
    torch.testing.assert_close(
        ours[:, ~ring], theirs[:, ~ring], rtol=0, atol=1.5 / 255 / min(vit.IMAGENET_STD)
    )
    assert (ours[:, ~ring] - theirs[:, ~ring]).abs().mean() < 0.5 / 255 / min(vit.IMAGENET_STD)


def colours(model: vit.Vit, batch: torch.Tensor) -> torch.Tensor:
    """The picture before ImageNet's normalisation, red, green, blue from 0 to 1."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (vit.IMAGENET_MEAN, vit.IMAGENET_STD))
    return model.prepare(batch) * std + mean


def of_decibels(decibels: float) -> torch.Tensor:
    description = make_inputs()
    return torch.full((1, 1, 32, 50), (decibels - description["mean"]) / description["std"])


def test_grey_is_the_level_between_the_floor_and_the_maximum(subtests: pytest.Subtests) -> None:
    for decibels, level in [(-200.0, 0.0), (-80.0, 0.0), (-40.0, 0.5), (0.0, 1.0), (9.0, 1.0)]:
        with subtests.test(decibels=decibels):
            picture = colours(build(colours="grey"), of_decibels(decibels))
            torch.testing.assert_close(picture, torch.full((1, 3, 224, 224), level), rtol=0, atol=1e-5)


def test_magma_is_matplotlibs(subtests: pytest.Subtests) -> None:
    for level in [0, 1, 128, 254, 255]:
        with subtests.test(level=level):
            picture = colours(build(), of_decibels((level / 255 - 1) * 80))
            expected = torch.tensor(matplotlib.colormaps["magma"](level)[:3], dtype=torch.float32)
            torch.testing.assert_close(picture[0, :, 100, 100], expected, rtol=0, atol=0.5 / 255 + 1e-5)


def test_the_lowest_band_is_at_the_bottom_and_time_runs_to_the_right() -> None:
    batch = of_decibels(-80.0)
    batch[0, 0, 0, :] = of_decibels(0.0)[0, 0, 0, :]  # lowest band
    batch[0, 0, :, -1] = of_decibels(0.0)[0, 0, :, -1]  # last frame
    picture = colours(build(colours="grey"), batch)[0, 0]
    assert (picture[-1] > 0.99).all() and (picture[:, -1] > 0.99).all()
    assert (picture[:200, :200] < 0.01).all()


def test_only_pictures_keep_white_columns_of_their_frame() -> None:
    batch = of_decibels(-80.0)
    of_picture = {"kind": "picture", "top_db": 80.0}
    whites = {
        (kind["kind"], group): int((colours(build(inputs=inputs), batch)[0, :, 100] > 0.99).all(0).sum())
        for kind in (of_picture, make_inputs()["mel"])
        for group in (1, 3)
        for inputs in [make_inputs(mel=kind, pooling={"frames": group, "bands": 1})]
    }
    assert whites[("log_mel", 1)] == whites[("log_mel", 3)] == 0
    # 12 columns beside 50, and 12 / 3 beside 50 where three frames are averaged; resizing softens their edge.
    assert whites[("picture", 1)] == pytest.approx(224 * 12 / 62, abs=3)
    assert whites[("picture", 3)] == pytest.approx(224 * 4 / 54, abs=3)


def test_a_frozen_body_is_still_in_training_mode() -> None:
    model = build().train()
    assert model.frozen_body and model.training and model.head.training
    assert not any(module.training for module in model.body.modules())
    assert not any(parameter.requires_grad for parameter in model.body.parameters())
    assert not model.embed(segments()).requires_grad


def test_a_step_moves_the_head_and_not_the_frozen_body() -> None:
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step(model, segments(), torch.tensor([0, 1, 2]))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("head.")}


def test_the_head_on_kept_embeddings_is_the_whole_model_step_by_step() -> None:
    whole, batch, labels = build(), segments(6), torch.arange(6)
    kept = whole.embed(batch).clone()  # what the features stage would store
    head = build().head
    head.load_state_dict(whole.head.state_dict())
    for _ in range(3):
        assert step(whole, batch, labels) == step(head, kept, labels)
    for mine, theirs in zip(head.parameters(), whole.head.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("blocks", [3])
def test_the_last_blocks_are_trained_with_the_norm_and_no_others(blocks: int) -> None:
    model = build(trainable_blocks=blocks).train()
    model(segments()).square().sum().backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    last = tuple(f"body.encoder.layers.encoder_layer_{number}." for number in range(12 - blocks, 12))
    assert moved == {
        name for name, _ in model.named_parameters() if name.startswith((*last, "body.encoder.ln.", "head."))
    }
    assert not model.body.encoder.layers[0].training and model.body.encoder.layers[-1].training
    assert not model.frozen_body


def test_all_trains_every_parameter() -> None:
    model = build(trainable_blocks="all").train()
    model(segments()).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(module.training for module in model.modules())


def test_layers_hold_every_trained_parameter_once_from_input_to_output(subtests: pytest.Subtests) -> None:
    for blocks in (0, 2, "all"):
        with subtests.test(blocks=blocks):
            model = build(trainable_blocks=blocks)
            layers = model.layers()
            flat = [id(parameter) for layer in layers for parameter in layer]
            assert sorted(flat) == sorted(id(p) for p in model.parameters() if p.requires_grad)
            assert len(layers) == 14  # before the blocks, twelve blocks, norm and head
            assert [bool(layer) for layer in layers[1:13]] == [
                blocks == "all" or n >= 12 - blocks for n in range(12)
            ]
            assert bool(layers[0]) == (blocks == "all") and {id(p) for p in model.head.parameters()} <= set(
                map(id, layers[-1])
            )


def test_a_picture_keeps_its_levels_in_mixed_precision() -> None:
    model, batch = build(), segments()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.prepare(batch.bfloat16())
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, model.prepare(batch.bfloat16().float()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("blocks", [1])
def test_mixed_precision_trains(blocks: int) -> None:
    model = build(trainable_blocks=blocks)
    with devices.compute("bf16-mixed").autocast():
        logits = model(segments())
    logits.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_the_state_dict_is_torchvisions_body_and_the_head() -> None:
    reference = set(torchvision_models.VisionTransformer(224, 16, 12, 3, 192, 768).state_dict())
    names = set(build().state_dict())
    assert {name for name in names if not name.startswith("head.")} == {
        f"body.{name}" for name in reference if not name.startswith("heads.")
    }


def test_the_convolutional_stem_is_torchvisions_and_another_size_of_picture_is_another_grid() -> None:
    inputs = make_inputs()
    model = build(stem="convolutions", image_size=96, inputs=inputs).eval()
    stem: Any = model.body.conv_proj
    convolutions = [layer for layer in stem.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, layer.stride[0]) for layer in convolutions] == [
        (24, 2), (48, 2), (96, 2), (192, 2), (192, 1)
    ]  # fmt: skip
    batch = segments()
    assert model.prepare(batch).shape == (3, 3, 96, 96)
    assert model.patch_grid(batch) == (6, 6)
    special, patches = model.tokens(batch)
    assert (special.shape, patches.shape) == ((3, 1, 192), (3, 36, 192))
    with torch.no_grad():
        pixels = stem(model.prepare(batch)).flatten(2).transpose(1, 2)
        torch.testing.assert_close(patches, pixels + model.body.encoder.pos_embedding[:, 1:])
