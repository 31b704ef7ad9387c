"""Claims about docs/RESULTS.md: what was measured and what was published, side by side, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from support.builders import ROOT
from support.measured import TEMPLATE, Project, invoke, make_project

from genrepro.base.errors import GenreproError
from genrepro.experiments import entries, records
from genrepro.experiments import page as results


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


def wilson(num_correct: int, num_tracks: int) -> str:
    """By statsmodels."""
    low, high = proportion_confint(num_correct, num_tracks, method="wilson")
    return f"{low:.3f}-{high:.3f}"


# ----------------------------------------------------------------------------------------------------
# The committed page


def test_the_committed_page_is_what_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    known = entries.load()
    template = results.TEMPLATE.read_text("utf-8")
    found = results.render(template, known, entries.questions(known), records.read(known))
    assert found == results.TARGET.read_text("utf-8")


def test_every_committed_experiment_has_one_row_on_the_page() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "RESULTS.md").read_text("utf-8"), re.MULTILINE)
    known = entries.load(ROOT / "experiments.yaml", ROOT / "params.yaml")
    rows = [name for name in named if name in known]
    # A sweep has a row for each of its seeds.
    assert sorted(set(rows)) == sorted(known)
    assert all(rows.count(name) == 1 or known[name].sweep for name in known)


def test_published_intervals_are_statsmodels() -> None:
    known = entries.load(ROOT / "experiments.yaml", ROOT / "params.yaml")
    page = (ROOT / "docs" / "RESULTS.md").read_text("utf-8")
    checked = 0
    for name, found in known.items():
        if found.published and found.published.num_tracks and found.published.num_correct:
            row, *_ = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
            interval = wilson(found.published.num_correct, found.published.num_tracks)
            assert f"| {found.published.accuracy:.4f} | {interval} | {found.published.num_tracks} |" in row
            checked += 1
    # The ViT report's, and two of another body beside them. Nobody says the others' number of tracks.
    assert checked == 6


# ----------------------------------------------------------------------------------------------------
# From records to the page


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


def answers(project: Project) -> list[list[str]]:
    rows = project.table()
    start = next(number for number, row in enumerate(rows) if row[0] == "question") + 2
    return rows[start : start + 3]


def test_a_question_is_answered_by_the_difference_of_two_experiments(project: Project) -> None:
    for seed, num_correct in [(0, 63), (1, 50), (2, 70)]:
        project.ran("songs", seed=seed, num_correct=num_correct)
    project.ran("question", seed=0, num_correct=30, num_tracks=40, leaky=0)
    invoke("collect")
    low, high = confint_proportions_2indep(30, 40, 63, 99, method="newcomb", compare="diff")
    assert answers(project)[0] == [
        "Which is better?", "`songs`", "`question`", "0.636", "0.750", "+0.114",
        f"{low:+.3f} to {high:+.3f}", "1 seed", "99 / 40", "800", "1 / 0",
    ]  # fmt: skip
    assert answers(project)[2][1:6] == ["`question`", "`songs`", "0.750", "0.636", "-0.114"]


def test_seeds_of_both_experiments_are_compared_one_by_one(project: Project) -> None:
    for seed, (ours, theirs) in enumerate([(60, 63), (61, 58), (70, 70)]):
        project.ran("songs", seed=seed, num_correct=ours)
        project.ran("question", seed=seed, num_correct=theirs)
    file = YAML().load(entries.PATH)
    file["experiments"]["question"]["seeds"] = [0, 1]
    YAML().dump(file, entries.PATH)
    invoke("collect")
    (answer, *_) = answers(project)
    assert answer[3:6] == ["0.611", "0.611", "+0.000"]  # of the seeds that both have
    assert answer[7:] == ["-0.030 to +0.030, 2 seeds", "99", "800", "1"]


def test_a_question_half_of_which_has_run_is_open(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert answers(project)[1] == ["...", "`songs`", "`pictures`", "-", "-", "not run", *["-"] * 5]


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


@pytest.mark.parametrize(("dotted", "value"), [("segments.duration", 3.0)])
def test_a_default_that_changed_since_makes_a_record_stale(project: Project, dotted: str, value: Any) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert project.row("songs")[5] == "0.606"
    before = entries.load()["songs"].params
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


# ----------------------------------------------------------------------------------------------------
# Bad input


def test_a_broken_record_is_one_sentence(project: Project, subtests: pytest.Subtests) -> None:
    for content in ("", "{", "[]", "{}", '{"runs": [{}], "params": {}}', '{"runs": []}'):
        with subtests.test(content=content):
            path = records.path("songs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            printed = invoke("table")
            assert printed.startswith(f"genrepro: {path}") and len(printed.splitlines()) == 1


def test_a_record_of_no_experiment_is_one_sentence(project: Project) -> None:
    path = records.path("hymns")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert f"{path} is of no experiment in experiments.yaml" in invoke("table")


def test_a_template_that_loses_something_is_one_sentence(project: Project, subtests: pytest.Subtests) -> None:
    for template, words in [
        (TEMPLATE + "<!-- experiments: yours -->\n", "<!-- experiments: yours --> is unknown"),
        (TEMPLATE + "<!-- hymns: mine -->\n", "<!-- hymns: mine --> is unknown"),
        ("<!-- experiments: mine -->\n", "has no <!-- experiments: asked -->: a part would be left out"),
        (TEMPLATE.replace("<!-- questions -->", ""), "has no <!-- questions -->: a part would be left out"),
    ]:
        with subtests.test(words=words):
            (project.path / "docs" / "RESULTS.template.md").write_text(template)
            printed = invoke("table")
            assert printed.startswith("genrepro: ") and words in printed and len(printed.splitlines()) == 1


def test_without_a_template_is_one_sentence(project: Project) -> None:
    results.TEMPLATE.unlink()
    with pytest.raises(GenreproError, match="is missing: run from the repository root"):
        results.write({}, [], {})
