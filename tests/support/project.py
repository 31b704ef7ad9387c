"""A small copy of the project in a temporary folder, with a git history and a DVC cache of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

from ruamel.yaml import YAML

from support.builders import ROOT

# A pipeline that takes seconds: 60 short tracks, a narrow network, two epochs.
SMALL = {
    "synthetic": {"num_tracks": 60, "duration": 5.0},
    "mel": {"n_mels": 32, "png_per_genre": 0},
    "segments": {"duration": 2.0, "num_segments": 2},
    "train": {"epochs": 2},
    "cnn": {"channels": [4, 4, 4, 4, 4]},
}

TRACKED = {"GENREPRO_TRACKING": "on"}


# Results, and what no stage reads: three megabytes that git would pack for each temporary clone.
LEFT_OUT = (
    "metrics/",
    "models/",
    "data/",
    "tests/",
    "docs/",
    "benchmarks/",
    "requirements",
    "src/genrepro/serve/shipped/",
)


class Project:
    """A checkout of genrepro at ``path``; runs commands there as a user would, but for two settings.

    MLflow records nothing, since a recorder takes three seconds of processor time: tests that claim something
    of it set ``TRACKED``. Stages have one worker, since each further one takes up to six seconds to start.
    """

    first_on_path: ClassVar[list[str]] = []
    """Folders with other programs under the environment's names: `warm`'s python."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.path = path
        # The environment's tools, and none of what this test run itself was started with.
        foreign = ("DVC_", "MLFLOW_", "GIT_", "GENREPRO_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        kept.pop("PYTHONPATH", None)
        self.environment = kept | {
            "PATH": os.pathsep.join(
                [*self.first_on_path, str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "A. Tester",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "tester@example.org",
            "GENREPRO_TRACKING": "off",
            "GENREPRO_WORKERS": "1",
            **environment,
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert not check or done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run("python", "-m", f"stages.{name}", check=False)

    def start(self, stage: str) -> subprocess.Popen:
        """A stage that runs beside the test, until `processes.kill`."""
        command = ["python", "-m", f"stages.{stage}"]
        return subprocess.Popen(command, cwd=self.path, env=self.environment, stdout=subprocess.PIPE)

    def stages(self, *names: str) -> None:
        """Run stages one after another, without DVC."""
        for name in names:
            self.run("python", "-m", f"stages.{name}")

    def set(self, **sections: object) -> None:
        """Change params.yaml: a section's keys, or a top-level value."""
        yaml = YAML()
        path = self.path / "params.yaml"
        values = yaml.load(path)
        for section, change in sections.items():
            if isinstance(change, dict):
                values[section].update(change)
            else:
                values[section] = change
        yaml.dump(values, path)

    def declare(self, **remotes: tuple[Path, list[str]]) -> None:
        """Override remotes: a file, whose hash and size are declared, and its mirrors."""
        entries = {
            name: {
                "urls": urls,
                "checksum": f"sha1:{hashlib.sha1(path.read_bytes()).hexdigest()}",
                "num_bytes": path.stat().st_size,
            }
            for name, (path, urls) in remotes.items()
        }
        Path(self.environment["GENREPRO_REMOTES"]).write_text(json.dumps(entries))

    def json(self, name: str) -> dict:
        return json.loads((self.path / "metrics" / f"{name}.json").read_text())

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def copy(self, path: Path, **environment: str) -> "Project":
        """The whole folder, cache and outputs included."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path, **environment)

    def run_queue(self, *names: str, jobs: int = 1) -> None:
        """Run DVC's queue until the experiments ``names`` are there, at most ten minutes.

        The queue's workers hold the output that they are given until they end, ten seconds after the last
        run, so they get none. Git shows in a blink that an experiment is there. To ask DVC takes two seconds,
        so it is asked now and then, in case one has failed.
        """
        start = ["dvc", "queue", "start", "--jobs", str(jobs)]
        subprocess.run(
            start, cwd=self.path, env=self.environment, stdout=subprocess.DEVNULL, timeout=300, check=True
        )
        status, deadline = "", time.monotonic() + 600
        asked = time.monotonic()
        while time.monotonic() < deadline:
            there = self.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
            if all(any(ref.endswith(f"/{name}") for ref in there) for name in names):
                return
            if time.monotonic() > asked + 20:
                status = self.run("dvc", "queue", "status").stdout
                assert "Queued" in status or "Running" in status, status
                asked = time.monotonic()
            time.sleep(0.2)
        raise AssertionError(status)

    def clone(self, path: Path, **environment: str) -> "Project":
        self.run("git", "clone", "--quiet", str(self.path), str(path))
        return Project(path, **environment)


def stages_run(output: str) -> list[str]:
    """Names of the stages that DVC says it ran.

    Left out are the one that looks at the source before every run, and the one that writes an empty table of
    embeddings if the model is not `pretrained` (tests/pipeline/test_bodies.py runs that one).
    """
    names = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]
    return [name for name in names if name not in ("source/dvc.yaml:source", "bodies/dvc.yaml:embed")]


def copy_of_the_checkout(path: Path) -> Project:
    """What git knows of this checkout, uncommitted changes too, without the default run's results."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        left_out = name.startswith(LEFT_OUT) or name == "dvc.lock"
        if left_out and not name.startswith("metrics/sweep/"):  # headers that dvc plots needs
            continue
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
    project = Project(path)
    project.set(**SMALL)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit()
    return project
