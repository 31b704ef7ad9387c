"""Claims about a source's listing: it changes with what the source holds, and with nothing else."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from genrepro.download import listing


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("rock/a.wav", "rock/b.wav", "pop/c.wav", "tracks.csv"):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, ns=(10**18, 10**18))
    return tmp_path / "mine"


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda path: (path / "rock" / "new.wav").write_bytes(b"x"),
    "a new genre": lambda path: ((path / "jazz").mkdir(), (path / "jazz" / "a.wav").write_bytes(b"x")),
    "a file less": lambda path: (path / "rock" / "a.wav").unlink(),
    "another name": lambda path: (path / "rock" / "a.wav").rename(path / "rock" / "z.wav"),
    "another place": lambda path: (path / "rock" / "a.wav").rename(path / "pop" / "a.wav"),
    "another size": lambda path: (path / "tracks.csv").write_bytes(b"path"),
    "another content of one size": lambda path: (path / "tracks.csv").write_bytes(b"TRACKS.CSV"),
    "another time": lambda path: os.utime(path / "tracks.csv"),
    "a link to another folder": lambda path: (path / "more").symlink_to(path.parent / "more"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_change_of_the_source_changes_its_listing(change: Callable[[Path], object], source: Path) -> None:
    (source.parent / "more").mkdir()
    (source.parent / "more" / "x.wav").write_bytes(b"x")
    before = listing.of_source(str(source))
    assert before == listing.of_source(str(source))
    change(source)
    assert listing.of_source(str(source)) != before


def test_a_copy_elsewhere_with_its_times_has_the_same_listing(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "other")
    found = listing.of_source(str(source))
    assert found == listing.of_source(str(tmp_path / "other"))
    assert found is not None and (found["num_files"], found["num_bytes"]) == (4, 39)


def test_an_archive_is_listed_as_a_file(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(source / "tracks.csv")
    before = listing.of_source(str(tmp_path / "a.zip"))
    assert before is not None and before["num_files"] == 1
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.write(source / "rock" / "a.wav")
    assert listing.of_source(str(tmp_path / "a.zip")) != before


def test_fmas_metadata_beside_the_audio_belongs_to_it(source: Path) -> None:
    before = listing.of_source(str(source))
    (source.parent / "fma_metadata.zip").write_bytes(b"x")
    assert listing.of_source(str(source)) != before


def test_circles_odd_files_and_hidden_folders_do_not_matter(source: Path) -> None:
    before = listing.of_source(str(source))
    (source / "rock" / "up").symlink_to("..")
    (source / ".stfolder").mkdir()
    (source / ".stfolder" / "note").write_bytes(b"x")
    assert listing.of_source(str(source)) == before
    (source / "rock" / "gone.wav").symlink_to("/nowhere")
    os.mkfifo(source / "rock" / "pipe.wav")
    found = listing.of_source(str(source))
    assert found is not None and found["num_files"] == 6


def test_a_repository_inside_its_source_does_not_list_itself(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing.of_source(str(source))
    (source / "genrepro").mkdir()
    (source / "genrepro" / "dvc.lock").write_bytes(b"x")
    monkeypatch.chdir(source / "genrepro")
    assert listing.of_source(str(source)) == before


@pytest.mark.parametrize("source", ["auto", "https://example.org/genres.tar.gz"])
def test_what_is_not_on_this_machine_is_nothing(source: str) -> None:
    assert listing.of_source(source) == listing.NOTHING


def test_a_source_that_is_gone_or_not_mounted_has_no_listing(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    assert listing.of_source(str(tmp_path / "gone")) is None
    assert listing.of_source(str(tmp_path / "mount")) is None
