"""Register the trained model in MLflow, so that any MLflow can serve it, as a version of a name.

A registered model needs neither this repository nor a download. It has the weights (also of a frozen body),
the description, the package's code, and the versions of the libraries. A version's tags give the model's
scores. It is found again by the hash of its weights.
"""

import math
import os
import re
import struct
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from io import BytesIO
from pathlib import Path
from typing import Any

from genrepro import tracking
from genrepro.base import stores
from genrepro.base.errors import GenreproError
from genrepro.models.shared import checkpoint
from genrepro.serve import worth

# A name is part of addresses and filters, in which other characters have a meaning.
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
# The packages that a prediction imports.
_REQUIRED = (
    "librosa",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
)
_OF_MODEL = {"ast": ("transformers",), "vit": ("matplotlib", "torchvision")}
# Versions of before this tag read every path that a request names.
_PATHS = {"paths": "opt-in"}
_OF_PICTURES = ("matplotlib", "pillow")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model."""

    name: str
    number: int
    tags: dict[str, str]
    new: bool = False
    """Whether it was registered just now."""

    def text(self) -> str:
        """The model, its data and its accuracy in words, as far as the tags have them."""
        return worth.text(self.tags)


def register(folder: Path, *, name: str) -> Version:
    """Log the model in ``folder`` as the next version of ``name``, or find the version with these weights.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors`` and ``model.json``.
    name : str
        Letters, digits, dots, dashes and underscores.

    Raises
    ------
    GenreproError
        If the model cannot be read, the name is not valid, or the store cannot be reached.
    """
    _check(name)
    _, description = checkpoint.load(folder)  # checks that it is complete, before anything is written
    if taken := {"genre", "error"} & set(description["genres"]):
        raise GenreproError(
            f"a genre is called {min(taken)!r}, which is a column of the answers: give it another name."
        )
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    client, experiment_id = tracking.connect()
    import mlflow

    with _in_words():
        weights = description["weights_sha256"]
        for found in _versions(client, name):
            same = found.tags.get("weights_sha256") == weights and _PATHS.items() <= found.tags.items()
            if same and _lost(client, found) is None:
                return found
        run_id, tags = _run(client, experiment_id, description)
        tags |= worth.by_lock(folder)
        tags |= {"model": description["model"], "weights_sha256": weights, **_PATHS}
        with tempfile.TemporaryDirectory() as temporary:
            uri = _log(whole(folder, Path(temporary)), description, run_id=run_id)
        number = int(mlflow.register_model(uri, name, tags=tags).version)
        version = Version(name=name, number=number, tags=tags, new=True)
        client.update_model_version(name, str(number), description=version.text())
    return version


def offer(folder: Path, *, name: str) -> None:
    """`register` for a stage: an error gives a one-line warning and does not end the stage."""
    where = stores.name()  # registering sets MLFLOW_TRACKING_URI
    try:
        version = register(folder, name=name)
    except Exception as error:  # the stage already has its results
        reason = " ".join(str(error).split())[:200]
        print(f"genrepro: {folder} is not registered: {type(error).__name__}: {reason}", file=sys.stderr)
    else:
        print(f"{folder} is {name}, version {version.number}, in {where}")


def find(name: str, version: str) -> Version:
    """A registered version.

    Parameters
    ----------
    name : str
    version : str
        A number, or ``latest``.

    Raises
    ------
    GenreproError
        If the store cannot be reached, or has no such name or version.
    """
    _check(name)
    known: dict[int, Version] = {}
    if os.environ.get("MLFLOW_TRACKING_URI") or stores.database().exists():  # asking would create one
        client, _ = tracking.connect()
        with _in_words():
            known = {found.number: found for found in _versions(client, name)}
            lost = {number: _lost(client, found) for number, found in known.items()}
    if not known:
        raise GenreproError(
            f"{stores.name()} holds no model named {name}: run `genrepro register --name {name}`."
        )
    number = max(known) if version == "latest" else int(version) if version.isdecimal() else 0
    if number not in known:
        raise GenreproError(
            f"{name} has no version {version}: it has {', '.join(map(str, sorted(known)))}, or say latest."
        )
    if lost[number] is not None:
        raise GenreproError(
            f"{name} version {number} has lost its files: {lost[number]} does not exist. Move them back "
            f"there, or register the model again with `genrepro register --name {name}`."
        )
    return known[number]


def require_opt_in(version: Version) -> None:
    """Raise GenreproError if the code of ``version`` reads every path that a request names."""
    if not _PATHS.items() <= version.tags.items():
        raise GenreproError(
            f"{version.name} version {version.number} was registered by an older genrepro, whose server "
            f"reads every file: register the model again with `genrepro register --name {version.name}`."
        )


def whole(folder: Path, temporary: Path) -> Path:
    """A folder with the complete model: ``temporary``, filled, if its body is frozen, else ``folder``.

    A frozen body is not saved with a model (see `checkpoint.load`).
    """
    model, description = checkpoint.load(folder)
    if "body" not in description:
        return folder
    del description["body"]  # the file then has all weights
    checkpoint.save(temporary, model.state_dict(), description)
    return temporary


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise GenreproError(
            f"{name!r} is not a name of a model: use letters, digits, dots, dashes, underscores."
        )


@contextmanager
def _in_words() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # also a full disk
        raise GenreproError(f"MLflow refuses: {' '.join(str(error).split())[:300].rstrip('.')}.") from error


def _versions(client: Any, name: str) -> list[Version]:
    """All versions of ``name``. Empty if it is not registered."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        found += [Version(name=name, number=int(entry.version), tags=dict(entry.tags)) for entry in page]
        token = page.token
        if not token:
            return found


