"""Claims about a source outside of the repository: DVC notices what it holds, and what it holds no more."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.layouts import make_audio
from support.project import Project, stages_run

pytestmark = pytest.mark.pipeline

RAN = ["download", "catalog"]


def fill(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(make_audio(seed=seed, duration=1.0))


def repro(project: Project) -> list[str]:
    return stages_run(project.run("dvc", "repro", "catalog").stdout)


def rows(project: Project) -> dict[str, str | None]:
    table = pq.read_table(project.path / "data" / "folder" / "catalog.parquet").to_pydict()
    return dict(zip(table["track_id"], table["artist"], strict=True))


def test_a_source_that_changes_is_read_anew_and_no_old_data_comes_back(
    checkout: Project, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    fill(mine, "rock/a.wav", "pop/b.wav")
    fill(other, "jazz/c.wav", "folk/d.wav")
    checkout.set(dataset="folder", source=str(mine))
    assert repro(checkout) == RAN
    assert repro(checkout) == []

    fill(mine, "rock/new.wav", "blues/e.wav")
    (mine / "tracks.csv").write_text("path,artist\nrock/new.wav,Ann\n")
    assert repro(checkout) == RAN
    assert rows(checkout) == {"blues/e": None, "pop/b": None, "rock/a": None, "rock/new": "Ann"}
    assert repro(checkout) == []

    checkout.set(source=str(other))
    assert repro(checkout) == RAN
    (mine / "rock" / "a.wav").unlink()
    checkout.set(source=str(mine))
    repro(checkout)
    assert rows(checkout) == {"blues/e": None, "pop/b": None, "rock/new": "Ann"}

    checkout.commit()
    mine.rename(tmp_path / "unmounted")  # the last listing stands
    done = checkout.run("dvc", "repro", "catalog")
    assert stages_run(done.stdout) == [] and "is not on this machine" in done.stdout


def test_an_experiment_in_a_copy_of_the_repository_sees_the_same_source(
    checkout: Project, tmp_path: Path
) -> None:
    fill(tmp_path / "mine", "rock/a.wav", "pop/b.wav")
    checkout.set(dataset="folder", source="../mine")
    repro(checkout)
    checkout.commit()
    done = checkout.run("dvc", "exp", "run", "--temp", "--set-param", "seed=1", "catalog")
    assert stages_run(done.stdout) == []
    fill(tmp_path / "mine", "rock/new.wav")
    done = checkout.run("dvc", "exp", "run", "--temp", "--set-param", "seed=2", "catalog")
    assert stages_run(done.stdout) == RAN
