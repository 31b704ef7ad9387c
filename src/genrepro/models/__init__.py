"""The models, one file each: ``build(config, num_genres=..., inputs=...)``, a module from segments to logits.

A segment batch has shape ``(batch, 1, num_bands, num_frames)``; logits have shape ``(batch, num_genres)``.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def build(
    name: str, config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> "nn.Module":
    """Model ``name`` with random weights.

    Parameters
    ----------
    name : str
    config : mapping
        Its own section of params.yaml.
    num_genres : int
    inputs : mapping
        What its segments are: features.json or model.json, which say it with the same keys. The `cnn` takes
        segments as they come.
    """
    return import_module(f"genrepro.models.{name}").build(config, num_genres=num_genres, inputs=inputs)


def load_weights(model: "nn.Module") -> None:
    """Give a new model the foreign weights that its section names, where there are any; before training only.

    A model from a checkpoint has its weights: to predict, nothing is downloaded.

    Raises
    ------
    GenreproError
        If the weights cannot be brought, read, or are those of another architecture.
    """
    from genrepro.models.body import BodyAndHead

    if isinstance(model, BodyAndHead):
        model.load()
