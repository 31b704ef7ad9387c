"""Find the trained model that `train.start` names, and say what it is, without reading its weights.

DVC compares files and parameters, and the start may lie outside of the repository. So the stage `source`
writes `listing` into models/start.json before every run, and the stage `train` depends on that file.
"""

from pathlib import Path
from typing import Any

from genrepro.base import places
from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json, sha256

NOTHING: dict[str, Any] = {"weights_sha256": None, "model_sha256": None}
"""The listing of `train.start: none`."""


def folder(start: str) -> Path:
    """The folder that ``train.start`` names, with ``model.json`` and ``model.safetensors``.

    A relative path means the user's repository, also in an experiment that DVC runs in a temporary clone.

    Raises
    ------
    GenreproError
        If a file is missing, or if the folder is the one that the run itself writes.
    """
    found = places.find(start)
    own = [Path("models").resolve(), places.repository() / "models"]
    if found.resolve() in own:
        raise GenreproError(
            f"train.start = {start!r} is the folder that the training itself writes: copy the model to "
            "another folder and name that."
        )
    missing = [name for name in ("model.json", "model.safetensors") if not (found / name).is_file()]
    if missing:
        raise GenreproError(
            f"train.start = {start!r} has no {' and no '.join(missing)}: name a folder that holds a trained "
            "model's two files; `dvc get . models --rev EXPERIMENT -o FOLDER` brings those of an experiment."
        )
    return found


def listing(start: str) -> dict[str, Any] | None:
    """What DVC compares: the hash of the weights, which model.json holds, and the hash of model.json.

    Returns
    -------
    dict or None
        `NOTHING` if ``start`` is ``none``. None if the model is not on this machine.
    """
    if start == "none":
        return NOTHING
    try:
        found = folder(start)
    except GenreproError:
        return None
    return {
        "weights_sha256": read_json(found / "model.json").get("weights_sha256"),
        "model_sha256": sha256(found / "model.json"),
    }
