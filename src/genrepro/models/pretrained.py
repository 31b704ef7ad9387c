"""A body that others published, from audio or from pictures, with a head on one of its layers.

Usually the body is frozen: the stage embed has kept what it says of every segment (`shared.layers`), and only
a head is built here. A body of pictures can also be built whole, to be tuned and to predict a file.

**Heads** stand on standardised embeddings, as in EVAR (Niizumi et al., 2022), whatever their kind: the layers
of a body differ in scale by orders of magnitude. With ``layer: weighted`` a learnt mean of the layers comes
next.

**Pictures.** A segment is drawn in magma's colours (`shared.drawing`). The whole picture is resized to what
the model's own image processor gives it, with its interpolation, mean and deviation. Its crop is left out: it
would cut off a third of a clip's time.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from genrepro.base.errors import GenreproError
from genrepro.models.shared import layers, published
from genrepro.models.shared.body import BodyAndHead, Mix, Standardise, mlp, report_head
from genrepro.models.shared.drawing import Drawing
from genrepro.models.shared.published import Published

RANK = 8  # of LoRA's updates
_INTERPOLATIONS = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers


def build(config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]) -> "PictureModel":
    """Build a body of pictures with its published weights, and a head with random ones.

    Parameters
    ----------
    config : mapping
        The section ``pretrained`` of params.yaml, with ``head``.
    num_genres : int
    inputs : mapping
        From features.json or model.json, as `vit.build` reads it.

    Raises
    ------
    GenreproError
        If the body cannot be brought or read, or is none of pictures.
    """
    if config["weights"] == "none":
        raise GenreproError(
            "pretrained.embeddings are embeddings without the body that made them: they train and evaluate a "
            "head, but no file can be predicted and no block can be tuned."
        )
    body = published.load(config["weights"], revision=config["revision"])
    if body.kind != "picture":
        raise GenreproError(
            f"pretrained.weights: {body.source} is a body from audio, which stays frozen and reads whole "
            "data sets: set pretrained.trainable_blocks to 0; a body of pictures can be tuned and predicts "
            "files."
        )
    return PictureModel(body, config=config, num_genres=num_genres, inputs=inputs)


def build_head(config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]) -> nn.Sequential:
    """Build a head for embeddings [shape=(batch, embedding_size)], which ``inputs`` describes as ``body``."""
    return _head(
        config,
        size=inputs["body"]["embedding_size"],
        count=inputs["body"]["num_layers"],
        num_genres=num_genres,
    )


def _head(config: Mapping[str, Any], *, size: int, count: int, num_genres: int) -> nn.Sequential:
    """``size`` is that of all embeddings, of ``count`` layers if they are weighted."""
    parts: list[nn.Module] = [Standardise(size)]
    if config["layer"] == "weighted":
        size //= count
        parts.append(Mix(count))
    kind = config["head"]["kind"]
    if kind == "linear":
        parts.append(nn.Linear(size, num_genres))
    elif kind == "report":
        parts += report_head(size, num_genres)
    else:
        parts += mlp(config["head"], num_inputs=size, num_genres=num_genres)
    return nn.Sequential(*parts)


class PictureModel(BodyAndHead):
    """Map segments to logits, by way of a picture."""

    def __init__(
        self, body: Published, *, config: Mapping[str, Any], num_genres: int, inputs: Mapping[str, Any]
    ) -> None:
        network = body.network
        network.requires_grad_(True)
        size, count = _size(network, config)
        super().__init__(
            network,
            _head(config, size=size, count=count, num_genres=num_genres),
            blocks=_blocks(network),
            norm=_last_norm(network),
            embedding_size=size,
            trainable_blocks=config["trainable_blocks"],
        )
        if config["trainable_blocks"] == "lora":
            _add_low_rank_updates(network)
        if config.get("checkpointing"):
            self.checkpoint_blocks()
        self.picture = drawing(body.settings, inputs)
        self.layer, self.pooling = config["layer"], config["pooling"]

    def load(self) -> None:
        """The body has its published weights already."""

    def prepare(self, segments: torch.Tensor) -> torch.Tensor:
        """Pictures [shape=(batch, 3, height, width)] of segments, as `shared.drawing` makes them."""
        return self.picture(segments)

    def encode(self, prepared: torch.Tensor) -> torch.Tensor:
        """The chosen layer and parts of it [shape=(batch, embedding_size)]."""
        found = hidden_layers(self.body, prepared)
        names = parts_of(self.body)
        wanted = [names.index(part) for part in layers.POOLING[self.pooling]]
        vectors = [layer[:, wanted].flatten(1) for layer in found]
        if self.layer == "mean":
            return torch.stack(vectors).mean(0)
        if self.layer in ("all", "weighted"):
            return torch.cat(vectors, dim=1)
        return vectors[-1 if self.layer == "last" else self.layer]


def _add_low_rank_updates(network: Any) -> None:
    """Add a trainable product of two thin matrices to every dense layer (LoRA, Hu et al. 2022)."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"), network)


