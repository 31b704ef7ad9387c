"""Claims about the AST: transformers' own class in the report's configuration, on any grid of patches."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.builders import make_inputs
from support.transformer import REPORT, SMALL, checkpoint
from torch import nn
from torch.nn import functional as F
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification, ViTConfig, ViTModel

from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.exact import numerics
from genrepro.models import ast


@pytest.fixture(autouse=True)
def as_in_training() -> Iterator[None]:
    """Deterministic kernels or an error, as in the train stage, but one thread."""
    numerics.use_torch(0)
    torch.set_num_threads(1)
    yield
    torch.set_deterministic_debug_mode("default")


def build(config: dict[str, Any] | None = None, **overrides: Any) -> ast.Ast:
    inputs = overrides.pop("inputs", make_inputs())
    model = ast.build({**(config or SMALL), **overrides}, num_genres=8, inputs=inputs)
    # transformers starts positions and tokens at 0: others tell more.
    for name in ("position_embeddings", "cls_token", "distillation_token"):
        nn.init.normal_(getattr(model.body.embeddings, name))
    return model


def segments(num_frames: int = 50, *, num_bands: int = 32, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, num_bands, num_frames)


def complaint(model: ast.Ast) -> str:
    with pytest.raises(GenreproError) as caught:
        model.load()
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and "ast.weights" in message
    return message


def test_the_reports_configuration_is_transformers_own_model() -> None:
    inputs = make_inputs()
    config = ASTConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=6,
        intermediate_size=1536,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        patch_size=16,
        num_mel_bins=32,
        max_length=50,
        num_labels=8,
    )
    reference = ASTForAudioClassification(config).eval()
    model = ast.build(REPORT, num_genres=8, inputs=inputs).eval()
    counts = [sum(p.numel() for p in network.parameters()) for network in (model, reference)]
    assert counts[0] == counts[1]
    model.body.load_state_dict(reference.audio_spectrogram_transformer.state_dict())
    model.head.load_state_dict(reference.classifier.state_dict())
    batch = segments()
    with torch.no_grad():
        theirs = reference(batch[:, 0].transpose(1, 2)).logits
        torch.testing.assert_close(model(batch), theirs, rtol=0, atol=0)


def test_dropout_is_transformers_too() -> None:
    config = build(dropout=0.25).body.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.25, 0.25)


def test_segments_of_any_length_give_a_logit_a_genre() -> None:
    for num_frames in (1, 15, 16, 55, 161):
        logits = build().eval()(segments(num_frames))
        assert logits.shape == (3, 8) and torch.isfinite(logits).all()


def test_positions_are_interpolated_for_longer_segments_and_cut_from_the_middle_for_shorter() -> None:
    # Two rows of four patches; the embedding of a patch says where it is: (frequency, time).
    grid = torch.stack(torch.meshgrid(torch.arange(2.0), torch.arange(4.0), indexing="ij"), dim=-1)
    tokens = torch.full((1, 2, 2), 9.0)
    positions = torch.cat([tokens, grid.reshape(1, 8, 2)], dim=1)

    shorter = ast._refit(positions, (2, 4), (2, 2))
    assert shorter[0, 2:].tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    longer = ast._refit(positions, (2, 4), (3, 8))
    expected = F.interpolate(grid.permute(2, 0, 1)[None], size=(3, 8), mode="bilinear")[0].permute(1, 2, 0)
    torch.testing.assert_close(longer[0, 2:], expected.reshape(24, 2))
    assert torch.equal(shorter[:, :2], tokens) and torch.equal(longer[:, :2], tokens)
    assert torch.equal(ast._refit(positions, (2, 4), (2, 4)), positions)


def test_a_longer_segment_is_seen_as_by_a_model_of_that_length_with_those_positions() -> None:
    model = build().eval()
    longer = build(inputs=make_inputs(segments={**make_inputs()["segments"], "duration": 12.0})).eval()
    state = model.state_dict()
    positions = "body.embeddings.position_embeddings"
    state[positions] = ast._refit(state[positions], model.grid, longer.grid)
    longer.load_state_dict(state)
    batch = segments(120)
    with torch.no_grad():
        torch.testing.assert_close(model(batch), longer(batch))


def test_training_on_another_length_trains_every_parameter() -> None:
    model = build(trainable_blocks="all", dropout=0.0).train()
    model(segments(75)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.body.embeddings.position_embeddings.grad.any()


def test_a_patch_larger_than_a_segment_is_refused() -> None:
    with pytest.raises(
        GenreproError, match=r"ast\.patch_size = 16 does not fit into segments of 9 bands x 50"
    ):
        build(inputs=make_inputs(num_bands=9))


def test_a_frozen_body_is_still_in_training_mode_and_heads_learn_on_kept_embeddings() -> None:
    model, batch, labels = build(), segments(6), torch.tensor([0, 1, 2])
    model.train()
    assert model.frozen_body and not any(module.training for module in model.body.modules())
    kept = model.embed(batch)
    assert not kept.requires_grad and torch.equal(kept, model.embed(batch))  # no dropout
    F.cross_entropy(model(batch), labels).backward()
    whole = [parameter.grad.clone() for parameter in model.head.parameters()]
    model.zero_grad()
    F.cross_entropy(model.head(kept), labels).backward()
    assert all(torch.equal(p.grad, g) for p, g in zip(model.head.parameters(), whole, strict=True))
    assert all(parameter.grad is None for parameter in model.body.parameters())


def test_the_last_layers_are_trained_with_the_norm_and_no_others() -> None:
    model = build(trainable_blocks=1).train()
    model(segments()).square().sum().backward()
    moved = {id(parameter) for parameter in model.parameters() if parameter.grad is not None}
    assert moved == {id(parameter) for layer in model.layers()[-2:] for parameter in layer}
    assert [bool(layer) for layer in model.layers()] == [False, False, False, True, True]


def test_a_tuned_body_drops_out_in_training_mode() -> None:
    model, batch = build(trainable_blocks="all", dropout=0.5).train(), segments()
    assert not torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("num_frames", [50, 75])
def test_mixed_precision_trains(num_frames: int) -> None:
    model = build(trainable_blocks="all")
    with devices.compute("bf16-mixed").autocast():
        logits = model(segments(num_frames))
    logits.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_folder_in_transformers_format_gives_the_body_its_weights(tmp_path: Path) -> None:
    reference = checkpoint(tmp_path)
    model = build(weights=str(tmp_path)).eval()
    model.load()
    batch = segments()
    with torch.no_grad():
        theirs = reference.audio_spectrogram_transformer(model.prepare(batch)).pooler_output
        torch.testing.assert_close(model.embed(batch), theirs, rtol=0, atol=1e-6)


def test_positions_of_foreign_weights_are_refitted_to_this_grid(tmp_path: Path) -> None:
    reference = checkpoint(tmp_path, num_frames=1024, num_bands=128)
    model = build(weights=str(tmp_path))
    model.load()
    theirs = reference.audio_spectrogram_transformer.embeddings.position_embeddings
    expected = ast._refit(theirs, (12, 101), model.grid)
    torch.testing.assert_close(model.body.embeddings.position_embeddings, expected, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # AudioSet's lowest bands
def test_audiosets_normalisation_is_in_the_unit_of_transformers_feature_extractor() -> None:
    extractor, inputs = ASTFeatureExtractor(), make_inputs()
    model = build(weights="audioset")
    # Two frames, the training mean and 13 dB above it, as the features stage would have normalised them.
    ours = model.prepare(torch.tensor([0.0, 13 / inputs["std"]]).expand(1, 1, 32, 2))
    ln = torch.tensor([extractor.mean, extractor.mean + 13 * math.log(10) / 10])
    theirs = (ln - extractor.mean) / (extractor.std * 2)
    torch.testing.assert_close(ours[0, :2, 0], theirs)
    untouched = segments()
    torch.testing.assert_close(build().prepare(untouched), untouched[:, 0].transpose(1, 2), rtol=0, atol=0)


def test_the_checkpoint_is_the_one_of_the_paper() -> None:
    assert ast.AUDIOSET == "MIT/ast-finetuned-audioset-10-10-0.4593"


def test_a_folder_of_another_configuration_says_what_to_pass(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    message = complaint(build(weights=str(tmp_path), num_heads=4, intermediate_size=48))
    assert message.endswith("pass -S ast.num_heads=2 -S ast.intermediate_size=40.")


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    small = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ViTModel(small).save_pretrained(tmp_path)
    assert "holds a model of type vit, not audio-spectrogram-transformer" in complaint(
        build(weights=str(tmp_path))
    )


def test_a_folder_whose_tensors_are_missing_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = {name: value for name, value in load_file(weights).items() if ".layer.1." not in name}
    save_file(state, weights, metadata={"format": "pt"})
    assert "of another architecture: 16 tensors are missing" in complaint(build(weights=str(tmp_path)))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "cannot be loaded" in complaint(build(weights=str(tmp_path)))


def test_tensors_of_another_shape_than_the_configuration_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    name = next(name for name in state if name.endswith("intermediate.dense.weight"))
    save_file({**state, name: state[name][:-1].contiguous()}, weights, metadata={"format": "pt"})
    assert "of another architecture: 1 tensors have another shape" in complaint(build(weights=str(tmp_path)))


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    reference = checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    assert "must hold config.json and model.safetensors" in complaint(build(weights=str(tmp_path)))


def test_what_is_no_folder_is_not_asked_of_the_hub() -> None:
    for name in ["nowhere", "MIT/ast"]:
        assert f"ast.weights = '{name}' is not a folder" in complaint(build(weights=name))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "holds a model of type unknown" in complaint(build(weights=str(tmp_path)))


def test_a_model_is_read_by_the_names_of_other_releases_of_transformers(tmp_path: Path) -> None:
    reference = checkpoint(tmp_path)  # the file has the names of the published checkpoint
    prefix = "audio_spectrogram_transformer."
    published = {
        name.replace(prefix, "body."): value
        for name, value in load_file(tmp_path / "model.safetensors").items()
        if name.startswith(prefix)
    }
    model = build()
    published |= {name: value for name, value in model.state_dict().items() if name.startswith("head.")}
    model.load_state_dict(published)
    theirs = reference.audio_spectrogram_transformer.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.body.state_dict().items())


def test_a_patch_of_frames_holds_all_bands_and_the_rest_is_transformers_own(
    subtests: pytest.Subtests,
) -> None:
    model = build(patches="frames", patch_size=4, stride=2).eval()
    projection = model.body.embeddings.patch_embeddings.projection
    with torch.no_grad():
        for num_frames in (50, 21, 90):
            with subtests.test(num_frames=num_frames):
                batch = segments(num_frames)
                special, patches = model.tokens(batch)
                cut = batch[:, 0].unfold(2, 4, 2)  # batch, bands, patches, frames
                expected = torch.einsum("bfpt,hft->bph", cut, projection.weight[:, 0]) + projection.bias
                rows, columns = model.patch_grid(batch)
                assert (rows, columns) == (1, (num_frames - 4) // 2 + 1)
                positions = ast._refit(model.body.embeddings.position_embeddings, model.grid, (1, columns))
                torch.testing.assert_close(patches, expected + positions[:, 2:])
                layers = torch.cat([special, patches], dim=1)
                for layer in model.blocks:
                    made = layer(layers)
                    layers = made[0] if isinstance(made, tuple) else made
                normed = model.norm(layers)
                torch.testing.assert_close(model.embed(batch), (normed[:, 0] + normed[:, 1]) / 2)


def test_patches_of_frames_fit_any_number_of_bands_but_not_less_frames() -> None:
    inputs = make_inputs(num_bands=5)
    assert build(patches="frames", patch_size=16, inputs=inputs)(segments(num_bands=5)).shape == (3, 8)
    with pytest.raises(GenreproError, match="patch_size = 16 does not fit into segments of 5 bands"):
        build(patch_size=16, inputs=inputs)
    with pytest.raises(GenreproError, match="patch_size = 51 does not fit"):
        build(patches="frames", patch_size=51)


def test_convolutions_make_a_token_of_each_square_even_of_one_that_is_cut_off(
    subtests: pytest.Subtests,
) -> None:
    model = build(patches="convolutions", patch_size=8, stride=8, inputs=make_inputs(num_bands=29)).eval()
    stem: Any = model.body.embeddings.patch_embeddings.projection
    strides = [layer.stride[0] for layer in stem.modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 2, 2, 1]
    for num_frames, columns in ((50, 7), (8, 1), (96, 12)):
        with subtests.test(num_frames=num_frames), torch.no_grad():
            batch = segments(num_frames, num_bands=29)
            assert model.patch_grid(batch) == (4, columns)
            made = stem(batch).flatten(2).transpose(1, 2)
            positions = ast._refit(model.body.embeddings.position_embeddings, model.grid, (4, columns))
            torch.testing.assert_close(model.tokens(batch)[1], made + positions[:, 2:])
            assert model(batch).shape == (3, 8)
