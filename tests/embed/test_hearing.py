"""Claims about bodies of audio: what they say equals transformers' own forward, and padding never counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from support import bodies

from genrepro.base.errors import GenreproError
from genrepro.embed import hearing
from genrepro.embed.chunks import in_batches
from genrepro.embed.hearing import Hearing
from genrepro.models.shared import published

CPU = torch.device("cpu")


def noise(duration: float, rate: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.2 * rng.standard_normal(round(duration * rate)).cumsum() % 0.7 - 0.35).astype(np.float32)


def loaded(folder: Path, segment: float | str = "auto") -> Hearing:
    return Hearing(published.load(str(folder)), segment=segment, device=CPU)


@torch.no_grad()
def own_forward(network: Any, extractor: Any, clip: np.ndarray) -> list[np.ndarray]:
    """Mean and deviation of every layer's positions of music, by transformers alone, for one clip."""
    kind, rate = network.config.model_type, extractor.sampling_rate
    given = np.stack([clip, clip]) if getattr(extractor, "feature_size", 1) == 2 else clip
    made = extractor(given, sampling_rate=rate, return_tensors="pt")
    if kind in ("encodec", "dac"):
        values = made["input_values"]
        if getattr(network.config, "normalize", False):
            values = values / (values.mean(1, keepdim=True).pow(2).mean(2, keepdim=True).sqrt() + 1e-8)
        layers = [network.encoder(values).transpose(1, 2)]
        music = slice(0, -(-len(clip) // 16))
    elif kind == "whisper":
        answer = network.get_encoder()(made["input_features"], output_hidden_states=True)
        layers = [*answer.hidden_states[:-1], answer.last_hidden_state]
        music = slice(0, -(-len(clip) // 320))  # 50 positions a second
    elif kind == "clap":
        answer = network.audio_model(
            made["input_features"], is_longer=torch.zeros(1, 1, dtype=torch.bool), output_hidden_states=True
        )
        layers = [*answer.hidden_states[:-1], answer.last_hidden_state]
        layers = [layer.flatten(2).transpose(1, 2) for layer in layers]
        music = slice(None)
    elif kind == "audio-spectrogram-transformer":
        answer = network(made["input_values"], output_hidden_states=True)
        layers = [*answer.hidden_states[:-1], answer.last_hidden_state]
        # The extractor pads with frames of zeros before it normalises.
        padding = (made["input_values"][0] == -extractor.mean / (2 * extractor.std)).all(1)
        times = [
            begin for begin in range(0, len(padding) - 15, 10) if not padding[begin : begin + 16].any()
        ] or [0]
        per_band = (len(padding) - 16) // 10 + 1
        bands = (layers[0].shape[1] - 2) // per_band
        music = [2 + band * per_band + time // 10 for band in range(bands) for time in times]
    else:
        answer = network(**made, output_hidden_states=True)
        layers = [*answer.hidden_states[:-1], answer.last_hidden_state]
        mask = made.get("attention_mask") if kind == "wav2vec2-bert" else None
        music = slice(None) if mask is None else mask[0].bool().nonzero().squeeze(1).tolist()
    found = []
    for layer in layers:
        positions = layer[0, music]
        parts = [positions.mean(0), positions.std(0, correction=0)]
        if kind == "audio-spectrogram-transformer":
            parts.append(layer[0, :2].mean(0))
        found.append(torch.cat(parts).numpy())
    return found


@pytest.mark.parametrize("family", bodies.AUDIO)
@pytest.mark.parametrize("windows", [0.43, 1.0, 2.35])
def test_a_segment_says_what_transformers_own_forward_says(
    family: str, windows: float, tmp_path: Path
) -> None:
    network, extractor = bodies.write(tmp_path, family)
    body = loaded(tmp_path)
    window = body.segment if body.segment < 2 else 1.0
    body = loaded(tmp_path, window)
    clip = noise(windows * window, body.rate)

    segments = body.cut(clip)
    assert len(segments) == (1 if windows <= 1 else 3)
    assert np.array_equal(segments[0], clip[: len(segments[0])])
    assert np.array_equal(segments[-1], clip[-len(segments[-1]) :])  # all of the clip is heard
    ours = in_batches(body, segments)
    for number, segment in enumerate(segments):
        theirs = own_forward(network, extractor, segment)
        assert len(ours) == len(theirs)
        for mine, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine[number], expected, atol=1e-4)


@pytest.mark.parametrize("family", ["ast", "whisper"])
def test_padding_that_an_extractor_always_adds_does_not_count(family: str, tmp_path: Path) -> None:
    network, extractor = bodies.write(tmp_path, family)
    body = loaded(tmp_path)
    clip = noise(0.4 * body.segment, body.rate)
    (mine, *_) = in_batches(body, body.cut(clip))
    size = mine.shape[1] // len(body.parts)
    with torch.no_grad():
        made = extractor(clip, sampling_rate=body.rate, return_tensors="pt")
        tower = network.get_encoder() if family == "whisper" else network
        first = tower(**made, output_hidden_states=True).hidden_states[0][0]
    all_positions = first[2:].mean(0) if family == "ast" else first.mean(0)
    assert not np.allclose(mine[0, :size], all_positions.numpy(), atol=1e-3)


def test_a_batch_says_what_each_segment_says_alone_and_says_it_again(
    subtests: pytest.Subtests, tmp_path: Path
) -> None:
    for family in ("wav2vec2", "clap-fused", "ast"):
        with subtests.test(family=family):
            bodies.write(tmp_path / family, family)
            body = loaded(tmp_path / family, 0.5)
            segments = [noise(0.5, body.rate, seed) for seed in range(3)] + [noise(0.3, body.rate)]
            np.random.seed(0)
            together = in_batches(body, segments)
            np.random.seed(5)  # CLAP's extractor draws from NumPy's global generator
            alone = [in_batches(body, [segment]) for segment in segments]
            for layer, found in enumerate(together):
                for number in range(4):
                    np.testing.assert_allclose(found[number], alone[number][layer][0], atol=1e-5)


def test_mert_is_loaded_as_the_hubert_that_it_is(tmp_path: Path) -> None:
    network, extractor = bodies.write(tmp_path, "hubert", form="bin")
    bodies.as_mert(tmp_path)
    body = loaded(tmp_path, 1.0)
    clip = noise(1.0, body.rate)
    for mine, expected in zip(in_batches(body, [clip]), own_forward(network, extractor, clip), strict=True):
        np.testing.assert_allclose(mine[0], expected, atol=1e-4)


def test_maest_is_loaded_as_the_ast_that_it_is_with_a_scale_of_its_own(tmp_path: Path) -> None:
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    network = bodies.as_maest(tmp_path)
    body = loaded(tmp_path)
    assert body.segment == pytest.approx(60 * 256 / 16000)
    clip = noise(body.segment, 16000)
    filters = mel_filter_bank(257, 24, 0, 8000, 16000, norm="slaney", mel_scale="slaney")
    power = spectrogram(
        clip, window_function(512, "hann"), 512, 256, power=2.0, mel_filters=filters, pad_mode="constant",
        mel_floor=0.0,
    )  # fmt: skip
    values = (np.log10(1 + 10_000 * power.T) - 2.0) / 2.5
    with torch.no_grad():
        answer = network(torch.from_numpy(values)[None].float())
    mine = in_batches(body, [clip])[-1][0]
    np.testing.assert_allclose(mine[:16], answer.last_hidden_state[0, 2:].mean(0).numpy(), atol=1e-4)


def test_a_clip_of_a_few_samples_is_heard(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for family in bodies.AUDIO:
        with subtests.test(family=family):
            bodies.write(tmp_path / family, family)
            body = loaded(tmp_path / family)
            for layer in in_batches(body, body.cut(noise(0.001, body.rate))):
                assert np.isfinite(layer).all()


def test_a_segment_longer_than_the_window_is_refused_in_one_sentence(tmp_path: Path) -> None:
    bodies.write(tmp_path, "whisper")
    with pytest.raises(GenreproError, match=r"segment = 1\.5 s, but .* hears 1 s at once: lower it\.$"):
        loaded(tmp_path, 1.5)


def test_a_family_without_an_entry_is_named(tmp_path: Path) -> None:
    config = hf.SEWConfig(**bodies.SMALL, squeeze_factor=1)
    hf.SEWModel(config).save_pretrained(tmp_path)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(GenreproError, match=r"of the family sew, .* known are wav2vec2, "):
        loaded(tmp_path)


def test_every_family_is_written_for_a_test() -> None:
    written = {bodies.make(family)[0].config.model_type for family in bodies.AUDIO}
    alike = {"wav2vec2-conformer", "unispeech", "unispeech-sat", "clap_audio_model"}
    assert written == set(hearing.FAMILIES) - alike
