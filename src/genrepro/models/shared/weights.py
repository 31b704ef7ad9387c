"""Read pretrained weights without running code from their files, and check that they fit the model.

Files are safetensors, or torch's own format opened with ``weights_only=True``. torchvision downloads into
``$TORCH_HOME`` and checks the hash in the file's name. transformers downloads into ``$HF_HOME``.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from genrepro.base import places
from genrepro.base.errors import GenreproError

if TYPE_CHECKING:
    import torch
    from torch import nn


def read(path: Path, *, key: str) -> "dict[str, torch.Tensor]":
    """The state dict in a file.

    Parameters
    ----------
    path : Path
        ``*.safetensors``. A file of any other name must be one that ``torch.save`` wrote.
    key : str
        The parameter that named the file, e.g. ``vit.weights``, for messages.

    Raises
    ------
    GenreproError
        If the file is missing, damaged, or holds anything but tensors by name.
    """
    import torch

    path = places.find(path)
    if not path.is_file():
        raise GenreproError(f"{key} = {str(path)!r} is not a file: name a .pth or .safetensors file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises a dozen types for bytes that it did not write
        raise GenreproError(
            f"{key}: {path} is damaged or holds more than tensors ({_first_line(error)}): bring it again."
        ) from error
    return _tensors(state, source=str(path), key=key)


def download(weights: Any, *, key: str) -> "dict[str, torch.Tensor]":
    """The state dict of weights that torchvision downloads once and checks.

    Parameters
    ----------
    weights : torchvision.models.WeightsEnum
        Such as ``ViT_B_16_Weights.IMAGENET1K_V1``.
    key : str
        The parameter that asked for it, for messages.

    Raises
    ------
    GenreproError
        If there is no network, if the file does not have the hash in its name, or if an earlier download is
        damaged.
    """
    import torch

    name = urlsplit(weights.url).path.rpartition("/")[2]
    cached = Path(torch.hub.get_dir(), "checkpoints", name)
    by_hand = f"download {weights.url} by hand and pass -S {key}=<path>"
    was_there = cached.is_file()
    try:
        state = weights.get_state_dict(
            progress=sys.stderr.isatty(), check_hash=True, map_location="cpu", weights_only=True
        )
    except Exception as error:  # the network's, the file system's, or the dozen of torch's reader
        if was_there or cached.is_file():
            raise GenreproError(
                f"{key}: {cached}, an earlier download, is damaged ({_first_line(error)}): delete it and "
                "start again."
            ) from error
        if "invalid hash" in str(error):
            raise GenreproError(
                f"{key}: {weights.url} gives another file than the hash in its name promises: try again, or "
                f"{by_hand}."
            ) from error
        raise GenreproError(
            f"{key}: {weights.url} could not be downloaded ({_first_line(error)}): try again later, or "
            f"{by_hand}."
        ) from error
    return _tensors(state, source=str(cached), key=key)


def pretrained(kind: Any, source: str, *, expected: Mapping[str, tuple[str, Any]], key: str) -> Any:
    """A transformers model from the hub, which transformers downloads once, or from a folder in its format.

    Parameters
    ----------
    kind : type
        A class of transformers, such as ``ASTModel``.
    source : str
        A model's name on the hub, or a folder with ``config.json`` and ``model.safetensors``.
    expected : mapping
        The required configuration: from transformers' key to this project's key and value.
    key : str
        The parameter that named the source, for messages.

    Raises
    ------
    GenreproError
        If the model cannot be downloaded or read, or has another type or configuration.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # transformers warns at length about the head that is not loaded
    try:
        values, _ = kind.config_class.get_config_dict(source)
        _agree(kind.config_class, values, expected, source=source, key=key)
        # Only safetensors: older formats are pickles, which can run code.
        model, report = kind.from_pretrained(
            source, use_safetensors=True, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except GenreproError:
        raise
    except Exception as error:  # from transformers, the hub's client, the network or the file reader
        if Path(source).is_dir():
            advice = "it must hold config.json and model.safetensors as transformers writes them"
        else:
            advice = (
                f"try again later, or download config.json and model.safetensors of {source} into a "
                f"folder and pass -S {key}=<folder>"
            )
        raise GenreproError(f"{key}: {source} cannot be loaded ({_first_line(error)}): {advice}.") from error
    finally:
        logging.set_verbosity(verbosity)
    other = [name for name, *_ in report["mismatched_keys"]]
    for names, what in ((report["missing_keys"], "are missing"), (other, "have another shape")):
        if names:
            raise GenreproError(
                f"{key}: {source} holds the weights of another architecture: {len(names)} tensors {what}, "
                f"such as {min(names)}."
            )
    return model


def load(module: "nn.Module", state: "dict[str, torch.Tensor]", *, source: str, key: str) -> None:
    """Copy ``state`` into ``module``. Names and shapes must match exactly.

    Raises
    ------
    GenreproError
        If names or shapes do not match.
    """
    wrong = f"{key}: {source} holds the weights of another architecture"
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a title, then one line for each shape that differs
        lines = [line.strip() for line in str(error).splitlines()]
        raise GenreproError(f"{wrong}: {lines[min(1, len(lines) - 1)].rstrip('.')}.") from error
    if missing or unexpected:
        found = [f"{len(missing)} tensors are missing, such as {missing[0]}"] if missing else []
        found += [f"{len(unexpected)} are unknown, such as {unexpected[0]}"] if unexpected else []
        raise GenreproError(f"{wrong}: {'; '.join(found)}.")


def folder(path: str, *, key: str) -> str:
    """``path`` as an existing folder; any other name would be looked up on the hub."""
    found = places.find(path)
    if not found.is_dir():
        raise GenreproError(
            f"{key} = {path!r} is not a folder: name one that holds config.json and model.safetensors."
        )
    return str(found)


def _agree(
    kind: Any,
    values: Mapping[str, Any],
    expected: Mapping[str, tuple[str, Any]],
    *,
    source: str,
    key: str,
) -> None:
    if (found := values.get("model_type", "unknown")) != kind.model_type:
        raise GenreproError(f"{key}: {source} holds a model of type {found}, not {kind.model_type}.")
    config = kind.from_dict(dict(values))
    differ = [
        f"-S {ours}={getattr(config, theirs)}"
        for theirs, (ours, value) in expected.items()
        if getattr(config, theirs) != value
    ]
    if differ:
        raise GenreproError(f"{key}: {source} is of another configuration: pass {' '.join(differ)}.")


def _tensors(state: Any, *, source: str, key: str) -> "dict[str, torch.Tensor]":
    import torch

    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise GenreproError(f"{key}: {source} holds no plain state dict, tensors by name.")
    return state


def _first_line(error: Exception) -> str:
    """The first sentence of a message, which may have pages."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".:")
