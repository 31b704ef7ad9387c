"""How far a model can be trusted: its data set, split, accuracy and interval, as far as files prove them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genrepro.base import sections
from genrepro.base.files import read_json, replacing, sha256

SCORES = ("accuracy", "accuracy_low", "accuracy_high", "num_tracks", "leaky")
SEAL = "model.json.sha256"


def text(worth: Mapping[str, str]) -> str:
    """The model, its data and its accuracy in words, as far as they are known."""
    if "changed" in worth:
        return f"{worth['model']}, whose model.json was {worth['changed']}: its accuracy is unknown"
    parts = [worth.get("model", "a model") + (f" on {worth['dataset']}" if "dataset" in worth else "")]
    if "split_strategy" in worth:
        parts.append(f"split by {worth['split_strategy']}")
    if all(key in worth for key in SCORES):
        accuracy, low, high = (f"{100 * float(worth[key]):.1f}" for key in SCORES[:3])
        parts.append(f"accuracy {accuracy} % [{low}, {high}] on {worth['num_tracks']} tracks")
        parts += ["leaky"] if worth["leaky"] != "0" else []
    return ", ".join(parts)


def of(folder: Path, description: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a model.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors`` and ``model.json``.
    description : mapping
        The contents of ``model.json``. That of the model which comes with genrepro says it itself. It is
        believed only if ``model.json.sha256`` holds its hash: genres or a mean that somebody edited would
        give other answers than those that were measured.
    """
    name = str(description["model"])
    if "worth" not in description:
        return {"model": name, **by_lock(folder)}
    sealed = (folder / SEAL).read_text("ascii", "replace") if (folder / SEAL).is_file() else ""
    if sealed.split()[:1] != [sha256(folder / "model.json")]:
        return {"model": name, "changed": "changed after it was measured"}
    return {"model": name, **description["worth"]}


def seal(folder: Path) -> None:
    """Write the hash of model.json beside it, as sha256sum does and checks."""
    with replacing(folder / SEAL) as partial:
        partial.write_text(f"{sha256(folder / 'model.json')}  model.json\n", "ascii", newline="\n")


def by_lock(folder: Path) -> dict[str, str]:
    """The figures of metrics/test.json, if dvc.lock proves that it scores the model in ``folder``."""
    lock, test = Path("dvc.lock"), Path("metrics", "test.json")
    if not (lock.is_file() and test.is_file()):
        return {}
    stages = (sections.read(lock) or {}).get("stages", {})
    hashes = {
        stage: {
            entry["path"]: entry.get("md5") for entry in [*values.get("deps", []), *values.get("outs", [])]
        }
        for stage, values in stages.items()
    }
    evaluated = hashes.get("evaluate", {})
    if (evaluated.get("models/model.safetensors"), evaluated.get(test.as_posix())) != (
        _md5(folder / "model.safetensors"),
        _md5(test),
    ):
        return {}
    if evaluated.get("models/model.json", "") not in ("", _md5(folder / "model.json")):
        return {}  # somebody edited it: the figures are of another model
    scores = read_json(test)
    known = {key: str(scores[key]) for key in SCORES if key in scores}
    dataset = stages["evaluate"]["params"]["params.yaml"]["dataset"]
    known["dataset"] = dataset
    split = f"data/{dataset}/split.csv"
    if hashes.get("split", {}).get(split) == evaluated.get(split):
        known["split_strategy"] = stages["split"]["params"]["params.yaml"]["split"]["strategy"]
    return known


def _md5(path: Path) -> str:
    """The hash that DVC uses for a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
