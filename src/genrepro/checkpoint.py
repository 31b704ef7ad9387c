"""A trained model on disk: ``model.safetensors`` and ``model.json``, enough to predict with nothing else.

The description names the data by its hashes, never a commit: a commit id would make dvc.lock depend on
itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrepro.errors import GenreproError
from genrepro.files import read_json, replacing, require, sha256, write_json

if TYPE_CHECKING:
    import torch
    from torch import nn

_FROM_FEATURES = ("genres", "mel", "segments", "pooling", "frame_rate", "num_bands", "mean", "std")


def describe(
    *, model: str, section: dict[str, Any], features: dict[str, Any], split_sha256: str
) -> dict[str, Any]:
    """model.json without the hash of the weights.

    Parameters
    ----------
    model : str
        Name of the model.
    section : dict
        Its section of params.yaml.
    features : dict
        ``features.json``.
    split_sha256 : str
        Of split.csv.
    """
    return {
        "model": model,
        model: section,
        **{key: features[key] for key in _FROM_FEATURES},
        "data": {"features_sha256": features["sha256"], "split_sha256": split_sha256},
    }


def save(folder: Path, state: "dict[str, torch.Tensor]", description: dict[str, Any]) -> None:
    """Write weights and description.

    Adds ``weights_sha256`` to the description, which ties the two together.
    """
    from safetensors.torch import save_file

    weights = folder / "model.safetensors"
    with replacing(weights) as partial:
        save_file({name: value.contiguous() for name, value in state.items()}, partial)
    description["weights_sha256"] = sha256(weights)
    write_json(folder / "model.json", description)


def load(folder: Path) -> "tuple[nn.Module, dict[str, Any]]":
    """Read a model; in evaluation mode, on the CPU.

    Raises
    ------
    GenreproError
        If a file is missing, or weights and description do not belong together.
    """
    from safetensors.torch import load_file

    from genrepro import models

    description = read_json(folder / "model.json")
    weights = require(folder / "model.safetensors")
    if sha256(weights) != description["weights_sha256"]:
        raise GenreproError(f"{weights} is not the file that model.json describes: run `dvc repro train`.")
    name = description["model"]
    num_genres = len(description["genres"])
    model = models.build(name, description[name], num_genres=num_genres, inputs=description)
    model.load_state_dict(load_file(weights))
    return model.eval(), description
