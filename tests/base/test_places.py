"""Claims about paths that a user wrote: they mean the same in DVC's temporary clone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genrepro.base import places
from genrepro.download.source import resolve
from genrepro.models.shared import weights


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository, seen from a clone elsewhere."""
    for name in ("repository", "clone"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "repository"


@pytest.mark.parametrize(
    "read",
    [
        lambda path: str(resolve(path)),
        lambda path: weights.folder(path, key="ast.weights"),
        lambda path: str(places.find(path)),
    ],
    ids=["source", "ast.weights", "sweep.report"],
)
def test_a_relative_path_is_found_in_the_users_repository(
    repository: Path, read: Callable[[str], str]
) -> None:
    (repository / "own" / "inner").mkdir(parents=True)
    assert read("own") == str(repository / "own")


def test_relative_weights_are_read_from_the_users_repository(repository: Path) -> None:
    torch.save({"a": torch.ones(2)}, repository / "tiny.pth")
    assert weights.read(Path("tiny.pth"), key="vit.weights")["a"].tolist() == [1, 1]


def test_the_clones_own_file_comes_first(repository: Path) -> None:
    for folder in (repository, Path()):
        (folder / "log.csv").touch()
    assert places.find("log.csv") == Path("log.csv")


def test_a_relative_cache_of_downloads_outlives_the_clone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENREPRO_CACHE", "downloads")
    assert places.cache_folder() == repository / "downloads"