def _lost(client: Any, version: Version) -> Path | None:
    """The folder in which a version's files lay, if it is on this machine and no longer there."""
    folder = stores.local(client.get_model_version_download_uri(version.name, str(version.number)))
    return None if folder is None or folder.exists() else folder


def _run(client: Any, experiment_id: str, description: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The newest run with these weights, or a new one, and the version's tags that it gives."""
    weights = description["weights_sha256"]
    runs = client.search_runs(
        [experiment_id],
        filter_string=f"tags.model_sha256 = '{weights}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not runs:
        tags = {"stage": "register", "model_sha256": weights, **description["data"]}
        return client.create_run(experiment_id, run_name="register", tags=tags).info.run_id, {}
    data = runs[0].data
    known = {"dataset": data.params.get("dataset"), "split_strategy": data.params.get("split.strategy")}
    for key in worth.SCORES:
        if (value := data.metrics.get(f"test.{key}")) is not None:
            known[key] = f"{value:g}"
    return runs[0].info.run_id, {key: value for key, value in known.items() if value is not None}


def _log(folder: Path, description: dict[str, Any], *, run_id: str) -> str:
    """Log the model to a run. Returns its address."""
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    import genrepro

    package = Path(genrepro.__file__).parent
    picture = description["mel"]["kind"] == "picture"
    answers = ["genre", *description["genres"], "error"]
    types = {"genre": "string", "error": "string"}
    signature = ModelSignature(
        inputs=Schema(
            [ColSpec("string", "path", required=False), ColSpec("binary", "audio", required=False)]
        ),
        outputs=Schema([ColSpec(types.get(key, "double"), key, required=False) for key in answers]),
    )
    mlflow.set_tracking_uri(stores.address())
    with mlflow.start_run(run_id=run_id):
        return mlflow.pyfunc.log_model(
            name="genres",
            python_model=str(package / "serve" / "pyfunc.py"),
            artifacts={
                "weights": str(folder / "model.safetensors"),
                "description": str(folder / "model.json"),
            },
            code_paths=[str(package)],
            signature=signature,
            input_example=pd.DataFrame([{"path": "picture.png"} if picture else {"audio": _tone()}]),
            pip_requirements=requirements(description),
        ).model_uri


def requirements(description: dict[str, Any]) -> list[str]:
    """The packages for predicting on another machine as here: ``name==version``, from any index."""
    names = {*_REQUIRED, *_OF_MODEL.get(description["model"], ())}
    if description["mel"]["kind"] == "picture":
        names |= {*_OF_PICTURES}
    # "2.9.0+cpu" is a build of one index; every index has 2.9.0.
    return [f"{name}=={version_of(name).partition('+')[0]}" for name in sorted(names)]


def _tone() -> bytes:
    """A WAV file of a quarter of a second, 4 kB, as an example that needs no file on the server."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        samples = [round(8000 * math.sin(2 * math.pi * 440 * number / 8000)) for number in range(2000)]
        sound.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()
