"""Claims about a registered model: on any machine it says what `genrepro predict` says."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from support.builders import GENRES, make_inputs, make_mel_params, make_params
from support.registered import CLIPS, Store, expected, make_model, make_store
from typer.testing import CliRunner

from genrepro import models, tracking
from genrepro.base import files, stores
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.cli import app
from genrepro.models.shared import checkpoint
from genrepro.serve import registry, worth
from genrepro.serve.predictor import Predictor
from genrepro.spectrogram import mel
from genrepro.tracking.runs import Run, opening


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Store]:
    with make_store(tmp_path_factory.mktemp("repository"), empty=empty_store) as found:
        yield found


@pytest.fixture(autouse=True)
def repository(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(store.folder)
    return store.folder


@pytest.fixture(scope="module")
def pyfunc(store: Store) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENREPRO_ALLOW_PATHS", str(store.folder))
        yield mlflow.pyfunc.load_model(str(store.logged))


def rows(answer: pd.DataFrame) -> list[dict[str, Any]]:
    return answer.to_dict("records")


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: Path(clip).name)
def test_a_path_and_its_bytes_give_predicts_numbers(pyfunc: Any, clip: str | Path, repository: Path) -> None:
    clip = shutil.copy(clip, repository) if Path(clip).is_absolute() else clip
    wanted = expected(clip)
    assert rows(pyfunc.predict([{"path": str(clip)}])) == [wanted]
    assert rows(pyfunc.predict(pd.DataFrame({"audio": [Path(clip).read_bytes()]}))) == [wanted]
    assert list(wanted) == ["genre", *GENRES, "error"]


def test_paths_and_bytes_mix_in_one_table_in_its_order(pyfunc: Any) -> None:
    sound, other = expected("sound.wav"), expected("other.wav")
    table = pd.DataFrame(
        {"path": ["other.wav", None, ""], "audio": [None, Path("sound.wav").read_bytes(), b""]},
        index=[7, 5, 3],
    )
    answer = pyfunc.predict(table)
    assert rows(answer)[:2] == [other, sound] and other != sound
    assert list(answer.index) == [7, 5, 3]


def test_what_cannot_be_read_gets_a_sentence_and_the_rest_is_done(pyfunc: Any) -> None:
    good = Path("sound.wav").read_bytes()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"path": "absent.wav"}, "absent.wav is not a file in the folder that this server may read."),
        ({"path": "models"}, "models is not a file in the folder"),
        ({"path": "models/model.json"}, "models/model.json: undecodable: "),
        ({"path": "a\0b.wav"}, "is not a file in the folder"),
        ({"path": "a" * 5000}, "is not a file in the folder"),
        ({"audio": b"no music at all" * 100}, "1500 bytes: undecodable: "),
        ({"audio": good[:40]}, "40 bytes: undecodable: "),
        ({"audio": b""}, "an input is either a path or the bytes of a file in audio, and not empty."),
        ({"path": "sound.wav", "audio": good}, "an input is either"),
    ]
    answer = rows(
        pyfunc.predict(pd.DataFrame([{"path": "sound.wav"}, *(row for row, _ in bad), {"audio": good}]))
    )
    assert answer[0] == answer[-1] == expected("sound.wav")
    for (_, words), row in zip(bad, answer[1:-1], strict=True):
        assert words in row.pop("error") and set(row.values()) == {None}


def test_without_a_folder_no_path_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENREPRO_ALLOW_PATHS", raising=False)
    model = mlflow.pyfunc.load_model(str(store.logged))
    content = Path("sound.wav").read_bytes()
    refused, answered = rows(
        model.predict(pd.DataFrame({"path": ["sound.wav", None], "audio": [None, content]}))
    )
    assert refused["error"].startswith("this server reads no paths: send the file's bytes in audio")
    assert answered == expected("sound.wav")


def test_a_version_that_reads_every_path_is_not_served() -> None:
    old = registry.Version(name="songs", number=3, tags={"model": "cnn"})
    with pytest.raises(GenreproError, match=r"songs version 3 was registered by an older genrepro"):
        registry.require_opt_in(old)
    registry.require_opt_in(registry.find("genrepro", "1"))


def test_a_table_without_either_column_is_refused(pyfunc: Any) -> None:
    with pytest.raises(mlflow.MlflowException, match="name a column of the input `path` or `audio`"):
        pyfunc.predict(pd.DataFrame({"file": ["sound.wav"]}))


def test_bytes_that_nobody_decoded_from_base64_are_decoded(pyfunc: Any) -> None:
    # MLflow decodes a column of its JSON in two of four formats, and in the others makes text into bytes.
    text = base64.b64encode(Path("sound.wav").read_bytes())
    assert rows(pyfunc.predict(pd.DataFrame({"audio": [text]}))) == [expected("sound.wav")]


def test_the_example_of_an_input_is_answered_on_any_machine(pyfunc: Any) -> None:
    (row,) = rows(pyfunc.predict(pyfunc.input_example))
    assert row["error"] is None


def test_a_version_needs_what_a_prediction_imports_and_nothing_of_the_trainer(store: Store) -> None:
    required = (store.logged / "requirements.txt").read_text().split()
    assert all("==" in line for line in required) and "--" not in "".join(required)
    # Another machine: the trainer's packages are not there, nor is genrepro.
    script = f"""
