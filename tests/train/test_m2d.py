"""Claims about Masked Modeling Duo, most of them against a reference written from the paper's definition."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.builders import Toy, make_inputs, make_params

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.exact import numerics
from genrepro.models.shared import checkpoint
from genrepro.models.shared.inputs import Features
from genrepro.train import fit, loop, m2d, resume, start

AST = {"hidden_size": 24, "num_layers": 3, "num_heads": 2, "intermediate_size": 48, "patch_size": 4,
       "stride": 4, "dropout": 0.0}  # fmt: skip
RECIPE = {"epochs": 3, "batch_size": 5, "lr": 0.01, "ema": 0.9, "objective": "m2d"}


def make_config(*, dropout: float = 0.1, **recipe: Any) -> Params:
    return make_params(model="ast", ast={**AST, "dropout": dropout}, train={**RECIPE, **recipe})


@pytest.fixture
def duo() -> m2d.Duo:
    torch.manual_seed(1)
    config = make_params(model="ast", ast={**AST, "trainable_blocks": "all"}).architecture()
    inputs = make_inputs(num_bands=16, segments={**make_inputs()["segments"], "duration": 2.4})
    model = models.build("ast", config, num_genres=3, inputs=inputs)
    made = m2d.Duo(model, decay=0.9, num_steps=11)  # type: ignore[arg-type]
    with torch.no_grad():  # so that positions, tokens, norms and biases matter, and the target is another
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


# --------------------------------------------------------------------------------
# The reference: one segment at a time, in float64, from a dictionary of weights


def dense(state: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state: dict[str, torch.Tensor], name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, num_heads: int) -> torch.Tensor:
    parts = []
    for one_q, one_k, one_v in zip(*(x.chunk(num_heads, dim=1) for x in (q, k, v)), strict=True):
        scores = one_q @ one_k.T / one_q.shape[1] ** 0.5
        parts.append(scores.softmax(1) @ one_v)
    return torch.cat(parts, dim=1)


def gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def encoder(
    state: dict[str, torch.Tensor], prefixes: list[str], last: str, x: torch.Tensor, num_heads: int
) -> torch.Tensor:
    for at in prefixes:
        y = norm(state, f"{at}.layernorm_before", x, 1e-12)
        q, k, v = (dense(state, f"{at}.attention.{name}_proj", y) for name in "qkv")
        x = x + dense(state, f"{at}.attention.o_proj", attend(q, k, v, num_heads))
        y = gelu(dense(state, f"{at}.mlp.fc1", norm(state, f"{at}.layernorm_after", x, 1e-12)))
        x = x + dense(state, f"{at}.mlp.fc2", y)
    return norm(state, last, x, 1e-12)


def sines(row: int, column: int, width: int) -> torch.Tensor:
    """MAE's position of a patch: its column, then its row."""
    found = []
    for place in (column, row):
        angles = [place / 10000 ** (wave / (width // 4)) for wave in range(width // 4)]
        found += [np.sin(angles), np.cos(angles)]
    return torch.from_numpy(np.concatenate(found))


def predict(
    state: dict[str, torch.Tensor], seen: dict[int, torch.Tensor], special: torch.Tensor, *,
    grid: tuple[int, int], num_heads: int, num_blocks: int,
) -> dict[int, torch.Tensor]:  # fmt: skip
    """Predictions by patch, of those not in ``seen``. Tokens stand in the order of the patches."""
    rows = []
    width = state["predictor.mask"].shape[-1]
    for patch in range(grid[0] * grid[1]):
        token = (
            dense(state, "predictor.enter", seen[patch]) if patch in seen else state["predictor.mask"][0, 0]
        )
        rows.append(token + sines(*divmod(patch, grid[1]), width))
    x = torch.cat([dense(state, "predictor.enter", special), torch.stack(rows)])
    for number in range(num_blocks):
        at = f"predictor.blocks.{number}"
        y = norm(state, f"{at}.norm1", x, 1e-5)
        weight, bias = state[f"{at}.self_attn.in_proj_weight"], state[f"{at}.self_attn.in_proj_bias"]
        q, k, v = (y @ weight.T + bias).chunk(3, dim=1)
        x = x + dense(state, f"{at}.self_attn.out_proj", attend(q, k, v, num_heads))
        y = gelu(dense(state, f"{at}.linear1", norm(state, f"{at}.norm2", x, 1e-5)))
        x = x + dense(state, f"{at}.linear2", y)
    x = dense(state, "predictor.leave", norm(state, "predictor.norm", x, 1e-5))
    return {patch: x[len(special) + patch] for patch in range(grid[0] * grid[1]) if patch not in seen}


def reference(state: dict[str, torch.Tensor], segments: torch.Tensor, shown: list[set[int]]) -> torch.Tensor:
    """The loss of the paper: squared distance of unit vectors, over the masked patches of all segments."""
    grid, size = (4, 6), 4
    body = "online.body."
    distances = []
    for segment, visible in zip(segments[:, 0], shown, strict=True):
        positions = state[f"{body}embeddings.position_embeddings"][0]
        kernel = state[f"{body}embeddings.patch_embeddings.projection.weight"][:, 0]
        patches = []
        for patch in range(24):
            row, column = divmod(patch, 6)
            cut = segment[size * row : size * (row + 1), size * column : size * (column + 1)]
            projected = (kernel * cut).sum((1, 2))
            bias = state[f"{body}embeddings.patch_embeddings.projection.bias"]
            patches.append(projected + bias + positions[2 + patch])
        tokens = ("cls_token", "distillation_token")
        special = torch.stack([state[f"{body}embeddings.{name}"][0, 0] for name in tokens]) + positions[:2]
        order, masked = sorted(visible), sorted(set(range(24)) - visible)
        online = encoder(
            state, [f"{body}layers.{number}" for number in range(3)], f"{body}layernorm",
            torch.cat([special, torch.stack([patches[patch] for patch in order])]), 2,
        )  # fmt: skip
        predicted = predict(
            state, dict(zip(order, online[2:], strict=True)), online[:2], grid=grid, num_heads=1, num_blocks=2
        )
        with torch.no_grad():
            target = encoder(
                state, [f"target.{number}" for number in range(3)], "target.3",
                torch.cat([special, torch.stack([patches[patch] for patch in masked])]), 2,
            )[2:]  # fmt: skip
        for patch, made in zip(masked, target, strict=True):
            standard = (made - made.mean()) / made.var(correction=0).sqrt()
            unit = predicted[patch] / predicted[patch].norm()
            distances.append((unit - standard / standard.norm()).square().sum())
    return torch.stack(distances).mean()


def test_loss_and_gradients_are_the_papers(duo: m2d.Duo) -> None:
    segments = torch.randn(3, 1, 16, 24)
    order = m2d.draw(3, 24, rng=np.random.default_rng(2))
    state = {name: value.detach().double() for name, value in duo.state_dict().items()}
    trained = {name for name, parameter in duo.named_parameters() if parameter.requires_grad}
    for name in trained:
        state[name].requires_grad_(True)
    expected = reference(state, segments.double(), [set(row[:7].tolist()) for row in order])
    expected.backward()
    duo.train()
    loss = duo(segments, order)
    loss.backward()
    assert m2d.visible(24) == 7
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    gradients = dict(duo.named_parameters())
    for name in trained:
        ours, theirs = gradients[name].grad, state[name].grad
        assert ours is not None and theirs is not None, name
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-6, rtol=2e-3, err_msg=name)
    assert not any(name.startswith(("target.", "online.head.")) for name in trained)


def test_the_online_encoder_never_sees_a_masked_patch_nor_the_target_a_visible_one(duo: m2d.Duo) -> None:
    duo.train()
    segments, order = torch.randn(1, 1, 16, 24), torch.arange(24)[None].flip(1)  # the first 17 are masked
    special, patches = duo.online.tokens(segments)
    seen: dict[str, torch.Tensor] = {}
    duo.online.blocks[0].register_forward_pre_hook(lambda _, args: seen.update(online=args[0]))
    duo.target[0].register_forward_pre_hook(lambda _, args: seen.update(target=args[0]))
    duo(segments, order)
    assert torch.equal(seen["online"], torch.cat([special, patches[:, 17:].flip(1)], 1))
    assert torch.equal(seen["target"], torch.cat([special, patches[:, :17].flip(1)], 1))


def test_the_target_follows_at_a_decay_that_rises_to_one(duo: m2d.Duo) -> None:
    for number in range(11):
        before = duo.target[0].mlp.fc1.weight.clone()  # type: ignore[union-attr]
        duo.follow()
        decay = 0.9 + 0.1 * number / 10
        expected = decay * before + (1 - decay) * duo.online.blocks[0].mlp.fc1.weight
        torch.testing.assert_close(duo.target[0].mlp.fc1.weight, expected)  # type: ignore[union-attr]
    assert torch.equal(duo.target[0].mlp.fc1.weight, before)  # type: ignore[union-attr]


def test_the_authors_predictor_stands_beside_the_base_encoder() -> None:
    predictor = m2d.Predictor(768, num_blocks=8)
    assert (predictor.width, predictor.blocks[0].self_attn.num_heads) == (512, 16)  # type: ignore[union-attr]


def test_the_encoders_of_both_transformers_equal_their_own_forward(toy: Toy) -> None:
    """All patches visible: what `tokens`, the blocks and the norm give is what the model itself computes."""
    for name in ("ast", "vit"):
        config = make_params(model=name, ast={**AST, "trainable_blocks": "all"},
                             vit={"size": "tiny", "trainable_blocks": "all"})  # fmt: skip
        torch.manual_seed(0)
        model: Any = models.build(name, config.architecture(), num_genres=3, inputs=make_inputs()).eval()
        segments = torch.randn(2, 1, 32, 50)
        made = m2d.encode([*model.blocks, model.norm], *model.tokens(segments))
        special = made[:, :2].mean(1) if name == "ast" else made[:, 0]
        torch.testing.assert_close(special, model.embed(segments))
        rows, columns = model.patch_grid(segments)
        assert made.shape[1] == rows * columns + (2 if name == "ast" else 1)


# --------------------------------------------------------------------------------
# A whole training


def describe(config: Params, features: Features) -> dict[str, Any]:
    description = checkpoint.describe(
        model=config.model, section=config.architecture(), features=features.description, split_sha256="-"
    )
    objective = config.train.objective
    return description if objective == "genre" else {**description, "objective": objective}


def train(toy: Toy, config: Params, unfinished: Path | None = None, **options: Any) -> loop.Fit:
    numerics.use_torch(3)
    description = describe(config, toy.features)
    return fit.run(toy.features, toy.split, config, description, unfinished=unfinished, **options)[0]


def in_bytes(fitted: loop.Fit) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in fitted.state.items()}


def test_pretraining_learns_without_labels(toy: Toy) -> None:
    """Labels reach the probe alone: with other labels the body has the same bytes."""
    fitted = train(toy, make_config(epochs=8))
    assert fitted.curves[-1].train_loss < fitted.curves[0].train_loss
    assert fitted.curves[-1].validation_loss < fitted.curves[0].validation_loss
    index = toy.features.index.assign(genre=np.roll(toy.features.index["genre"], 5))
    other = train(Toy(dataclasses.replace(toy.features, index=index), toy.split), make_config(epochs=8))
    same = {name for name, value in in_bytes(fitted).items() if value == in_bytes(other)[name]}
    assert {name for name in fitted.state if name.startswith("body.")} <= same
    assert set(fitted.state) - same == {"head.dense.weight", "head.dense.bias"}


def test_a_killed_pretraining_ends_with_the_bytes_of_an_undisturbed_one(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)
    config, unfinished = make_config(epochs=4), tmp_path / "unfinished.safetensors"

    def kill(epoch: fit.Epoch) -> None:
        if epoch.epoch > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(toy, config, unfinished, on_epoch=kill)
    assert unfinished.is_file()
    resumed, whole = train(toy, config, unfinished), train(toy, config)
    assert resumed.curves == whole.curves
    assert in_bytes(resumed) == in_bytes(whole)


def test_the_kept_model_is_the_encoder_with_a_probe_and_classifies(toy: Toy, tmp_path: Path) -> None:
    config = make_config(epochs=2)
    fitted = train(toy, config)
    checkpoint.save(tmp_path, fitted.state, describe(config, toy.features))
    model, description = checkpoint.load(tmp_path)
    assert description["objective"] == "m2d"
    assert set(model.state_dict()) == set(fitted.state)
    json.dumps(fitted.metrics(), allow_nan=False)
    assert fitted.best.train_accuracy > 0.9  # bands tell the toy's genres apart, which any encoder shows


def test_a_training_begins_with_the_encoder_and_not_with_the_probe(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pretraining = make_config(epochs=1)
    checkpoint.save(tmp_path, train(toy, pretraining).state, describe(pretraining, toy.features))
    config = make_config(epochs=1, objective="genre", start=str(tmp_path))
    begun = start.read(str(tmp_path))
    assert begun is not None
    torch.manual_seed(9)
    section = config.architecture()
    model = models.build("ast", section, num_genres=3, inputs=toy.features.description)
    taken = start.load(model, begun, name="ast", section=section, description=describe(config, toy.features))
    state = model.state_dict()
    assert taken.other_genres == ["head.dense.weight", "head.dense.bias"]
    assert taken.taken == [name for name in state if name not in taken.other_genres]
    assert all(torch.equal(state[name], begun.state[name]) for name in taken.taken)
    assert str(taken).startswith(
        f"{len(state) - 2} of {len(state)} tensors taken; 2 begin anew with the genres"
    )
    train(toy, config, begin=begun)
    assert f"start from {tmp_path}: {len(state) - 2} of {len(state)} tensors taken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "cnn"}, "masks a transformer's patches: set model to ast or vit"),
        ({"ast": {"trainable_blocks": 1}}, r"trains the whole body: set ast\.trainable_blocks to all"),
        ({"ast": {"stride": 10}}, r"in those that overlap them: set ast\.stride to ast\.patch_size"),
        ({"train": {"objective": "m2d", "ema": 0.0}}, r"needs an average of the encoder: set train\.ema"),
    ],
)
def test_what_m2d_cannot_do_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    whole = {"model": "ast", "ast": {"stride": 16}, "train": {"objective": "m2d"}}
    assert make_params(**whole).train.objective == "m2d"
    with pytest.raises(GenreproError, match=sentence):
        make_params(**{**whole, **changes})
