"""Claims about what runs elsewhere: workflows and hooks call what exists, and may do little."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOWS = {
    path.stem: YAML(typ="safe").load(path) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
HOOKS = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {
    ".venv/.installed",
    ".venv/.installed-dev",
}
# What GitHub's machines bring along.
BROUGHT_ALONG = {"cat", "gh"}


def steps(workflow: dict[str, Any], job: str | None = None) -> list[dict[str, Any]]:
    return [step for name, each in workflow["jobs"].items() if job in (None, name) for step in each["steps"]]


def commands(workflow: dict[str, Any], job: str | None = None) -> list[list[str]]:
    return [
        shlex.split(line)
        for step in steps(workflow, job)
        for line in step.get("run", "").splitlines()
        if line.strip()
    ]


def exists(command: list[str]) -> bool:
    """Can a clone of this repository, its environment installed, run this?"""
    if command[0] == "make":
        return set(command[1:]) <= TARGETS
    if command[0].startswith(".ci/"):
        return os.access(ROOT / command[0], os.X_OK)
    return command[0] in BROUGHT_ALONG


def test_there_are_the_two_workflows() -> None:
    assert set(WORKFLOWS) == {"ci", "review"}


def test_every_command_exists(subtests: pytest.Subtests) -> None:
    for name in WORKFLOWS:
        with subtests.test(workflow=name):
            assert commands(WORKFLOWS[name])
            for command in commands(WORKFLOWS[name]):
                assert exists(command), command


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for command in [["make", "nothing"], [".ci/nothing"], ["curl", "x"]]:
        assert not exists(command)


def test_foreign_actions_are_githubs_own_at_a_commit(subtests: pytest.Subtests) -> None:
    for name in WORKFLOWS:
        with subtests.test(workflow=name):
            used = [step["uses"] for step in steps(WORKFLOWS[name]) if "uses" in step]
            assert used
            for action in used:
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action  # a tag can be moved


def test_what_a_pull_request_says_enters_commands_as_variables_alone(subtests: pytest.Subtests) -> None:
    """A branch called `$(...)` must be a name and no command."""
    for name in WORKFLOWS:
        with subtests.test(workflow=name):
            for step in steps(WORKFLOWS[name]):
                assert "${{" not in step.get("run", "")


def test_workflows_run_for_pull_requests_without_the_bases_secrets(subtests: pytest.Subtests) -> None:
    for name in WORKFLOWS:
        with subtests.test(workflow=name):
            assert "pull_request" in WORKFLOWS[name]["on"]
            assert "pull_request_target" not in WORKFLOWS[name]["on"]


def test_only_the_job_that_runs_nothing_of_the_repository_may_write() -> None:
    for workflow in WORKFLOWS.values():
        assert "write" not in workflow["permissions"].values()
        for name, job in workflow["jobs"].items():
            if "write" not in job.get("permissions", {}).values():
                continue
            assert name == "comment"
            assert job["permissions"] == {"pull-requests": "write"}
            assert all("checkout" not in step.get("uses", "") for step in job["steps"])
            assert {command[0] for command in commands(workflow, name)} == {"gh"}
    for step in steps(WORKFLOWS["ci"]) + steps(WORKFLOWS["review"]):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_ci_does_what_ci_run_does() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    locally = [shlex.split(line) for line in lines if line.startswith("make ")]
    assert commands(WORKFLOWS["ci"]) == locally


def test_a_review_knows_the_history_and_is_always_in_the_summary() -> None:
    checkout = next(step for step in steps(WORKFLOWS["review"]) if "checkout" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0
    run = commands(WORKFLOWS["review"], "review")
    summary = ["cat", "review.md", ">>", "$GITHUB_STEP_SUMMARY"]
    assert run.index(summary) < run.index(["make", "fresh"]), "a stale pull request still gets its review"


def test_hooks_are_the_environments_own_tools() -> None:
    (repository,) = HOOKS["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        called = re.findall(r"\.venv/bin/(\w+)|(\.ci/\w+)", hook["entry"])
        assert called, hook["entry"]
        for tool, script in called:
            assert tool in {"ruff", "mypy", "dvc"} or os.access(ROOT / script, os.X_OK)


def test_dvcs_three_hooks_are_there() -> None:
    hooks = {hook["id"]: hook for hook in HOOKS["repos"][0]["hooks"]}
    for stage in ("pre-commit", "pre-push", "post-checkout"):
        assert stage in HOOKS["default_install_hook_types"]
        hook = hooks[f"dvc-{stage}"]
        assert f".venv/bin/dvc git-hook {stage}" in hook["entry"]
        assert (hook["stages"], hook["always_run"]) == ([stage], True)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """What `make` reads of a checkout, in a folder where nothing is installed."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)


def test_a_run_installs_only_what_a_run_needs(fresh: Path) -> None:
    run, tests = (make(fresh, "--dry-run", target).stdout for target in ("repro", "test"))
    assert "requirements.lock" in run and "requirements-dev.lock" not in run
    assert tests.index("requirements.lock") < tests.index("requirements-dev.lock")


def test_what_tests_add_leaves_what_a_run_needs_as_it_is() -> None:
    run, tests = (
        {line.split()[0] for line in (ROOT / name).read_text().splitlines() if "==" in line}
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert run < tests
    packages = {line.partition("==")[0] for line in run}
    assert {"torch", "dvc", "mlflow", "setuptools"} <= packages
    assert not {"torchmetrics", "pytest", "ruff", "mypy", "statsmodels", "lightning-fabric"} & packages
    assert all("==" in line and "://" not in line for line in tests)


def test_nothing_is_installed_while_nothing_changed(fresh: Path) -> None:
    (fresh / ".venv").mkdir()
    stamps = (".venv/.installed", ".venv/.installed-dev")
    now = (fresh / "Makefile").stat().st_mtime
    for number, name in enumerate(("requirements.lock", "requirements-dev.lock", "pyproject.toml", *stamps)):
        (fresh / name).touch()
        os.utime(fresh / name, (now + number, now + number))
    assert [make(fresh, "--question", stamp).returncode for stamp in stamps] == [0, 0]
    os.utime(fresh / "requirements-dev.lock", (now + 60, now + 60))
    assert [make(fresh, "--question", stamp).returncode for stamp in stamps] == [0, 1]
    os.utime(fresh / "requirements.lock", (now + 60, now + 60))
    assert [make(fresh, "--question", stamp).returncode for stamp in stamps] == [1, 1]
