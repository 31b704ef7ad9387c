"""Claims about docs/RESULTS.md: what DVC ran and what was published, side by side, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from builders import ROOT
from repository import Repository
from ruamel.yaml import YAML
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from genrepro import experiments, records, results
from genrepro.cli import app
from genrepro.errors import GenreproError

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
    "question": {
        "group": "asked",
        "title": "what if",
        "source": "section 5",
        "recipes": [],
        "overrides": {},
        "seeds": [0],
    },
}
TEMPLATE = """# Songs

<!-- default -->

<!-- experiments: mine -->

<!-- runs: mine -->

<!-- experiments: asked -->
"""
SPLIT = {"num_train": 800, "num_validation": 100, "num_test": 99}


class Project(Repository):
    """A repository with the entries above, in which experiments can be made up."""

    def ran(self, name: str, *, seed: int, num_correct: int, num_tracks: int = 99, **changes: Any) -> None:
        """An experiment of DVC's that began at HEAD, whose params.yaml has dotted keys changed."""
        head = self.git("rev-parse", "HEAD")
        overrides = ENTRIES[name]["overrides"] | {"seed": seed} | changes.pop("overrides", {})
        values = YAML(typ="safe").load(self.path / "params.yaml")
        YAML().dump(experiments.overridden(values, overrides), self.path / "params.yaml")
        test = {
            "accuracy": round(num_correct / num_tracks, 6),
            "accuracy_low": 0.25,
            "accuracy_high": 0.875,
            "segment_accuracy": 0.5,
            "num_tracks": num_tracks,
            "leaky": 1,
        }
        self.metric("test", test | changes)
        self.metric("split", SPLIT | {"leaky": 1})
        self.metric("train", {"best_epoch": 7, "train_loss": 0.5})
        data = {"split_sha256": f"split {seed}", "features_sha256": f"features {seed}"}
        (self.path / "models").mkdir(exist_ok=True)
        (self.path / "models" / "model.json").write_text(json.dumps({"data": data}))
        self.experiment(f"{name}-s{seed}", baseline=head, commit=self.commit())
        self.git("reset", "--quiet", "--hard", head)

    def metric(self, name: str, values: dict[str, Any]) -> None:
        (self.path / "metrics").mkdir(exist_ok=True)
        (self.path / "metrics" / f"{name}.json").write_text(json.dumps(values))

    def set(self, dotted: str, value: Any) -> None:
        """Change params.yaml."""
        values = YAML(typ="safe").load(self.path / "params.yaml")
        YAML().dump(experiments.overridden(values, {dotted: value}), self.path / "params.yaml")

    def table(self) -> list[list[str]]:
        """The rows of the page that `genrepro experiment table` writes."""
        assert invoke("table") == "docs/RESULTS.md is written\n"
        lines = (self.path / "docs" / "RESULTS.md").read_text().splitlines()
        return [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]

    def row(self, name: str) -> list[str]:
        """Of an experiment or of a run, without its name."""
        (found,) = (row[1:] for row in self.table() if row[0] == f"`{name}`")
        return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    found = Project(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    YAML().dump({"recipes": {}, "experiments": ENTRIES}, tmp_path / "experiments.yaml")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "RESULTS.template.md").write_text(TEMPLATE)
    test = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.875, "num_tracks": 79, "leaky": 0}
    found.metric("test", test)
    found.metric("split", {"num_train": 239, "num_validation": 79, "num_test": 79})
    found.commit()
    return found


def invoke(*arguments: str) -> str:
    return CliRunner().invoke(app, ["experiment", *arguments]).output


def wilson(num_correct: int, num_tracks: int) -> str:
    """By statsmodels."""
    low, high = proportion_confint(num_correct, num_tracks, method="wilson")
    return f"{low:.3f}-{high:.3f}"


# ----------------------------------------------------------------------------------------------------
# The committed page


def test_the_committed_page_is_what_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    known = experiments.load()
    template = results.TEMPLATE.read_text("utf-8")
    assert results.render(template, known, records.read(known)) == results.TARGET.read_text("utf-8")


def test_every_committed_experiment_has_one_row_on_the_page() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "RESULTS.md").read_text("utf-8"), re.MULTILINE)
    known = experiments.load(ROOT / "experiments.yaml", ROOT / "params.yaml")
    rows = [name for name in named if name in known]
    # A sweep has a row for each of its seeds.
    assert sorted(set(rows)) == sorted(known)
    assert all(rows.count(name) == 1 or known[name].sweep for name in known)


