"""A small Audio Spectrogram Transformer: its section of params.yaml, and a checkpoint of its kind."""

from pathlib import Path
from typing import Any

from torch import nn
from transformers import ASTConfig, ASTForAudioClassification

from support.builders import make_params

REPORT = make_params(model="ast").architecture()
SMALL = {
    **REPORT,
    "hidden_size": 24,
    "num_layers": 3,
    "num_heads": 2,
    "intermediate_size": 40,
    "trainable_blocks": 0,
}


def checkpoint(folder: Path, *, num_frames: int = 50, num_bands: int = 32, **overrides: Any) -> Any:
    """A model in transformers' own format, as `save_pretrained` writes it, with AudioSet's 527 classes."""
    config = ASTConfig(
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=40,
        max_length=num_frames,
        num_mel_bins=num_bands,
        **{"num_labels": 527, **overrides},
    )
    model = ASTForAudioClassification(config).eval()
    nn.init.normal_(model.audio_spectrogram_transformer.embeddings.position_embeddings)
    model.save_pretrained(folder)
    return model
