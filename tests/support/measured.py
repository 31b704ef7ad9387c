"""A repository with three entries in experiments.yaml, in which runs of them can be made up."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from typer.testing import CliRunner

from genrepro.cli import app
from genrepro.experiments import entries
from support.builders import ROOT
from support.repository import Repository
from support.runs import content, table

ENTRIES: dict[str, Any] = {
    "songs": {
        "group": "mine",
        "title": "two epochs",
        "source": "row 1",
        "recipes": [],
        "overrides": {"train.epochs": 2, "split.strategy": "random"},
        "seeds": [0, 1, 2],
        "published": {"accuracy": 0.6263, "num_correct": 62, "num_tracks": 99},
    },
    "pictures": {
        "group": "mine",
        "title": "from pictures",
        "source": "row 2",
        "recipes": [],
        "overrides": {"dataset": "gtzan_images", "model": "vit", "vit.weights": "imagenet"},
        "seeds": [0],
        "published": {"accuracy": 0.78},
    },
    "folded": {
        "group": "mine",
        "title": "by folds",
        "source": "row 3",
        "recipes": [],
        "overrides": {"split.strategy": "artist"},
        "folds": 2,
        "seeds": [0],
    },
    "question": {
        "group": "asked",
        "title": "what if",
        "source": "section 5",
        "recipes": [],
        "overrides": {},
        "seeds": [0],
    },
}
QUESTIONS = [
    {
        "name": "better",
        "asks": "Which is better?",
        "a": "the song",
        "b": "the question",
        "pairs": [["songs", "question"], ["songs", "pictures"]],
    },
    {"name": "back", "asks": "And backwards?", "a": "B", "b": "A", "pairs": [["question", "songs"]]},
]
TEMPLATE = """# Songs

It is <!-- accuracy: songs --> good. <!-- answer: better -->

<!-- front -->

<!-- questions -->

<!-- open -->
"""
DETAILS = """# Details

<!-- pairs -->

<!-- experiments: mine -->

<!-- runs: mine -->

<!-- experiments: asked -->
"""
SPLIT = {"num_train": 800, "num_validation": 100, "num_test": 99}


class Project(Repository):
    """A repository with the entries above, in which experiments can be made up."""

    def ran(
        self,
        name: str,
        *,
        seed: int,
        num_correct: int,
        num_tracks: int = 99,
        fold: int | None = None,
        predictions: bytes | None = None,
        **changes: Any,
    ) -> None:
        """An experiment of DVC's that began at HEAD, whose params.yaml has dotted keys changed."""
        head = self.git("rev-parse", "HEAD")
        if fold is not None:
            changes["overrides"] = {"split.folds": ENTRIES[name]["folds"], "split.fold": fold} | changes.get(
                "overrides", {}
            )
        overrides = ENTRIES[name]["overrides"] | {"seed": seed} | changes.pop("overrides", {})
        values = YAML(typ="safe").load(self.path / "params.yaml")
        YAML().dump(entries.overridden(values, overrides), self.path / "params.yaml")
        test = {
            "accuracy": round(num_correct / num_tracks, 6),
            "accuracy_low": 0.25,
            "accuracy_high": 0.875,
            "segment_accuracy": 0.5,
            "num_tracks": num_tracks,
            "leaky": 1,
        }
        self.metric("split", SPLIT | {"leaky": 1})
        self.metric("train", {"best_epoch": 7, "train_loss": 0.5, "num_parameters": 1_200_000})
        data = {"split_sha256": f"split {seed}", "features_sha256": f"features {seed}"}
        (self.path / "models").mkdir(exist_ok=True)
        model = {"data": data | changes.pop("data", {}), "weights_sha256": changes.pop("weights", None)}
        (self.path / "models" / "model.json").write_text(json.dumps(model))
        self.metric("test", test | changes)
        if predictions is not None:
            self.write(predictions)
        suffix = "" if fold is None else f"-f{fold}"
        self.experiment(f"{name}-s{seed}{suffix}", baseline=head, commit=self.commit())
        self.git("reset", "--quiet", "--hard", head)

    def tested(
        self, name: str, right: Sequence[bool], *, seed: int = 0, per_group: int = 3, **changes: Any
    ) -> None:
        """An experiment with predictions, ``per_group`` tracks of one artist after another."""
        rows = table(right, group=[f"artist {number // per_group}" for number in range(len(right))])
        self.ran(name, seed=seed, num_correct=sum(right), num_tracks=len(right),
                 predictions=content(rows), **changes)  # fmt: skip

    def metric(self, name: str, values: dict[str, Any]) -> None:
        (self.path / "metrics").mkdir(exist_ok=True)
        (self.path / "metrics" / f"{name}.json").write_text(json.dumps(values))

    def set(self, dotted: str, value: Any) -> None:
        """Change params.yaml."""
        values = YAML(typ="safe").load(self.path / "params.yaml")
        YAML().dump(entries.overridden(values, {dotted: value}), self.path / "params.yaml")

    def pages(self) -> list[str]:
        """The lines of all pages that `genrepro experiment table` writes."""
        written = invoke("table").split()
        assert written[-1] == "docs/figures/accuracies.png"
        return [line for path in written[:-1] for line in (self.path / path).read_text().splitlines()]

    def table(self) -> list[list[str]]:
        """The rows of their tables."""
        return [line.strip("| ").split(" | ") for line in self.pages() if line.startswith("|")]

    def row(self, name: str) -> list[str]:
        """Of an experiment or of a run, without its name."""
        (found,) = (row[1:] for row in self.table() if row[0] == f"`{name}`")
        return found


def make_project(path: Path) -> Project:
    """The entries, their template and the default's metrics, committed in the working directory ``path``."""
    found = Project(path)
    (path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    file = {
        "recipes": {},
        "experiments": ENTRIES,
        "questions": QUESTIONS,
        "front": {"songs": "Singer", "question": "Asker"},
    }
    YAML().dump(file, path / "experiments.yaml")
    (path / "docs" / "results").mkdir(parents=True)
    (path / "docs" / "RESULTS.template.md").write_text(TEMPLATE)
    (path / "docs" / "results" / "details.template.md").write_text(DETAILS)
    test = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.875, "num_tracks": 79, "num_groups": 16}
    found.metric("test", test | {"leaky": 0})
    found.metric("train", {"num_parameters": 398_000})
    found.metric("split", {"num_train": 239, "num_validation": 79, "num_test": 79})
    found.commit()
    return found


def invoke(*arguments: str) -> str:
    return CliRunner().invoke(app, ["experiment", *arguments]).output