def test_published_intervals_are_statsmodels() -> None:
    known = experiments.load(ROOT / "experiments.yaml", ROOT / "params.yaml")
    page = (ROOT / "docs" / "RESULTS.md").read_text("utf-8")
    checked = 0
    for name, found in known.items():
        if found.published and found.published.num_tracks and found.published.num_correct:
            row, *_ = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
            interval = wilson(found.published.num_correct, found.published.num_tracks)
            assert f"| {found.published.accuracy:.4f} | {interval} | {found.published.num_tracks} |" in row
            checked += 1
    assert checked == 4  # the ViT report's; nobody says how many tracks the others were tested on


# ----------------------------------------------------------------------------------------------------
# From DVC's experiments to a record


def test_figures_come_from_dvcs_experiments(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    project.ran("songs", seed=1, num_correct=66)
    assert invoke("collect") == "2 runs recorded\n"
    assert project.row("songs") == [
        "two epochs", "row 1", "0.6263", wilson(62, 99), "99",
        "0.636", "0.606-0.667, 2 of 3 seeds", wilson(63, 99), "99",
        "`random` 800 / 100 / 99, drawn by seed", "1",
    ]  # fmt: skip
    assert project.row("songs-s1") == [
        "0.667", "0.250-0.875", "99", "0.500", "800 / 100 / 99", "7", "1",
    ]  # fmt: skip


def test_one_run_has_no_spread(project: Project) -> None:
    project.ran("songs", seed=2, num_correct=60)
    invoke("collect")
    row = project.row("songs")
    assert row[5:7] == ["0.606", "1 of 3 seeds"] and row[9] == "`random` 800 / 100 / 99"


def test_seeds_of_one_split_and_of_several_are_told_apart(project: Project) -> None:
    for seed in (0, 1):
        project.ran("songs", seed=seed, num_correct=60)
    invoke("collect")
    path = records.path("songs")
    path.write_text(path.read_text().replace("split 1", "split 0"))
    assert project.row("songs")[9] == "`random` 800 / 100 / 99, one for all"


def test_what_has_not_run_says_what_it_needs(project: Project) -> None:
    assert project.row("songs")[5:] == ["not run", "-", "-", "-", "`random`", "-"]
    assert project.row("pictures")[2:6] == [
        "0.7800", "n is not published", "-", "not run: needs gtzan_images, ImageNet's weights",
    ]  # fmt: skip
    # A table without a published figure has no columns for it.
    assert project.row("question") == ["what if", "section 5", "not run", "-", "-", "-", "`artist`", "-"]


def test_the_default_run_is_that_of_metrics(project: Project) -> None:
    assert project.table()[2] == [
        "`cnn` on `synthetic`", "`artist` 239 / 79 / 79", "0.750", "0.500-0.875", "79", "0",
    ]  # fmt: skip


def test_a_clean_clone_writes_the_same_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the experiments' references, which a clone does not bring."""
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    page = project.path / "docs" / "RESULTS.md"
    project.table()
    first = page.read_bytes()
    project.table()
    assert page.read_bytes() == first
    project.commit()
    project.git("clone", "--quiet", ".", "clone")
    monkeypatch.chdir(project.path / "clone")
    (Path("docs") / "RESULTS.md").unlink()
    assert invoke("table") == "docs/RESULTS.md is written\n"
    assert (Path("docs") / "RESULTS.md").read_bytes() == first


def test_collecting_twice_changes_nothing(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    first = records.path("songs").read_bytes()
    assert invoke("collect") == "1 runs recorded\n"
    assert records.path("songs").read_bytes() == first


def test_a_new_seed_joins_the_recorded_ones(project: Project) -> None:
    project.ran("songs", seed=1, num_correct=60)
    invoke("collect")
    project.commit()
    project.git("update-ref", "-d", project.git("for-each-ref", "--format=%(refname)", "refs/exps"))
    project.ran("songs", seed=0, num_correct=66)
    invoke("collect")
    assert [run["seed"] for run in json.loads(records.path("songs").read_text())["runs"]] == [0, 1]


def test_of_two_runs_of_one_name_that_of_this_commit_counts(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    first = project.git("rev-parse", "HEAD")
    project.commit()
    project.ran("songs", seed=0, num_correct=66)
    invoke("collect")
    assert project.row("songs")[5] == "0.667"
    project.git("reset", "--quiet", "--hard", first)
    invoke("collect")
    assert project.row("songs")[5] == "0.606"


@pytest.mark.parametrize(
    ("dotted", "value", "words"),
    [("train.epochs", 3, "train.epochs = 3, now 2"), ("cnn.channels", [4], "cnn.channels = [4], now [16,")],
)
def test_a_run_with_other_parameters_is_not_recorded(
    project: Project, dotted: str, value: Any, words: str
) -> None:
    project.ran("songs", seed=0, num_correct=60, overrides={dotted: value})
    printed = invoke("collect")
    assert "0 runs recorded" in printed and "songs-s0 (" in printed and words in printed
    assert not records.path("songs").exists()


def test_where_the_data_lay_and_other_models_sections_do_not_matter(project: Project) -> None:
    elsewhere = {"source": "there", "mel.png_per_genre": "all", "lstm.hidden": 4, "head.width": 4}
    project.ran("songs", seed=0, num_correct=60, overrides=elsewhere)
    assert invoke("collect") == "1 runs recorded\n"


def test_a_run_of_another_seed_under_this_ones_name_is_not_recorded(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60, overrides={"seed": 5})
    assert "it ran with seed = 5" in invoke("collect")


@pytest.mark.parametrize(
    ("dotted", "value"), [("train.batch_size", 8), ("synthetic.num_tracks", 80), ("segments.duration", 3.0)]
)
def test_a_default_that_changed_since_makes_a_record_stale(project: Project, dotted: str, value: Any) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert project.row("songs")[5] == "0.606"
    before = experiments.load()["songs"].params
    old = getattr(getattr(before, dotted.split(".")[0]), dotted.split(".")[1])
    project.set(dotted, value)
    assert project.row("songs")[5] == f"not run; measured with {dotted} = {old}, now {value}"
    assert not [row for row in project.table() if row[0] == "`songs-s0`"]


def test_an_entry_that_changed_since_makes_a_record_stale(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    path = project.path / "experiments.yaml"
    path.write_text(path.read_text().replace("train.epochs: 2", "train.epochs: 4"))
    assert project.row("songs")[5] == "not run; measured with train.epochs = 2, now 4"


def test_a_parameter_that_came_later_does_not_make_a_record_stale(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    path = records.path("songs")
    record = json.loads(path.read_text())
    del record["params"]["train.patience"]
    path.write_text(json.dumps(record))
    assert project.row("songs")[5] == "0.606"


def test_a_new_measurement_replaces_stale_ones(project: Project) -> None:
    for seed in (0, 1):
        project.ran("songs", seed=seed, num_correct=60)
    invoke("collect")
    project.set("train.batch_size", 8)
    project.commit()
    project.ran("songs", seed=1, num_correct=66)
    printed = invoke("collect")
    assert "1 runs recorded" in printed and "train.batch_size = 16, now 8" in printed
    assert project.row("songs")[5:7] == ["0.667", "1 of 3 seeds"]


# ----------------------------------------------------------------------------------------------------
# Sweeps

AXIS = {"first": 0.1, "last": 0.3, "step": 0.1}
WINNER = {
    "lr": 0.2,
    "weight_decay": 0.1,
    "seed": 0,
    "epoch": 4,
    "validation_loss": 0.5,
    "validation_accuracy": 0.75,
    "test_loss": 0.75,
    "test_accuracy": 0.625,
    "test_accuracy_low": 0.5,
    "test_accuracy_high": 0.7,
    "selection_optimism": 0.125,
}
SWEPT = {
    "num_cells": 9,
    "num_diverged": 0,
    "num_tracks": 99,
    "leaky": 1,
    "by_loss": WINNER,
    "by_accuracy": WINNER | {"test_accuracy": 0.5},
    "split_sha256": "s",
    "features_sha256": "f",
}


def swept(project: Project, *, lr: dict[str, float], select: str = "validation_loss") -> None:
    """A repository whose one experiment is a sweep, and a run of it with the rates ``lr``."""
    entry = ENTRIES["pictures"] | {"sweep": {"lr": AXIS, "weight_decay": AXIS}}
    entry["overrides"] = entry["overrides"] | {"train.select": select}
    YAML().dump({"recipes": {}, "experiments": {"pictures": entry}}, project.path / "experiments.yaml")
    (project.path / "docs" / "RESULTS.template.md").write_text(
        "<!-- sweeps: mine -->\n\n<!-- runs: mine -->\n"
    )
    (project.path / "sweeps").mkdir()
    values = {"lr": lr, "weight_decay": AXIS, "seed": [0], "report": "none"}
    YAML().dump({"sweep": values}, project.path / "sweeps" / "params.yaml")
    head = project.commit()
    for key, value in entry["overrides"].items():
        project.set(key, value)
    project.metric("sweep", SWEPT)
    project.metric("split", SPLIT)
    project.experiment("pictures-s0", baseline=head, commit=project.commit())
    project.git("reset", "--quiet", "--hard", head)


@pytest.mark.parametrize(
    ("select", "accuracy"), [("validation_loss", "0.625"), ("validation_accuracy", "0.500")]
)
def test_a_sweep_is_recorded_with_its_winner_and_what_choosing_cost(
    project: Project, select: str, accuracy: str
) -> None:
    swept(project, lr=AXIS, select=select)
    assert "1 runs recorded" in invoke("collect")
    row = next(row for row in project.table() if row[0] == "`pictures`")
    assert row[5:9] == ["0", "rate 0.2, decay 0.1, epoch 4, of 9", "0.750", accuracy]
    assert row[9:] == ["0.500-0.700", "99", "+0.125", "`artist` 800 / 100 / 99", "1"]
    assert project.row("pictures-s0")[0] == accuracy


def test_a_sweep_over_another_grid_is_not_recorded(project: Project) -> None:
    swept(project, lr=AXIS | {"last": 0.2})
    said = invoke("collect")
    assert "0 runs recorded" in said and "train.lr = [0.1, 0.2], now [0.1, 0.2, 0.3]" in said
    row = next(row for row in project.table() if row[0] == "`pictures`")
    assert row[6].startswith("not run: needs gtzan_images")


# ----------------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracy": None}, "accuracy = None must be a finite number"),
        ({"leaky": "very"}, "leaky = 'very' must be a whole number"),
    ],
)
def test_an_experiment_without_its_figures_is_one_sentence(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    project.ran("songs", seed=0, num_correct=60, **changes)
    refused = invoke("collect").splitlines()[-1]
    assert refused.startswith("genrepro: songs-s0 (") and words in refused


def test_an_experiment_that_did_not_get_that_far_is_one_sentence(project: Project) -> None:
    head = project.git("rev-parse", "HEAD")
    project.set("train.epochs", 2)
    project.set("split.strategy", "random")
    project.experiment("songs-s0", baseline=head, commit=project.commit())
    assert "is not recorded: it has no metrics/train.json." in invoke("collect")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"runs": [{}], "params": {}}', '{"runs": []}'])
def test_a_broken_record_is_one_sentence(project: Project, content: str) -> None:
    path = records.path("songs")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    printed = invoke("table")
    assert printed.startswith(f"genrepro: {path}") and len(printed.splitlines()) == 1


def test_a_record_of_no_experiment_is_one_sentence(project: Project) -> None:
    path = records.path("hymns")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert f"{path} is of no experiment in experiments.yaml" in invoke("table")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (TEMPLATE + "<!-- experiments: yours -->\n", "<!-- experiments: yours --> is unknown"),
        (TEMPLATE + "<!-- hymns: mine -->\n", "<!-- hymns: mine --> is unknown"),
        ("<!-- experiments: mine -->\n", "has no <!-- experiments: asked -->: a group would be left out"),
    ],
)
def test_a_template_that_loses_something_is_one_sentence(project: Project, template: str, words: str) -> None:
    (project.path / "docs" / "RESULTS.template.md").write_text(template)
    printed = invoke("table")
    assert printed.startswith("genrepro: ") and words in printed and len(printed.splitlines()) == 1


def test_without_a_template_is_one_sentence(project: Project) -> None:
    results.TEMPLATE.unlink()
    with pytest.raises(GenreproError, match="is missing: run from the repository root"):
        results.write({}, {})
