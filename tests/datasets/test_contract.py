"""Every data set has the same skeleton: the shared code may call any of them without knowing which it is."""

import inspect
from collections.abc import Mapping
from types import ModuleType

import pytest

from genrepro import datasets
from genrepro.base.params import DATASETS
from genrepro.download.cache import Remote


@pytest.fixture(params=DATASETS)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return datasets.module(request.param)


def test_says_what_it_is(module: ModuleType) -> None:
    first, _, rest = (module.__doc__ or "").partition("\n")
    assert first.endswith((".", ":")), first
    assert rest.strip(), "a docstring needs the source and the layout, too"


def test_declares_what_can_be_downloaded(module: ModuleType) -> None:
    assert isinstance(module.REMOTES, Mapping)
    assert all(isinstance(name, str) for name in module.REMOTES)
    assert all(isinstance(remote, Remote) for remote in module.REMOTES.values())


def test_every_remote_can_be_checked(module: ModuleType) -> None:
    remotes = module.REMOTES.items()
    unchecked = [name for name, remote in remotes if not (remote.checksum or remote.num_bytes)]
    assert not unchecked


def test_declares_faults_as_descriptions(module: ModuleType) -> None:
    assert isinstance(module.FAULTS, Mapping)
    assert all(isinstance(key, str) for key in module.FAULTS)
    assert all(isinstance(text, str) and text for text in module.FAULTS.values())


def test_has_the_two_functions(module: ModuleType) -> None:
    acquire, read_catalog = (inspect.signature(getattr(module, name)) for name in ("acquire", "read_catalog"))
    assert list(acquire.parameters) == ["params", "raw"]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in acquire.parameters.values())
    assert list(read_catalog.parameters) == ["raw"]
    assert module.acquire.__doc__
    assert module.read_catalog.__doc__
