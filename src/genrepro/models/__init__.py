"""The models, one file each. ``build(config, num_genres=..., inputs=...)`` makes a network.

The network maps segments [shape=(batch, 1, num_bands, num_frames)] to logits [shape=(batch, num_genres)]. In
training, a model of several networks returns the logits of each [shape=(batch, num_networks, num_genres)].
Models with a body (`body.BodyAndHead`) also have ``build_head``, the part that is trained when the body is
frozen. It maps embeddings [shape=(batch, embedding_size)] to logits.
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
    """Build model ``name`` with random weights.

    Parameters
    ----------
    name : str
    config : mapping
        ``Params.architecture()``: the model's section of params.yaml, with ``head`` if it has a body.
    num_genres : int
    inputs : mapping
        Describes the segments: features.json or model.json, which use the same keys. The blocks of the
        `cnn` do not need it.
    """
    return import_module(f"genrepro.models.{name}").build(config, num_genres=num_genres, inputs=inputs)


def build_head(
    name: str, config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any] | None = None
) -> "nn.Module":
    """Build the head of model ``name`` with random weights. `pretrained` needs ``inputs``, as in `build`."""
    return import_module(f"genrepro.models.{name}").build_head(config, num_genres=num_genres, inputs=inputs)


def frozen(config: Mapping[str, Any]) -> bool:
    """Whether the model has a body and trains none of it."""
    return config.get("trainable_blocks") == 0


def has_seen(config: Mapping[str, Any], dataset: str) -> bool:
    """Whether the model's section says that its body was trained on the labels of this data set.

    Data sets of one name are one collection: ``gtzan`` and ``gtzan_images``, ``fma_small`` and ``fma_large``.
    """
    collection = dataset.partition("_")[0]
    return any(name.partition("_")[0] == collection for name in config.get("trained_on", ()))


def with_frozen_body(
    name: str, config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]
) -> "BodyAndHead":
    """Build model ``name`` with the final weights of its frozen body: pretrained, or random but fixed.

    A random body is the same for every ``seed`` of an experiment. The seed only changes the head.

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
    """Load the pretrained weights that a new model's section names, if any. For training only.

    A model from a checkpoint has its weights already, so prediction downloads nothing.

    Raises
    ------
    GenreproError
        If the weights cannot be brought, read, or are those of another architecture.
    """
    from genrepro.models.shared.body import BodyAndHead

    if isinstance(model, BodyAndHead):
        model.load()
