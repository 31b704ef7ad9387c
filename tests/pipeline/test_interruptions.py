"""Stages that are killed, or have nowhere to write: nothing is half accepted, and the next run is clean."""

import io
import resource
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from support.layouts import make_audio
from support.processes import kill
from support.project import Project

pytestmark = pytest.mark.pipeline

NUM_CLIPS = 400


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of two genres, large enough to be caught unpacking."""
    path = tmp_path_factory.mktemp("music") / "music.tar.gz"
    clip = make_audio(seed=0, duration=5.0)
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        for number in range(NUM_CLIPS):
            entry = tarfile.TarInfo(f"{('folk', 'rock')[number % 2]}/{number:04d}.wav")
            entry.size = len(clip)
            archive.addfile(entry, io.BytesIO(clip))
    return path


def kill_when(project: Project, stage: str, appeared: Path) -> None:
    """Start a stage and kill it with SIGKILL once something lies at a path."""
    process = project.start(stage)
    while not appeared.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    kill(process)


def test_a_killed_extraction_leaves_nothing_that_counts(checkout: Project, music: Path) -> None:
    checkout.set(dataset="folder", source=str(music))
    data = checkout.path / "data" / "folder"
    kill_when(checkout, "download", data / "raw.partial" / ".source" / "unpacked" / "rock" / "0101.wav")
    assert not (data / "raw").exists()
    assert "folder" in checkout.stage("catalog").stderr  # it asks for raw
    assert not (data / "catalog.parquet").exists()
    done = checkout.stage("download")
    assert done.returncode == 0, done.stderr
    assert len(list((data / "raw").glob("*/*.wav"))) == NUM_CLIPS
    assert not (data / "raw.partial").exists()


@pytest.mark.parametrize(("stage", "most"), [("download", 100_000), ("render", 50_000)])
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(
    stage: str, most: int, reproduced: Project, music: Path
) -> None:
    """A limit on the size of a file stands for the disk: the same error, without a disk of one's own."""
    data = reproduced.path / "data" / "synthetic"
    if stage == "download":
        reproduced.set(dataset="folder", source=str(music))
        data = reproduced.path / "data" / "folder"
    outputs = {"download": data / "raw", "render": data / "mel.parquet"}
    before = outputs[stage].read_bytes() if outputs[stage].is_file() else None
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}"],
        cwd=reproduced.path,
        env=reproduced.environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    sentences = [line for line in done.stderr.splitlines() if line.startswith("genrepro: ")]
    assert done.returncode == 1 and len(sentences) == 1, done.stderr
    assert "file too large" in sentences[0] and "Traceback" not in done.stderr
    assert (outputs[stage].read_bytes() if outputs[stage].is_file() else None) == before
    assert not outputs[stage].with_name(f"{outputs[stage].name}.partial").exists()


def test_a_target_that_cannot_be_written_is_one_sentence(checkout: Project, music: Path) -> None:
    """A file stands where a folder must be: nobody can write below it, root neither."""
    checkout.set(dataset="folder", source=str(music))
    (checkout.path / "data").mkdir(exist_ok=True)
    (checkout.path / "data" / "folder").write_text("in the way")
    done = checkout.stage("download")
    sentences = [line for line in done.stderr.splitlines() if line.startswith("genrepro: ")]
    assert done.returncode == 1 and len(sentences) == 1 and "Traceback" not in done.stderr, done.stderr
    assert (checkout.path / "data" / "folder").read_text() == "in the way"
