"""Bring the trained model of one of DVC's experiments, for `train.start`.

The description is in git. The weights come from DVC's cache or remote, by ``dvc get``, which also works in a
stage that DVC runs.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from genrepro.base import places, starts
from genrepro.base.errors import GenreproError
from genrepro.compare import revisions


def model(name: str) -> Path | None:
    """The folder with the model of the experiment ``name`` of the user's repository.

    Returns
    -------
    Path or None
        `starts.place` of the experiment's newest run, or of the one that began at the commit that is checked
        out. None if there is no such experiment.

    Raises
    ------
    GenreproError
        If the experiment has no model, or if its weights are in neither cache nor remote.
    """
    repository = places.repository()
    commit = revisions.experiment(name, folder=repository)
    if commit is None:
        return None
    description = revisions.content(commit, "models/model.json", folder=repository)
    if description is None:
        raise GenreproError(f"train.start = {name!r} is an experiment without a models/model.json.")
    place = starts.place(name, hashlib.sha256(description).hexdigest())
    if not place.is_dir():
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, ignore_cleanup_errors=True) as partial:
            _get(name, commit, Path(partial, "model.safetensors"), repository=repository)
            Path(partial, "model.json").write_bytes(description)
            try:
                Path(partial).rename(place)
            except OSError:  # a run beside this one was first
                if not place.is_dir():
                    raise
    return place


def _get(name: str, commit: str, target: Path, *, repository: Path) -> None:
    weights = f"models/{target.name}"
    command = [sys.executable, "-m", "dvc", "get", "--quiet", str(repository), weights, "--rev", commit]
    done = subprocess.run([*command, "--out", str(target)], capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        raise GenreproError(
            f"train.start = {name!r} is an experiment, but its {weights} is neither in DVC's cache nor in a "
            f"remote: `dvc exp push` it where it ran, or run it again ({_reason(done.stderr)})."
        )


def _reason(printed: str) -> str:
    lines = [line for line in printed.splitlines() if line.startswith("ERROR")]
    return (lines or ["dvc get failed"])[0].removeprefix("ERROR: ").strip().rstrip(".")
