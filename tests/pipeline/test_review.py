"""A review of two commits, and DVC's hooks run by git through pre-commit."""

import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support.project import ROOT, Project
from support.runs import content, pattern, table

from genrepro.compare import revisions

pytestmark = pytest.mark.pipeline


def write_results(project: Project, right: list[bool]) -> None:
    metrics = project.path / "metrics"
    metrics.mkdir(exist_ok=True)
    (metrics / "predictions.csv").write_bytes(content(table(right)))
    (metrics / "test.json").write_text(json.dumps({"accuracy": sum(right) / len(right)}))


def parts(markdown: str) -> dict[str, str]:
    """A review's text by its headings."""
    found = re.split(r"^### (.*)$", markdown, flags=re.MULTILINE)
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def test_a_review_says_what_a_branch_changed_since_it_left_main(checkout: Project) -> None:
    before, after = pattern(both=70, gained=20, lost=4, neither=6)
    write_results(checkout, before)
    checkout.commit()
    checkout.run("git", "switch", "--quiet", "--create", "better")
    write_results(checkout, after)
    checkout.set(train={"lr": 0.0042})
    checkout.commit()
    checkout.run("git", "switch", "--quiet", "main")
    write_results(checkout, before[::-1])
    checkout.commit()  # what main does meanwhile is not the branch's
    checkout.run("git", "switch", "--quiet", "better")

    markdown = checkout.run(".ci/review").stdout
    base = checkout.run("git", "rev-parse", "--short=8", "main~1").stdout.strip()
    found = parts(markdown)
    assert list(found) == ["", "Predictions", "Metrics", "Parameters"]
    assert f"Review against `main` ({base})" in found[""]
    assert "NOT FRESH" in found[""]  # nothing has run, so dvc.lock cannot be up to date
    assert "**B is better by 16.0 points [6.5, 25.5], p = 0.0014 over 100 tracks.**" in found["Predictions"]
    assert re.search(r"metrics/test.json +\| accuracy +\| 0.74 +\| 0.9 +\| 0.16", found["Metrics"])
    assert re.search(r"params.yaml +\| train.lr +\| [0-9.]+ +\| 0.0042", found["Parameters"])
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    assert html.count("<table>") == 6
    assert len(markdown) < 65536

    nothing = parts(checkout.run(".ci/review", "HEAD").stdout)
    assert "Nothing changed at all" in nothing["Predictions"]
    assert nothing["Metrics"].strip() == "No metric changed."
    assert nothing["Parameters"].strip() == "No parameter changed."