import sys
absent = {{"dvc", "matplotlib", "ruamel", "torchvision", "transformers", "typer"}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path = [entry for entry in sys.path if not entry.endswith("src")]
import mlflow
model = mlflow.pyfunc.load_model({str(store.logged)!r}, suppress_warnings=True)  # of other packages
row = model.predict([{{"audio": open("sound.wav", "rb").read()}}]).to_dict("records")[0]
import genrepro, json
assert genrepro.__file__.startswith({str(store.logged)!r}), genrepro.__file__
print(json.dumps(row))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected("sound.wav")


def write_lock(folder: Path) -> None:
    """dvc.lock and metrics/test.json as DVC leaves them after evaluating the model in ``folder``."""

    def entry(path: Path, content: Path) -> dict[str, str]:
        return {"path": path.as_posix(), "md5": hashlib.md5(content.read_bytes()).hexdigest()}

    test, weights = Path("metrics", "test.json"), Path("models", "model.safetensors")
    scores = {"accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 0.9}
    files.write_json(test, {**scores, "log_loss": 0.6, "num_tracks": 20, "leaky": 0})
    split = {"path": "data/synthetic/split.csv", "md5": "of split"}
    stages = {
        "split": {"params": {"params.yaml": {"split": {"strategy": "artist"}}}, "outs": [split]},
        "evaluate": {
            "params": {"params.yaml": {"dataset": "synthetic"}},
            "deps": [split, entry(weights, folder / weights.name)],
            "outs": [entry(test, test)],
        },
    }
    files.write_json(Path("dvc.lock"), {"schema": "2.0", "stages": stages})  # JSON is YAML


def tracked(config: Params, description: dict[str, Any]) -> Run:
    """A run in the store that made the weights of ``description``."""
    run = Run()
    run.create("train", opening(config, description))
    run.client.set_tag(run.run_id, "model_sha256", description["weights_sha256"])
    return run


def test_the_same_weights_are_registered_once_and_others_with_what_is_known_of_them(
    store: Store, tmp_path: Path
) -> None:
    again = registry.register(Path("models"), name="genrepro")
    assert (again.number, again.new, store.first.number, store.first.new) == (1, False, 1, True)
    assert again.text() == "cnn"
    description = make_model(tmp_path, seed=1)
    config = make_params(model="cnn", split={"strategy": "random"})
    run = tracked(config, description)
    write_lock(tmp_path)
    done = CliRunner().invoke(app, ["register", "--model", str(tmp_path)])
    wanted = "cnn on synthetic, split by artist, accuracy 75.0 % [50.0, 90.0] on 20 tracks"
    lines = [f"genrepro version 2: {wanted}", "genrepro serve --name genrepro --version 2"]
    assert done.exit_code == 0 and done.stdout.splitlines() == lines
    client, _ = tracking.connect()
    found = client.get_model_version("genrepro", "2")
    assert (found.description, found.run_id) == (wanted, run.run_id)
    assert found.tags["weights_sha256"] == description["weights_sha256"]
    (logged,) = client.get_run(run.run_id).outputs.model_outputs
    assert found.source == f"models:/{logged.model_id}"
    assert [registry.find("genrepro", version).number for version in ("1", "2", "latest")] == [1, 2, 2]


def test_metrics_of_other_weights_are_not_a_versions_but_those_of_its_run_are(tmp_path: Path) -> None:
    make_model(tmp_path, seed=2)
    write_lock(tmp_path)
    description = make_model(tmp_path, seed=3)
    assert registry.register(tmp_path, name="other").text() == "cnn"
    run = tracked(make_params(split={"strategy": "random"}), description)
    scores = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75}
    for key, value in {**scores, "num_tracks": 8, "leaky": 1}.items():
        run.client.log_metric(run.run_id, f"test.{key}", value)
    wanted = "cnn on synthetic, split by random, accuracy 50.0 % [25.0, 75.0] on 8 tracks, leaky"
    assert registry.register(tmp_path, name="another").text() == wanted


def test_a_frozen_body_is_kept_with_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 32}
    config = make_params(model="ast", ast={**sizes, "trainable_blocks": 0, "weights": "none"})
    section, inputs = config.architecture(), make_inputs(mel=mel.describe(make_mel_params()), num_bands=16)
    model = models.with_frozen_body("ast", section, num_genres=3, inputs=inputs)
    features = {**inputs, "genres": GENRES, "sha256": "-", "body": {"sha256": model.body_sha256()}}
    description = checkpoint.describe(model="ast", section=section, features=features, split_sha256="-")
    checkpoint.save(tmp_path, model.head.state_dict(), description)
    wanted = Predictor(tmp_path)(Path("sound.wav"))
    kept = registry.whole(tmp_path, tmp_path / "whole")
    monkeypatch.setattr(models, "with_frozen_body", None)  # nothing is drawn or downloaded again
    assert Predictor(kept)(Path("sound.wav")) == wanted
    assert {"transformers"} == {line.partition("==")[0] for line in registry.requirements(description)} - {
        line.partition("==")[0] for line in registry.requirements({**description, "model": "cnn"})
    }


