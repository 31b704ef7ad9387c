"""A program of a test's project is a fork, and yet it is what a new process would be: see `support.warm`."""

import time

import pytest
from support.processes import kill
from support.project import Project

pytestmark = pytest.mark.pipeline


def test_a_fork_runs_the_code_of_its_own_checkout_even_if_it_has_just_changed(checkout: Project) -> None:
    module = checkout.path / "src" / "genrepro" / "base" / "errors.py"
    code = "import stages; from genrepro.base import errors as e; print(getattr(e, 'PLANTED', 0), e.__file__)"
    assert checkout.run("python", "-c", code).stdout == f"0 {module}\n"
    module.write_text(f"{module.read_text()}\nPLANTED = 1\n")
    assert checkout.run("python", "-c", code).stdout == f"1 {module}\n"


def test_a_fork_tidies_up_what_is_its_own(checkout: Project) -> None:
    """Files that are deleted at the end, and functions that are called then."""
    code = (
        "import atexit, tempfile, genrepro; "
        "genrepro.mine = tempfile.TemporaryDirectory(dir='.', prefix='mine-'); "
        "atexit.register(print, 'the end')"
    )
    assert checkout.run("python", "-c", code).stdout == "the end\n"
    assert not list(checkout.path.glob("mine-*"))


def test_a_fork_ends_with_its_own_exit_code(checkout: Project) -> None:
    codes = [
        checkout.run("python", "-c", f"raise SystemExit({code})  # genrepro", check=False) for code in (0, 7)
    ]
    assert [done.returncode for done in codes] == [0, 7]


def test_a_fork_is_killed_with_the_process_that_asks_for_it(checkout: Project) -> None:
    """It holds the end of a pipe, for which `kill` waits."""
    told, begin = checkout.path / "pid", time.monotonic()
    (checkout.path / "stages" / "slow.py").write_text(
        "import os, pathlib, time; pathlib.Path('pid').write_text(f'{os.getpid()}.'); time.sleep(40)"
    )
    running = checkout.start("slow")
    while not told.exists() or not told.read_text().endswith("."):
        assert running.poll() is None
        time.sleep(0.01)
    assert told.read_text() != f"{running.pid}."
    kill(running)
    assert time.monotonic() < begin + 30