def test_a_review_says_what_it_cannot_compare(checkout: Project) -> None:
    """The first results of a repository, and a base that does not exist."""
    write_results(checkout, [True] * 8)
    found = parts(checkout.run(".ci/review", "main").stdout)
    assert "has no metrics/predictions.csv" in found["Predictions"]
    assert re.search(r"metrics/test.json +\| accuracy", found["Metrics"])
    refused = checkout.run(".ci/review", "nowhere", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'nowhere' is not a revision" in refused.stderr


def test_a_review_fits_a_comment_whatever_changed(checkout: Project) -> None:
    """Every one of 2000 metrics and of 40 tracks, whose names are long and full of table borders."""
    metrics = checkout.path / "metrics"
    metrics.mkdir(exist_ok=True)
    names = [f"{number:02}" + "|" * 250 for number in range(40)]
    for right, value in ((True, 0), (False, 1)):
        (metrics / "predictions.csv").write_bytes(content(table([right] * 40, track_id=names)))
        (metrics / "test.json").write_text(json.dumps({f"metric_{number}": value for number in range(2000)}))
        if right:
            checkout.commit()
    markdown = checkout.run(".ci/review", "HEAD").stdout
    found = parts(markdown)
    assert len(markdown) < 65536
    assert "and more, 2002 lines in all." in found["Metrics"]
    assert "B is worse by 100.0 points" in found["Predictions"]
    assert found["Predictions"].count("<details>") == found["Predictions"].count("</details>") == 1


@pytest.fixture(scope="module")
def sung(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of one stage, run and committed, with this project's hooks; tests only copy it."""
    folder = tmp_path_factory.mktemp("sung")
    project = Project(folder / "project", PRE_COMMIT_HOME=str(folder / "pre-commit"))
    project.path.mkdir()
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    (project.path / ".venv" / "bin").mkdir(parents=True)
    (project.path / ".venv" / "bin" / "dvc").symlink_to(warm / "dvc")
    shutil.copy(ROOT / ".pre-commit-config.yaml", project.path)
    shutil.copytree(ROOT / ".ci", project.path / ".ci")
    (project.path / ".gitignore").write_text(".venv\n/song\n")
    (project.path / "tune").write_text("one")
    (project.path / "dvc.yaml").write_text(
        "stages: {sing: {cmd: cp tune song, deps: [tune], outs: [song]}}\n"
    )
    project.run("dvc", "repro")
    project.commit()
    return project


@pytest.fixture
def hooked(sung: Project, tmp_path: Path) -> Project:
    """A copy whose hooks git runs, with a place to push to."""
    project = sung.copy(tmp_path / "project", PRE_COMMIT_HOME=str(tmp_path / "pre-commit"))
    project.run("pre-commit", "install")
    project.run("git", "init", "--quiet", "--bare", str(tmp_path / "origin"))
    project.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    return project


def test_dvcs_own_experiments_are_found_by_their_names(
    sung: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    singing = sung.copy(tmp_path / "project")
    outs = [{revisions.PREDICTIONS: {"cache": False}}]
    stage = {"cmd": f"cp tune {revisions.PREDICTIONS}", "deps": ["tune"], "outs": outs}
    (singing.path / "dvc.yaml").write_text(json.dumps({"stages": {"sing": stage}}))
    (singing.path / "metrics").mkdir(exist_ok=True)
    (singing.path / "tune").write_bytes(content(table([True] * 3 + [False])))
    singing.run("dvc", "repro")
    singing.commit()
    (singing.path / "tune").write_bytes(content(table([True] * 2 + [False] * 2)))
    singing.run("dvc", "exp", "run", "--name", "worse")
    singing.run("git", "reset", "--quiet", "--hard")
    monkeypatch.chdir(singing.path)
    assert [revisions.read(name).correct.sum() for name in ("main", "worse", "workspace")] == [3, 2, 3]


def test_a_commit_shows_what_dvc_finds_changed(hooked: Project) -> None:
    (hooked.path / "tune").write_text("two")
    hooked.run("git", "add", "tune")
    assert re.search(
        r"sing:\s+changed deps:\s+modified: +tune", hooked.run("git", "commit", "-m", "two").stderr
    )


def test_a_push_takes_the_data_along_where_there_is_a_remote_and_is_refused_where_stale(
    hooked: Project, tmp_path: Path
) -> None:
    # Without a remote of DVC's there is nowhere to take it, and no reason to refuse.
    hooked.run("git", "push", "origin", "main")
    hooked.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    hooked.commit()
    hooked.run("git", "push", "origin", "main")
    assert [path.read_text() for path in (tmp_path / "storage").rglob("*") if path.is_file()] == ["one"]

    (hooked.path / "tune").write_text("two")
    hooked.commit()
    refused = hooked.run("git", "push", "origin", "main", check=False)
    assert refused.returncode != 0
    assert "NOT FRESH" in refused.stdout + refused.stderr


def test_a_checkout_brings_the_data_of_its_commit(hooked: Project) -> None:
    hooked.run("git", "switch", "--quiet", "--create", "second")
    (hooked.path / "tune").write_text("two")
    hooked.run("dvc", "repro")
    hooked.commit()
    for branch, sung in (("main", "one"), ("second", "two")):
        hooked.run("git", "switch", branch)
        assert (hooked.path / "song").read_text() == sung