def test_asking_where_there_is_no_store_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenreproError, match=r"mlflow\.db holds no model named genrepro"):
        registry.find("genrepro", "latest")
    assert not list(tmp_path.iterdir())


def test_a_genre_that_is_a_column_of_the_answers_is_refused(tmp_path: Path) -> None:
    description = make_model(tmp_path)
    files.write_json(tmp_path / "model.json", {**description, "genres": ["blues", "error", "rock"]})
    with pytest.raises(GenreproError, match="a genre is called 'error'"):
        registry.register(tmp_path, name="genrepro")


def test_a_stage_goes_on_where_its_model_cannot_be_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.offer(tmp_path / "models", name="songs")
    said = capsys.readouterr().err
    assert said.startswith("genrepro: ") and "is not registered: GenreproError" in said
    assert said.count("\n") == 1


def test_a_version_moves_with_its_repository_and_says_when_its_files_did_not(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(store.folder, moved)
    monkeypatch.chdir(moved)
    mlflow.set_tracking_uri(None)
    assert registry.find("genrepro", "1").number == 1
    client, _ = tracking.connect()
    found = stores.local(client.get_model_version_download_uri("genrepro", "1"))
    assert found is not None and found.is_relative_to(moved) and found.is_dir()

    shutil.rmtree(moved / "mlartifacts")
    with pytest.raises(GenreproError, match=r"version 1 has lost its files: .* register the model again"):
        registry.find("genrepro", "1")
    again = registry.register(Path("models"), name="genrepro")
    assert again.new and registry.find("genrepro", "latest").number == again.number > 1
    mlflow.set_tracking_uri(None)


def test_an_edited_description_loses_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "models", seed=5)
    write_lock(tmp_path / "models")
    lock = files.read_json(Path("dvc.lock"))
    path = Path("models", "model.json")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    lock["stages"]["evaluate"]["deps"].append({"path": path.as_posix(), "hash": "md5", "md5": md5})
    files.write_json(Path("dvc.lock"), lock)
    assert worth.by_lock(Path("models"))["accuracy"] == "0.75"
    files.write_json(path, {**files.read_json(path), "mean": 0.0})
    assert worth.by_lock(Path("models")) == {}
