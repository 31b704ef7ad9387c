"""Save and load a trained model: ``model.safetensors`` and ``model.json``, enough to predict.

The description names the data by hashes and not by a commit. A commit id would make dvc.lock depend on
itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json, replacing, require, sha256, write_json

if TYPE_CHECKING:
    import torch
    from torch import nn

_FROM_FEATURES = ("genres", "mel", "segments", "pooling", "frame_rate", "num_bands", "mean", "std")


def describe(
    *, model: str, section: dict[str, Any], features: dict[str, Any], split_sha256: str
) -> dict[str, Any]:
    """The contents of model.json, without the hash of the weights.

    Parameters
    ----------
    model : str
        Name of the model.
    section : dict
        ``Params.architecture()``.
    features : dict
        ``features.json``.
    split_sha256 : str
        Hash of split.csv.
    """
    return {
        "model": model,
        model: section,
        **{key: features[key] for key in _FROM_FEATURES},
        **({"body": features["body"]} if "body" in features else {}),
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


def load(folder: Path, *, with_body: bool = True) -> "tuple[nn.Module, dict[str, Any]]":
    """Read a model, on the CPU and in evaluation mode.

    A frozen body is not in the file: it has hundreds of MB and is the same in every experiment. It is made
    again from its fixed seed, downloaded, or read from the file of params.yaml, and its hash is checked.

    Parameters
    ----------
    folder : Path
    with_body : bool
        False loads only the head if the body is frozen, for embeddings.

    Raises
    ------
    GenreproError
        If a file is missing, if weights and description do not match, or if the body has changed.
    """
    from safetensors.torch import load_file

    from genrepro import models

    description = read_json(folder / "model.json")
    weights = require(folder / "model.safetensors")
    if sha256(weights) != description["weights_sha256"]:
        raise GenreproError(f"{weights} is not the file that model.json describes: run `dvc repro train`.")
    name = description["model"]
    num_genres = len(description["genres"])
    state = load_file(weights)
    if "body" not in description:
        model = models.build(name, description[name], num_genres=num_genres, inputs=description)
        model.load_state_dict(state)
        return model.eval(), description
    if not with_body:
        head = models.build_head(name, description[name], num_genres=num_genres, inputs=description)
        head.load_state_dict(state)
        return head.eval(), description
    whole = models.with_frozen_body(name, description[name], num_genres=num_genres, inputs=description)
    if whole.body_sha256() != description["body"]["sha256"]:
        raise GenreproError(
            f"{folder}: the body of {name}.weights = {description[name]['weights']!r} is no longer the one "
            "that this model was trained on: bring its file back, or train on the new one with "
            "`dvc repro --force --single-item features` and `dvc repro`."
        )
    whole.head.load_state_dict(state)
    return whole.eval(), description
