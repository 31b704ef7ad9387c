"""Claims about `genrepro robustness`: the model hears the very files, and a change is paired with them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.builders import GENRES, ROOT, make_catalog, make_music
from support.registered import RATE, make_model
from typer.testing import CliRunner, Result

from genrepro.base import files, tables
from genrepro.base.errors import GenreproError
from genrepro.cli import app
from genrepro.robustness import measure
from genrepro.robustness.measure import UNTOUCHED
from genrepro.serve.predictor import Predictor

TRACKS = pd.DataFrame(
    [
        {
            "track_id": f"{genre}.{number}",
            "genre": genre,
            "artist": f"{genre} {number // 2}",
            "path": f"{genre}.{number}.wav",
        }
        for genre in GENRES
        for number in range(4)
    ]
).assign(group=lambda table: table["artist"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """models/ and data/synthetic/, in the working directory."""
    path = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        make_model(Path("models"))
        Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        data = Path("data", "synthetic")
        (data / "raw").mkdir(parents=True)
        for seed, name in enumerate(TRACKS["path"]):
            soundfile.write(data / "raw" / name, make_music(duration=3, sample_rate=RATE, seed=seed), RATE)
        files.write_parquet(
            data / "catalog.parquet", [make_catalog(TRACKS.to_dict("records"))], tables.CATALOG
        )
        audit = [
            {"track_id": name, "reasons": [], "duplicate_group": None, "excluded": None}
            for name in TRACKS["track_id"]
        ]
        files.write_parquet(
            data / "audit.parquet", [tables.pa.Table.from_pylist(audit, schema=tables.AUDIT)], tables.AUDIT
        )
        sides = ["train" if name.startswith("rock") else "test" for name in TRACKS["track_id"]]
        rows = zip(TRACKS["track_id"], sides, [None] * len(sides), strict=True)
        files.write_csv(data / "split.csv", ["track_id", "split", "reason"], rows)
        yield path


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["robustness", *arguments])


def test_untouched_audio_is_predicted_as_predict_does_and_the_change_is_heard(folder: Path) -> None:
    predictor = Predictor(Path("models"))
    quiet = {"silent": lambda samples, sample_rate, rng: 0 * samples, "same": lambda samples, *_: samples}
    silent, same = measure.measure(predictor, TRACKS, Path("data/synthetic/raw"), changes=quiet)
    assert same.comparison.identical and same.comparison.accuracy.value == 0
    expected = [
        max(of.probabilities, key=of.probabilities.__getitem__) == genre
        for genre, name in zip(TRACKS["genre"], TRACKS["path"], strict=True)
        for of in [predictor(Path("data/synthetic/raw", name))]
    ]
    assert silent.comparison.a.num_correct == sum(expected)
    assert silent.comparison.a.name == UNTOUCHED and silent.comparison.num_groups == 6
    assert silent.comparison.b.num_correct == 4  # silence is one genre, whatever it was


def test_the_command_hears_the_test_tracks_alone_and_repeats_itself(tmp_path: Path) -> None:
    first, again = run("--csv", str(tmp_path / "r.csv")), run()
    assert first.exit_code == 0 and first.stdout == again.stdout
    assert "over 8 tracks of 4 artists" in first.stdout and "noise, 10 dB" in first.stdout
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert [row["change"] for row in rows] == list(measure.CHANGES)
    for row in rows:
        low, value, high = (float(row[f"difference{part}"]) for part in ("_low", "", "_high"))
        assert low <= value <= high and row["num_tracks"] == "8"
        assert value == pytest.approx((int(row["num_gained"]) - int(row["num_lost"])) / 8, abs=1e-6)


def test_markdown_is_a_table() -> None:
    lines = run("--md").stdout.splitlines()
    assert "| audio | accuracy in % | points of difference | p | gained | lost |" in lines
    assert sum(line.startswith("| ") for line in lines) == 3 + len(measure.CHANGES)  # header, rule, untouched


def test_what_cannot_be_measured_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(Path("models"))
    with pytest.raises(GenreproError, match=r"does not know the genre polka"):
        measure.measure(predictor, TRACKS.assign(genre="polka"), Path("data/synthetic/raw"))
    (tmp_path / "blues.0.wav").write_bytes(b"no music")
    with pytest.raises(GenreproError, match=r"blues\.0\.wav: undecodable"):
        measure.measure(predictor, TRACKS, tmp_path)
    predictor.description = {**predictor.description, "mel": {"kind": "picture"}}
    with pytest.raises(GenreproError, match="needs a model of log-mel spectrograms"):
        measure.measure(predictor, TRACKS, tmp_path)
    assert np.isfinite(predictor.description["mean"])
