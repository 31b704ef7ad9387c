"""Find the trained model that `train.start` names, and say what it is, without reading its weights.

`train.start` names a folder or one of DVC's experiments. DVC compares files and parameters, and neither need
be a file of the repository. So the stage `source` writes `listing` into models/start.json before every run,
and the stage `train` depends on that file. The model of an experiment is brought into `place` first
(`experiments.bring`). The place's name holds the model's hash, so an experiment that ran anew is another
place, and a training that begins beside it keeps its own.
"""

from pathlib import Path
from typing import Any

from genrepro.base import places
from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json, sha256

NOTHING: dict[str, Any] = {"weights_sha256": None, "model_sha256": None}
"""The listing of `train.start: none`."""
LISTING = Path("models", "start.json")
_FILES = ("model.json", "model.safetensors")


def folder(start: str) -> Path:
    """The folder that ``train.start`` means, with ``model.json`` and ``model.safetensors``.

    A relative path means the user's repository, also in an experiment that DVC runs in a temporary clone. If
    it is no folder, it is the name of an experiment, whose model the stage source has brought and listed.

    Raises
    ------
    GenreproError
        If it is neither, if a file is missing, or if the folder is the one that the run itself writes.
    """
    named = given(start)
    if named is not None:
        return named
    listed = read_json(LISTING).get("model_sha256") if LISTING.is_file() else None
    found = None if listed is None else place(start, listed)
    if found is None or not found.is_dir():
        raise GenreproError(
            f"train.start = {start!r} is neither a folder with a trained model's two files nor an experiment "
            "of this repository, as `dvc exp list --all-commits` names them."
        )
    return found


def given(start: str) -> Path | None:
    """The folder of a user's own that ``train.start`` names. None if there is no such folder.

    Raises
    ------
    GenreproError
        If a file is missing, or if the folder is the one that the run itself writes.
    """
    found = places.find(start)
    if found.resolve() in [Path("models").resolve(), places.repository() / "models"]:
        raise GenreproError(
            f"train.start = {start!r} is the folder that the training itself writes: copy the model to "
            "another folder and name that."
        )
    if not found.exists():
        return None
    missing = [name for name in _FILES if not (found / name).is_file()]
    if missing:
        raise GenreproError(
            f"train.start = {start!r} has no {' and no '.join(missing)}: name a folder that holds a trained "
            "model's two files, or an experiment."
        )
    return found


def place(name: str, model_sha256: str) -> Path:
    """The folder in the user's repository for the model of the experiment ``name``, by model.json's hash."""
    return places.written(Path("starts", f"{name}-{model_sha256[:12]}"))


def listing(start: Path) -> dict[str, Any]:
    """What DVC compares: the hash of the weights, which model.json holds, and the hash of model.json."""
    return {
        "weights_sha256": read_json(start / "model.json").get("weights_sha256"),
        "model_sha256": sha256(start / "model.json"),
    }
