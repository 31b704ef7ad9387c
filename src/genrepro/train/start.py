"""Begin a training with the weights of a trained model: of other genres, other data, another size.

A tensor is taken if the new model has one of the same name and shape. The layers that depend on the number of
genres are only taken if both models name the same genres in the same order, and were trained to tell them
apart: of M2D they are a probe's. All others keep their random weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genrepro import models
from genrepro.base import starts
from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json, sha256
from genrepro.models.shared import weights

KEY = "train.start"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Names of a new model's tensors, in its order, by what became of them."""

    taken: list[str]
    other_genres: list[str]
    """Layers of the genres, which begin anew."""
    other_shape: list[str]
    missing: list[str]
    """Tensors that the start does not have."""
    unused: list[str]
    """Tensors that only the start has."""

    @property
    def whole(self) -> bool:
        """Whether nothing begins anew."""
        return not (self.other_genres or self.other_shape or self.missing)

    def __str__(self) -> str:
        total = len(self.taken) + len(self.other_genres) + len(self.other_shape) + len(self.missing)
        parts = [f"{len(self.taken)} of {total} tensors taken"]
        for names, what in (
            (self.other_genres, "begin anew with the genres"),
            (self.other_shape, "begin anew, of another shape in the start"),
            (self.missing, "begin anew, not in the start"),
            (self.unused, "of the start are not used"),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({', '.join(names)})")
        return "; ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A trained model that a training begins with."""

    folder: Path
    description: dict[str, Any]
    """Its model.json."""
    state: dict[str, torch.Tensor]

    @property
    def sha256(self) -> str:
        """Hash of its weights."""
        return self.description["weights_sha256"]


def read(name: str) -> Start | None:
    """Read the model that ``train.start`` names. None if it is ``none``.

    Raises
    ------
    GenreproError
        If the folder has no model, or if weights and description do not belong together.
    """
    if name == "none":
        return None
    folder = starts.folder(name)
    description = read_json(folder / "model.json")
    file = folder / "model.safetensors"
    if description.get("weights_sha256") != sha256(file) or "genres" not in description:
        raise GenreproError(f"{KEY}: {file} is not the file that model.json beside it describes: bring both.")
    return Start(folder=folder, description=description, state=weights.read(file.resolve(), key=KEY))


def described(description: dict[str, Any], start: Start | None) -> dict[str, Any]:
    """The description of the new model, with the start's hash among the hashes of its data."""
    if start is None:
        return description
    return {**description, "data": {**description["data"], "start_sha256": start.sha256}}


def load(
    model: nn.Module, start: Start, *, name: str, section: Mapping[str, Any], description: Mapping[str, Any]
) -> Taken:
    """Copy what fits into ``model``.

    Parameters
    ----------
    model : nn.Module
        A new model ``name`` of ``section``.
    start : Start
    name : str
    section : mapping
        ``Params.architecture()``.
    description : mapping
        model.json of the new model.

    Raises
    ------
    GenreproError
        If nothing but counters fits.
    """
    state = model.state_dict()
    same_genres = description["genres"] == start.description["genres"]
    same_genres &= start.description.get("objective") != "m2d"  # its layer of genres is a probe's
    of_genres = set() if same_genres else _of_genres(state, name, section, description)
    found: dict[str, list[str]] = {"taken": [], "other_genres": [], "other_shape": [], "missing": []}
    for key, value in state.items():
        given = start.state.get(key)
        if key in of_genres:
            found["other_genres"].append(key)
        elif given is None:
            found["missing"].append(key)
        elif given.shape != value.shape:
            found["other_shape"].append(key)
        else:
            found["taken"].append(key)
    if not any(state[key].ndim > 1 for key in found["taken"]):
        raise GenreproError(
            f"{KEY}: no layer of {start.folder}, a {start.description['model']}, fits the new {name}: name a "
            f"model of the same kind and size, or set model={start.description['model']}."
        )
    model.load_state_dict({key: start.state[key] for key in found["taken"]}, strict=False)
    return Taken(**found, unused=[key for key in start.state if key not in state])


def _of_genres(
    state: Mapping[str, torch.Tensor],
    name: str,
    section: Mapping[str, Any],
    description: Mapping[str, Any],
) -> set[str]:
    """Names of the tensors whose shape depends on the number of genres."""
    number = len(description["genres"])
    with torch.random.fork_rng(devices=[]):  # the random weights of another model change no others
        other = models.build(name, section, num_genres=number + 1, inputs=description).state_dict()
    return {key for key, value in state.items() if other[key].shape != value.shape}
