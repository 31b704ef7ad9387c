"""Claims about `genrepro publish`: others' own libraries read what it writes."""

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from support.builders import ROOT
from support.hub import TOKEN, Hub
from support.listening import make_repository
from typer.testing import CliRunner

from genrepro.base import files, params, tables
from genrepro.cli import app
from genrepro.publish.licences import LICENCES
from genrepro.serve import worth


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose model says itself what it is worth, as the one that comes with genrepro does."""
    folder = make_repository(tmp_path_factory.mktemp("publish"))
    description = files.read_json(folder / "models" / "model.json")
    description["worth"] = {"dataset": "synthetic", "split_strategy": "artist", **SCORES_AS_TEXT}
    files.write_json(folder / "models" / "model.json", description)
    worth.seal(folder / "models")
    files.write_json(folder / "metrics" / "test.json", SCORES)
    ids = pd.read_csv(folder / "data" / "synthetic" / "split.csv")["track_id"]
    rows = [
        {
            "track_id": name,
            "reasons": ["silent", "short"] if name == "jazz.0" else [],
            "duplicate_group": None,
        }
        for name in sorted(ids)
    ]
    table = tables.pa.Table.from_pylist(rows, schema=tables.AUDIT)
    files.write_parquet(folder / "data" / "synthetic" / "audit.parquet", [table], tables.AUDIT)
    return folder


SCORES = {
    "accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8, "macro_f1": 0.4, "log_loss": 1.1,
    "calibration_error": 0.1, "num_tracks": 3, "num_groups": 3, "leaky": 0,
}  # fmt: skip
SCORES_AS_TEXT = {
    key: str(SCORES[key]) for key in ("accuracy", "accuracy_low", "accuracy_high", "num_tracks", "leaky")
}


@pytest.fixture(scope="module")
def published(repository: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        done = CliRunner().invoke(app, ["publish", "--to", "published"])
    assert done.exit_code == 0, done.output
    return repository / "published"


def test_the_hubs_own_library_reads_the_card_and_its_results(published: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(published / "README.md")
    values = {result.metric_name: result.metric_value for result in card.data.eval_results or []}
    assert values["accuracy of voted predictions on the test tracks"] == 0.5
    assert values["lower end of its 95 % interval, over groups of tracks"] == 0.2
    assert values["upper end of its 95 % interval, over groups of tracks"] == 0.8
    assert card.data.license == "mit" and card.data.pipeline_tag == "audio-classification"
    assert "cnn on synthetic, split by artist, accuracy 50.0 % [20.0, 80.0] on 3 tracks." in card.text


def test_mlcroissant_validates_the_metadata_and_reads_every_track(published: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="the extra `publish` is not installed")
    dataset = mlcroissant.Dataset(jsonld=published / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.license == [LICENCES["synthetic"].url]
    records = list(dataset.records("tracks"))
    assert len(records) == 12
    found = {record["tracks/track_id"].decode(): record for record in records}
    assert found["jazz.0"]["tracks/findings"] == b"silent;short"
    assert found["rock.2"]["tracks/split"] == b"test"


def test_the_published_model_predicts(published: Path, repository: Path) -> None:
    clip = next((repository / "data" / "synthetic" / "raw").rglob("*.wav"))
    options = ["--model", str(published), "--format", "jsonl"]
    said = CliRunner().invoke(app, ["predict", str(clip), *options])
    assert said.exit_code == 0 and json.loads(said.stdout)["probabilities"]


def test_no_audio_is_published(published: Path) -> None:
    assert {path.name for path in published.iterdir()} == {
        "model.safetensors", "model.json", "model.json.sha256", "README.md", "tracks.csv", "croissant.json",
    }  # fmt: skip


def test_a_folder_with_something_else_in_it_is_left_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository)
    (tmp_path / "mine.txt").write_text("mine")
    done = CliRunner().invoke(app, ["publish", "--to", str(tmp_path)])
    assert done.exit_code == 1 and "is not empty: name a new folder." in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def publish_to(
    hub: Hub, repository: Path, home: Path, *, token: str, warm: Path
) -> subprocess.CompletedProcess[str]:
    """In a process of its own: huggingface_hub reads HF_ENDPOINT when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": token, "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1",  # the other way of large files, which needs a service of its own
        "no_proxy": "127.0.0.1", "PYTHONPATH": str(ROOT / "src"),
    }  # fmt: skip
    return subprocess.run(
        [warm / "genrepro", "publish", "--to", "hf://me/my-model"],
        cwd=repository, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_hub_gets_what_the_folder_holds(
    repository: Path, published: Path, tmp_path: Path, warm: Path
) -> None:
    """By its own client over HTTP: the repository is made, weights go by LFS, the rest in one commit."""
    with Hub({}) as hub:
        done = publish_to(hub, repository, tmp_path / "home", token=TOKEN, warm=warm)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"{hub.url}/me/my-model"
        assert list(hub.large) == [files.sha256(published / "model.safetensors")]
        sent = hub.repositories["me/my-model"]
    assert sent == {path.name: path.read_bytes() for path in published.iterdir()}


def test_a_hub_that_refuses_gets_a_sentence(repository: Path, tmp_path: Path, warm: Path) -> None:
    with Hub({}) as hub:
        done = publish_to(hub, repository, tmp_path / "home", token="hf_of_nobody", warm=warm)
        assert done.returncode == 1 and hub.repositories == {}
    assert "genrepro: the hub did not take me/my-model: " in done.stderr and "Traceback" not in done.stderr
    assert "hf auth login" in done.stderr and "hf_of_nobody" not in done.stdout + done.stderr


def test_every_data_set_has_its_terms() -> None:
    assert set(LICENCES) == set(params.DATASETS)


def test_the_citation_is_that_of_this_version() -> None:
    import genrepro

    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["version"] == genrepro.__version__ and citation["license"] == "MIT"
    assert {"cff-version", "title", "message", "authors"} <= citation.keys()
