"""Claims about the arithmetic: pinned unless the user says otherwise, and drawn from one seed."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from support.builders import ROOT

from genrepro.exact import numerics


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment to pin, in place of the real one."""
    values: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", values)
    return values


def test_pinning_fixes_instructions_and_threads(environment: dict[str, str]) -> None:
    numerics.pin()
    assert environment["ATEN_CPU_CAPABILITY"] == "avx2"
    assert "AVX512F" in environment["NPY_DISABLE_CPU_FEATURES"].split()
    assert environment["OMP_NUM_THREADS"] == "1"


def test_what_a_cluster_has_set_gives_way(environment: dict[str, str]) -> None:
    environment["OMP_NUM_THREADS"] = "7"
    numerics.pin()
    assert environment["OMP_NUM_THREADS"] == "1"


def test_native_arithmetic_leaves_the_environment_alone(environment: dict[str, str]) -> None:
    environment["GENREPRO_NATIVE"] = "1"
    before = dict(environment)
    numerics.pin()
    assert environment == before


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """The number of threads is put back, so that other tests keep theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("torch_threads")
def test_the_seed_decides_what_torch_draws() -> None:
    draws = []
    for seed in (1, 1, 2):
        numerics.use_torch(seed)
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == numerics.NUM_THREADS


def test_the_variable_sets_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in [("3", 3), ("1", 1), ("0", 1)]:
        monkeypatch.setenv("GENREPRO_WORKERS", value)
        assert numerics.num_workers() == expected


def test_otherwise_every_processor_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ["", "many", "-2", "²"]:
        monkeypatch.setenv("GENREPRO_WORKERS", value)
        assert 1 <= numerics.num_workers() <= (os.cpu_count() or 1)


def test_a_system_without_processor_affinity_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENREPRO_WORKERS")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # macOS
    assert numerics.num_workers() == os.cpu_count()


def test_a_pinned_process_keeps_the_memory_of_large_arrays() -> None:
    """Without, each of twenty blocks of 40 MB would be asked for anew: 9 766 pages of 4 kB."""
    code = (
        "import resource, sys; sys.path.insert(0, 'src'); from genrepro.exact.numerics import pin; pin()\n"
        "for _ in range(20): block = None; block = b'x' * 40_000_000\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
    )
    unset = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=unset, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 3 * 9766
