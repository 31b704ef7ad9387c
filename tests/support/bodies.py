"""Small random bodies of every family, written by transformers' own classes in the format that is "
"published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONVOLUTIONS = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 3, 3),
    "conv_stride": (5, 4, 4),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "num_feat_extract_layers": 3,
}


def _wave(kind: str, **extra: Any) -> tuple[Any, Any]:
    config = getattr(hf, f"{kind}Config")(**SMALL, **CONVOLUTIONS, **extra)
    extractor = hf.Wav2Vec2FeatureExtractor(sampling_rate=16000, do_normalize=True)
    return getattr(hf, f"{kind}Model")(config), extractor


def _ast() -> tuple[Any, Any]:
    config = hf.ASTConfig(**SMALL, max_length=102, num_mel_bins=32)
    return hf.ASTModel(config), hf.ASTFeatureExtractor(max_length=102, num_mel_bins=32)


def _bert() -> tuple[Any, Any]:
    config = hf.Wav2Vec2BertConfig(**SMALL, feature_projection_input_dim=16, conv_depthwise_kernel_size=3)
    return hf.Wav2Vec2BertModel(config), hf.SeamlessM4TFeatureExtractor(num_mel_bins=8, feature_size=8)


def _whisper() -> tuple[Any, Any]:
    config = hf.WhisperConfig(
        vocab_size=60, d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=8,
        max_source_positions=50, max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    return hf.WhisperModel(config), hf.WhisperFeatureExtractor(feature_size=8, chunk_length=1)


def _clap(**extractor: Any) -> tuple[Any, Any]:
    audio = {
        "window_size": 4, "num_mel_bins": 32, "spec_size": 128, "patch_size": 4, "patch_stride": [4, 4],
        "hidden_size": 32, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1],
        "num_attention_heads": [1, 1, 1], "projection_dim": 8,
        "enable_fusion": extractor.get("truncation", "fusion") == "fusion",
    }  # fmt: skip
    text = {**SMALL, "vocab_size": 40, "projection_dim": 8, "max_position_embeddings": 20}
    config = hf.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    return hf.ClapModel(config), hf.ClapFeatureExtractor(feature_size=32, max_length_s=1, **extractor)


def _encodec(**extra: Any) -> tuple[Any, Any]:
    config = hf.EncodecConfig(
        hidden_size=8, num_filters=4, codebook_size=16, codebook_dim=8, upsampling_ratios=[4, 4],
        num_lstm_layers=1, **extra,
    )  # fmt: skip
    channels = extra.get("audio_channels", 1)
    extractor = hf.EncodecFeatureExtractor(
        sampling_rate=24000, feature_size=channels, chunk_length_s=extra.get("chunk_length_s"),
        overlap=extra.get("overlap"),
    )  # fmt: skip
    return hf.EncodecModel(config), extractor


def _dac() -> tuple[Any, Any]:
    config = hf.DacConfig(
        encoder_hidden_size=4, downsampling_ratios=[4, 4], decoder_hidden_size=32, n_codebooks=2,
        codebook_size=16, codebook_dim=4,
    )  # fmt: skip
    return hf.DacModel(config), hf.DacFeatureExtractor(sampling_rate=16000, hop_length=16)


def _vision(kind: str, **extra: Any) -> tuple[Any, Any]:
    settings = {key: value for key, value in SMALL.items() if kind == "ViT" or key != "intermediate_size"}
    config = getattr(hf, f"{kind}Config")(**settings, image_size=32, patch_size=8, **extra)
    processor = hf.BitImageProcessor(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}, do_center_crop=True
    )
    return getattr(hf, f"{kind}Model")(config), processor


AUDIO: dict[str, Callable[[], tuple[Any, Any]]] = {
    "wav2vec2": lambda: _wave("Wav2Vec2"),
    "wav2vec2-layer-norm": lambda: _wave("Wav2Vec2", feat_extract_norm="layer", do_stable_layer_norm=True),
    "hubert": lambda: _wave("Hubert"),
    "wavlm": lambda: _wave("WavLM"),
    "data2vec": lambda: _wave("Data2VecAudio", conv_pos_kernel_size=3),
    "wav2vec2-bert": _bert,
    "ast": _ast,
    "whisper": _whisper,
    "clap-fused": lambda: _clap(truncation="fusion"),
    "clap": lambda: _clap(truncation="rand_trunc"),
    "encodec": _encodec,
    "encodec-stereo": lambda: _encodec(
        audio_channels=2, normalize=True, chunk_length_s=1.0, overlap=0.01, sampling_rate=24000
    ),
    "dac": _dac,
}
PICTURES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "vit": lambda: _vision("ViT"),
    "dinov2": lambda: _vision("Dinov2"),
    "dinov2-registers": lambda: _vision("Dinov2WithRegisters", num_register_tokens=2),
}


def make(family: str) -> tuple[Any, Any]:
    """A body of a family and its processor, with weights that do not depend on what was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, processor = (AUDIO | PICTURES)[family]()
        for name, value in network.named_parameters():  # so that norms and masks are not trivial
            if value.ndim == 1 and "masked_spec_embed" not in name:
                torch.nn.init.normal_(value, mean=float(value.detach().mean()), std=0.1)
    return network.eval(), processor


def write(folder: Path, family: str, *, form: str = "safetensors") -> tuple[Any, Any]:
    """Write a body as its publishers would.

    ``form``: safetensors | sharded (several files and an index) | bin (torch's format) | bin-sharded.
    """
    network, processor = make(family)
    network.save_pretrained(folder, max_shard_size="4KB" if form == "sharded" else "5GB")
    processor.save_pretrained(folder)
    if form.startswith("bin"):
        from safetensors.torch import load_file

        state = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        if form == "bin":
            torch.save(state, folder / "pytorch_model.bin")
        else:
            names = [f"pytorch_model-{number:05d}-of-00002.bin" for number in (1, 2)]
            halves = [dict(list(state.items())[half::2]) for half in (0, 1)]
            for name, half in zip(names, halves, strict=True):
                torch.save(half, folder / name)
            weight_map = {key: name for name, half in zip(names, halves, strict=True) for key in half}
            index = {"metadata": {}, "weight_map": weight_map}
            (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return network, processor


def as_mert(folder: Path) -> None:
    """Rewrite a folder's HuBERT the way MERT-v1 is published: a type and code of its own."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config |= {
        "model_type": "mert_model",
        "architectures": ["MERTModel"],
        "auto_map": {"AutoConfig": "configuration_MERT.MERTConfig", "AutoModel": "modeling_MERT.MERTModel"},
        "feature_extractor_cqt": False,
        "deepnorm": False,
        "attention_relax": -1,
    }
    path.write_text(json.dumps(config))
    (folder / "modeling_MERT.py").write_text("raise SystemExit('remote code ran')\n")


def as_maest(folder: Path, *, max_length: int = 61, num_mel_bins: int = 24) -> Any:
    """Write an AST the way MAEST is published, with an extractor that is code of the repository."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = hf.ASTModel(hf.ASTConfig(**SMALL, max_length=max_length, num_mel_bins=num_mel_bins)).eval()
    network.save_pretrained(folder)
    settings = {
        "auto_map": {"AutoFeatureExtractor": "feature_extraction_maest.MAESTFeatureExtractor"},
        "feature_extractor_type": "MAESTFeatureExtractor",
        "sampling_rate": 16000,
        "mean": 2.0,
        "std": 1.25,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "feature_extraction_maest.py").write_text("raise SystemExit('remote code ran')\n")
    return network
