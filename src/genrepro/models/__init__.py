"""The models, one file each: ``build(config, num_genres=...)`` gives a module from segments to logits.

A segment batch has shape ``(batch, 1, num_bands, num_frames)``; logits have shape ``(batch, num_genres)``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def build(name: str, config: dict[str, Any], *, num_genres: int) -> "nn.Module":
    """Model ``name`` with its own section of params.yaml."""
    return import_module(f"genrepro.models.{name}").build(config, num_genres=num_genres)
