"""Claims about what a request may read: regular files in one folder, and nothing else."""

import os
from pathlib import Path

import psutil
import pytest

from genrepro.base.errors import GenreproError
from genrepro.serve import allowed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file at the top and one below, and what must not be read."""
    folder = tmp_path / "allowed"
    (folder / "below").mkdir(parents=True)
    (folder / "song.wav").write_bytes(b"song")
    (folder / "below" / "song.wav").write_bytes(b"below")
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "allowed2").mkdir()
    (tmp_path / "allowed2" / "secret.wav").write_bytes(b"secret")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "inner.wav").symlink_to("song.wav")
    (folder / "out").symlink_to(tmp_path)
    (folder / "zero.wav").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.wav")
    return folder.resolve()


def test_files_in_the_folder_are_read(folder: Path) -> None:
    for name in ("song.wav", "./song.wav", str(folder / "song.wav")):
        assert allowed.read(name, inside=folder) == b"song"
    assert allowed.read("below/song.wav", inside=folder) == b"below"


def test_nothing_else_is_and_all_refusals_sound_alike(folder: Path, subtests: pytest.Subtests) -> None:
    open_files = psutil.Process().num_fds()
    for name in (
        "../secret.wav", "below/../../secret.wav", str(folder.parent / "secret.wav"), "/etc/passwd",
        str(folder.parent / "allowed2" / "secret.wav"), "link.wav", "inner.wav", "out/secret.wav", "zero.wav",
        "/dev/zero", "fifo.wav", "below", "", ".", "..", "absent.wav", "song.wav/x", "a\0b", "a" * 5000,
        "file:///etc/passwd", "~/x.wav", "\udce9.wav",
    ):  # fmt: skip
        with subtests.test(name=name[:40]):
            with pytest.raises(GenreproError) as caught:
                allowed.read(name, inside=folder)
            assert str(caught.value).endswith("is not a file in the folder that this server may read.")
    assert psutil.Process().num_fds() == open_files


def test_a_file_that_would_fill_the_memory_is_refused(folder: Path) -> None:
    with (folder / "sparse.wav").open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(GenreproError, match="has more than 256 MB"):
        allowed.read("sparse.wav", inside=folder)


def test_without_the_variable_there_is_no_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert allowed.folder() is None
    monkeypatch.setenv(allowed.VARIABLE, str(folder))
    assert allowed.folder() == folder
