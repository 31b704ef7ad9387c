"""Claims about ``source``: found where the user means it, refused with a sentence where it is not."""

from pathlib import Path

import pytest

from genrepro.base.errors import GenreproError
from genrepro.download.source import resolve


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "repository" / "archives" / "a.zip"
    path.parent.mkdir(parents=True)
    path.write_text("content")
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    return path


def test_an_absolute_path_is_taken_as_it_is(archive: Path) -> None:
    assert resolve(str(archive)) == archive.resolve()


def test_a_relative_path_is_looked_up_in_the_working_directory(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parents[1])
    assert resolve("archives/a.zip") == archive.resolve()


def test_a_queued_experiment_finds_what_lies_in_the_users_repository(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(archive.parents[1]))
    assert resolve("archives/a.zip") == archive.resolve()


def test_a_tilde_is_the_home_folder(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(archive.parent))
    assert resolve("~/a.zip") == archive.resolve()


def test_a_folder_with_something_in_it_is_a_source(archive: Path) -> None:
    assert resolve(str(archive.parent)) == archive.parent.resolve()


def test_what_does_not_exist_is_refused(archive: Path) -> None:
    for source in ("archives/a.zip", "/nowhere/a.zip", "~nobody-of-this-name/a.zip"):
        with pytest.raises(GenreproError, match="does not exist"):
            resolve(source)


def test_an_empty_folder_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="empty folder"):
        resolve(str(tmp_path / "clone"))


def test_an_empty_file_is_refused(archive: Path) -> None:
    archive.write_bytes(b"")
    with pytest.raises(GenreproError, match="empty file"):
        resolve(str(archive))
