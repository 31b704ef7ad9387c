"""The model that comes with genrepro: the committed default's weights in float16, so that `predict` answers
before anything was trained.

    make model        # writes it anew from models/; do this after each new default run

``shipped/model.json`` is the description of the default run, with the hash of the shipped file, with
``origin_sha256``, the hash in models/model.json, and with what the model is worth. A test compares both with
the committed models/model.json and metrics/test.json. ``shipped/model.json.sha256`` is the hash of the
description: if somebody edits it, `predict` still answers but claims no accuracy.
"""

import sys
from pathlib import Path

from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json
from genrepro.models.shared import checkpoint
from genrepro.serve import worth

FOLDER = Path(__file__).parent / "shipped"
TRAINED = Path("models")


def folder() -> Path:
    """models/ if it holds weights, else the folder of the model that comes with genrepro."""
    return TRAINED if (TRAINED / "model.safetensors").exists() else FOLDER


def write(trained: Path, target: Path = FOLDER) -> None:
    """Write the model in ``trained`` as the one that comes with genrepro.

    Parameters
    ----------
    trained : Path
        Folder with the model of the committed default run; its worth is read from dvc.lock.
    target : Path

    Raises
    ------
    GenreproError
        If the model has a frozen body, which is too large for git, or if dvc.lock does not prove its figures.
    """
    model, description = checkpoint.load(trained)
    if "body" in description:
        raise GenreproError(f"{trained} has a frozen body: only a model without one comes with genrepro.")
    known = worth.by_lock(trained)
    if not known:
        raise GenreproError(f"metrics/test.json is not of the model in {trained}: run `dvc repro`.")
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    description |= {"origin_sha256": description["weights_sha256"], "worth": known}
    checkpoint.save(target, state, description)
    worth.seal(target)


if __name__ == "__main__":
    try:
        write(TRAINED)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(f"model: {worth.text(worth.of(FOLDER, read_json(FOLDER / 'model.json')))}")