def drawing(settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> Drawing:
    """What draws segments as an image processor with these settings would give them to its model."""
    normalises = settings.get("do_normalize", True)
    return Drawing(
        inputs,
        size=picture_size(settings),
        centre=(normalises and settings.get("image_mean")) or (0.0, 0.0, 0.0),
        spread=(normalises and settings.get("image_std")) or (1.0, 1.0, 1.0),
        mode=_INTERPOLATIONS.get(settings.get("resample", 2), "bicubic"),
    )


def picture_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the picture that an image processor gives its model."""
    crops = settings.get("do_center_crop") and settings.get("crop_size")
    size = settings.get("crop_size") if crops else settings.get("size", 224)
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge", 224)
        return int(size.get("height", edge)), int(size.get("width", edge))
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[1])
    return int(size or 224), int(size or 224)


def hidden_layers(network: Any, pictures: torch.Tensor) -> list[torch.Tensor]:
    """What each layer says of pictures: its parts [shape=(batch, num_parts, size)], see `parts_of`.

    Layer 0 is the input of the first block. The last is the body's output, after its last norm.
    """
    answer = network(pixel_values=pictures, output_hidden_states=True)
    hidden = list(answer.hidden_states)
    if hidden[-1].shape == answer.last_hidden_state.shape:
        hidden[-1] = answer.last_hidden_state
    with_class = "cls" in parts_of(network)
    number = _num_patches(network, pictures)
    parts = []
    for layer in hidden:
        positions = layer.flatten(2).transpose(1, 2) if layer.ndim == 4 else layer
        patches = positions[:, -number:] if with_class else positions
        found = [patches.mean(1), patches.std(1, correction=0)]
        parts.append(torch.stack([*found, positions[:, 0]] if with_class else found, dim=1))
    return parts


def parts_of(network: Any) -> tuple[str, ...]:
    """Names of the parts of a layer: mean and deviation of its patches, and the class token if any."""
    with_class = any(name.rsplit(".", 1)[-1] == "cls_token" for name, _ in network.named_parameters())
    return ("mean", "std", "cls") if with_class else ("mean", "std")


def _num_patches(network: Any, pictures: torch.Tensor) -> int:
    patch = getattr(network.config, "patch_size", 16)
    height, width = (patch, patch) if isinstance(patch, int) else patch
    return (pictures.shape[2] // height) * (pictures.shape[3] // width)


def _size(network: Any, config: Mapping[str, Any]) -> tuple[int, int]:
    """Size of the embeddings that the section asks for, and the number of layers."""
    settings = network.config
    sizes = getattr(settings, "hidden_sizes", None) or [settings.hidden_size] * (
        settings.num_hidden_layers + 1
    )
    if len(set(sizes)) > 1 and config["layer"] in ("mean", "weighted"):
        raise GenreproError(
            f"pretrained.layer = {config['layer']}, but the body's layers have different sizes: choose last "
            "or a number."
        )
    if isinstance(config["layer"], int) and config["layer"] >= len(sizes):
        raise GenreproError(
            f"pretrained.layer = {config['layer']}, but the body has layers 0 to {len(sizes) - 1}: choose "
            "one."
        )
    missing = set(layers.POOLING[config["pooling"]]) - set(parts_of(network))
    if missing:
        raise GenreproError(
            f"pretrained.pooling = {config['pooling']}, but the body has no {missing.pop()} token."
        )
    layer = config["layer"]
    if layer in ("all", "weighted"):
        size = sum(sizes)
    else:
        size = sizes[layer] if isinstance(layer, int) else sizes[-1]
    return size * len(layers.POOLING[config["pooling"]]), len(sizes)


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of equal kind: the longest list of modules."""
    lists = [list(module) for module in network.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len)


def _last_norm(network: nn.Module) -> nn.Module:
    """The norm after the last block, or nothing if there is none."""
    inside = {id(module) for block in _blocks(network) for module in block.modules()}
    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.LayerNorm) and id(module) not in inside and "embeddings" not in name
    ]
    return norms[-1] if norms else nn.Identity()
