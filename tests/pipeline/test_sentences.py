"""What users get wrong ends with one clear sentence, exit code 1 and no traceback."""

from pathlib import Path

import pytest
from support.project import Project

pytestmark = pytest.mark.pipeline


def says(project: Project, stage: str, *words: str) -> None:
    done = project.stage(stage)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("genrepro: ")]
    assert len(sentences) == 1 and sentences[0].endswith("."), done.stderr
    for word in words:
        assert word in sentences[0]


@pytest.mark.parametrize(
    "stage, change, words",
    [
        ("download", {"dataset": "jazz"}, ["dataset", "'jazz'", "synthetic", "gtzan_images"]),
        ("train", {"model": "resnet"}, ["model", "'resnet'", "cnn"]),
        ("train", {"train": {"lrr": 1}}, ["unknown key train.lrr"]),
        ("train", {"train": {"lr": "fast"}}, ["train.lr", "'fast'", "a finite number"]),
        ("train", {"train": {"lr": -1}}, ["train.lr", "above 0"]),
        ("split", {"split": {"train": 0.9}}, ["split.train", "must be 1"]),
        ("split", {"split": {"strategy": "fair"}}, ["split.strategy", "artist"]),
        ("download", {"dataset": "gtzan_images"}, ["no public remote", "source"]),
        ("download", {"dataset": "gtzan_images", "source": "nowhere"}, ["'nowhere'", "does not exist"]),
        ("catalog", {}, ["data/synthetic/raw is missing", "dvc repro"]),
    ],
)
def test_a_mistake_is_one_sentence(checkout: Project, stage: str, change: dict, words: list[str]) -> None:
    checkout.set(**change)
    says(checkout, stage, *words)


def test_an_empty_source_is_one_sentence(checkout: Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    checkout.set(dataset="gtzan_images", source=str(tmp_path / "empty"))
    says(checkout, "download", "empty folder")


def test_a_folder_of_the_wrong_layout_is_one_sentence(checkout: Project, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "holiday").mkdir(parents=True)
    (tmp_path / "pictures" / "holiday" / "beach.png").write_bytes(b"sand")
    checkout.set(dataset="gtzan_images", source=str(tmp_path / "pictures"))
    says(checkout, "download", "blues/blues00000.png")


def test_a_genre_without_training_tracks_is_one_sentence(reproduced: Project) -> None:
    """Every blues track is turned into an undecodable one."""
    for path in (reproduced.path / "data" / "synthetic" / "raw" / "blues").glob("*.wav"):
        path.unlink()
        path.write_bytes(b"no audio")
    for stage in ("catalog", "render", "audit"):
        assert reproduced.stage(stage).returncode == 0
    says(reproduced, "split", "no training track", "blues")


def test_dvc_passes_the_sentence_on(reproduced: Project) -> None:
    done = reproduced.run("dvc", "exp", "run", "--set-param", "train.lr=fast", check=False)
    assert done.returncode != 0
    assert "train.lr = 'fast' must be a finite number" in done.stderr
    assert "Traceback" not in done.stderr
