"""Claims about the model that comes with genrepro: it is the committed default's, and it answers at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.builders import ROOT
from support.registered import OGG, make_model
from typer.testing import CliRunner

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.cli import app
from genrepro.serve import default, worth
from genrepro.serve.predictor import Predictor

SHIPPED = files.read_json(default.FOLDER / "model.json")
WEIGHTS = ROOT / "models" / "model.safetensors"


def test_it_is_the_committed_defaults() -> None:
    """If this fails after a new default run: `make model`, and commit src/genrepro/serve/shipped."""
    committed = files.read_json(ROOT / "models" / "model.json")
    same = {key: value for key, value in SHIPPED.items() if key not in ("worth", "origin_sha256")}
    assert SHIPPED["origin_sha256"] == committed["weights_sha256"]
    assert same == {**committed, "weights_sha256": files.sha256(default.FOLDER / "model.safetensors")}


def test_it_says_the_committed_figures() -> None:
    scores = files.read_json(ROOT / "metrics" / "test.json")
    assert {key: SHIPPED["worth"][key] for key in worth.SCORES} == {
        key: str(scores[key]) for key in worth.SCORES
    }


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the default run's weights are not in this checkout")
def test_its_weights_are_the_defaults_in_half_precision() -> None:
    if files.sha256(WEIGHTS) != SHIPPED["origin_sha256"]:
        pytest.skip("models/ holds another model than the committed default")
    mine, whole = load_file(default.FOLDER / "model.safetensors"), load_file(WEIGHTS)
    assert mine.keys() == whole.keys()
    for name, value in whole.items():
        wanted = value.astype(np.float16) if value.dtype == np.float32 else value
        np.testing.assert_array_equal(mine[name], wanted)


def test_it_is_small_enough_for_git() -> None:
    assert (default.FOLDER / "model.safetensors").stat().st_size < 1_000_000


def test_in_a_folder_without_a_model_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.chdir(tmp_path)
    (clip,) = OGG or [write_tone(tmp_path)]
    done = CliRunner().invoke(app, ["predict", "--format", "jsonl", str(clip)])
    assert done.exit_code == 0
    assert done.stderr.startswith("model: cnn on synthetic, split by artist, accuracy ")
    assert done.stderr.endswith(" tracks (the model that comes with genrepro)\n")
    assert json.loads(done.stdout)["probabilities"] == Predictor(default.FOLDER)(clip).probabilities


def test_a_description_with_plausible_changes_answers_but_claims_nothing(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    genres = SHIPPED["genres"]
    for change in (
        {"genres": [*genres[1:], genres[0]]},
        {"mean": SHIPPED["mean"] + 10},
        {"worth": {**SHIPPED["worth"], "accuracy": "0.99"}},
    ):
        with subtests.test(change=change):
            folder = tmp_path_factory.mktemp("changed") / "models"
            shutil.copytree(default.FOLDER, folder)
            clip = str(write_tone(folder.parent))
            answers = [CliRunner().invoke(app, ["predict", "--model", str(folder), clip])]
            files.write_json(folder / "model.json", {**SHIPPED, **change})
            answers.append(CliRunner().invoke(app, ["predict", "--model", str(folder), clip]))
            assert [answer.exit_code for answer in answers] == [0, 0]
            assert "accuracy" in answers[0].stderr and "changed" not in answers[0].stderr
            assert answers[1].stderr == (
                "model: cnn, whose model.json was changed after it was measured: its accuracy is unknown\n"
            )


def write_tone(folder: Path) -> Path:
    import soundfile

    path = folder / "tone.wav"
    soundfile.write(path, np.sin(np.arange(22050 * 3) / 10).astype(np.float32), 22050)
    return path


def test_a_trained_model_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default.folder() == default.FOLDER
    make_model(tmp_path / "models")
    assert default.folder() == Path("models")


def test_a_model_that_nothing_was_measured_of_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "models")
    with pytest.raises(GenreproError, match=r"metrics/test\.json is not of the model in models"):
        default.write(Path("models"), tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_a_wheel_holds_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", str(wheel)], check=True, capture_output=True, text=True
    ).stdout
    for name in ("model.safetensors", "model.json", "model.json.sha256"):
        assert f"genrepro/serve/shipped/{name}" in listed


def test_a_description_that_was_tampered_with_gets_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for change in (
        {"model": "shared.weights"},
        {"model": "os"},
        {"model": 7},
        {"genres": ["a", "b"]},
        {"genres": None},
        {"cnn": {"channels": [4, 8], "dropout": 0.0}},
        {"cnn": None},
    ):
        with subtests.test(change=change):
            folder = tmp_path_factory.mktemp("tampered") / "models"
            shutil.copytree(default.FOLDER, folder)
            files.write_json(folder / "model.json", {**SHIPPED, **change})
            done = CliRunner().invoke(app, ["predict", "--model", str(folder), "a.wav"])
            assert done.exit_code == 1
            assert done.output.startswith(f"genrepro: {folder / 'model.json'} does not describe the weights")
            assert done.output.count("\n") == 1
    with subtests.test("other weights"):
        folder = tmp_path_factory.mktemp("tampered") / "models"
        shutil.copytree(default.FOLDER, folder)
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        done = CliRunner().invoke(app, ["predict", "--model", str(folder), "a.wav"])
        assert done.exit_code == 1 and "is not the file that model.json describes" in done.output
