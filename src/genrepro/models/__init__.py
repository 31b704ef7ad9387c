"""The models, one file each: ``build(config, num_genres=..., inputs=...)``, a module from segments to logits.

A segment batch has shape ``(batch, 1, num_bands, num_frames)``; logits have shape ``(batch, num_genres)``. A
model of several networks gives, while it is trained, each one's: ``(batch, num_networks, num_genres)``. Of
the models that have a body (`body.BodyAndHead`), ``build_head`` gives what is trained when the body is
frozen: from embeddings [shape=(batch, embedding_size)] to logits.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genrepro.exact.streams import integer

if TYPE_CHECKING:
    from torch import nn

    from genrepro.models.shared.body import BodyAndHead


def build(
    name: str, config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> "nn.Module":
    """Model ``name`` with random weights.

    Parameters
    ----------
    name : str
    config : mapping
        ``Params.architecture()``: its own section of params.yaml, with ``head`` where it has a body.
    num_genres : int
    inputs : mapping
        What its segments are: features.json or model.json, which say it with the same keys. The blocks of
        the `cnn` take segments as they come.
    """
    return import_module(f"genrepro.models.{name}").build(config, num_genres=num_genres, inputs=inputs)


def build_head(name: str, config: Mapping[str, Any], *, num_genres: int) -> "nn.Module":
    """The head of model ``name`` with random weights."""
    return import_module(f"genrepro.models.{name}").build_head(config, num_genres=num_genres)


def frozen(config: Mapping[str, Any]) -> bool:
    """Whether the model has a body of which nothing is trained."""
    return config.get("trainable_blocks") == 0


def with_frozen_body(
    name: str, config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]
) -> "BodyAndHead":
    """Model ``name`` with the weights that its frozen body keeps: foreign ones, or always the same random.

    A random body is one fixed function of the pictures: the experiment's ``seed`` varies what is trained on
    top of it.

    Raises
    ------
    GenreproError
        If the weights cannot be brought, read, or are those of another architecture.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(0, "models.body"))
        model = build(name, config, num_genres=num_genres, inputs=inputs)
    load_weights(model)
    return model  # type: ignore[return-value]


def load_weights(model: "nn.Module") -> None:
    """Give a new model the foreign weights that its section names, where there are any; before training only.

    A model from a checkpoint has its weights: to predict, nothing is downloaded.

    Raises
    ------
    GenreproError
        If the weights cannot be brought, read, or are those of another architecture.
    """
    from genrepro.models.shared.body import BodyAndHead

    if isinstance(model, BodyAndHead):
        model.load()
