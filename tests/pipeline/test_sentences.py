"""What users get wrong ends with one clear sentence, exit code 1 and no traceback."""

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
        ("train", {"train": {"lrr": 1}}, ["unknown key train.lrr"]),
        ("catalog", {}, ["data/synthetic/raw is missing", "dvc repro"]),
    ],
)
def test_a_mistake_is_one_sentence(checkout: Project, stage: str, change: dict, words: list[str]) -> None:
    checkout.set(**change)
    says(checkout, stage, *words)


def test_dvc_passes_the_sentence_on(reproduced: Project) -> None:
    done = reproduced.run("dvc", "exp", "run", "--set-param", "train.lr=fast", check=False)
    assert done.returncode != 0
    assert "train.lr = 'fast' must be a finite number" in done.stderr
    assert "Traceback" not in done.stderr
