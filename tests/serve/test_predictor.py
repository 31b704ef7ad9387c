"""Claims about `genrepro predict`: what evaluate said of a track, and of its windows."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support.builders import GENRES, alone, make_mel_params, make_music, make_params, make_split
from typer.testing import CliRunner, Result

from genrepro import models
from genrepro.base import files, tables
from genrepro.base.errors import GenreproError
from genrepro.cli import app
from genrepro.evaluate import scores as evaluation
from genrepro.features import packing
from genrepro.models.shared import batches, checkpoint, inputs, segments, voting
from genrepro.serve.predictor import Prediction, Predictor, windows
from genrepro.spectrogram import mel

RATE = 8000  # Hz
MEL = make_mel_params()  # 62.5 frames/s, pooled by 6 to 10.4
SEGMENTS = {"duration": 1.0, "vote_duration": 3.0, "num_segments": 1, "max_frame_rate": 12.0, "max_mels": 16}


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model of sounds on disk, and what the evaluate stage says of it."""

    folder: Path
    """Holds models/, and raw/ with a WAV of 3 s a track."""
    scores: evaluation.Scores
    packed: inputs.Features
    split: pd.DataFrame


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    genre = {f"{name}.{number}": name for name in GENRES for number in range(4)}
    split = make_split(
        {track_id: ("train", "validation", "test", "test")[int(track_id[-1])] for track_id in genre}
    )
    rows = []
    for seed, track_id in enumerate(sorted(genre)):
        path = write_sound(folder / "raw" / f"{track_id}.wav", duration=3.0, seed=seed)
        samples, _ = soundfile.read(path, dtype="float32")
        spectrogram = mel.log_mel(samples, params=MEL)
        rows.append(
            {
                "track_id": track_id,
                "mel": tables.pack_mel(spectrogram),
                "num_frames": len(spectrogram),
                "num_mels": spectrogram.shape[1],
                "fault": None,
            }
        )
    contract = tables.with_mel_description(mel.describe(MEL))
    files.write_parquet(
        folder / "mel.parquet", [tables.pa.Table.from_pylist(rows, schema=contract)], contract
    )
    packed = packing.pack(
        folder / "mel.parquet",
        genre=pd.Series(genre),
        split=split,
        params=make_params(segments=SEGMENTS).segments,
    )
    inputs.save(packed, folder / "features")
    packed = inputs.load(folder / "features")  # with the hash that the model names
    torch.manual_seed(0)
    section = {"channels": [4, 8], "dropout": 0.0}
    description = checkpoint.describe(
        model="cnn", section=section, features=packed.description, split_sha256="of the split"
    )
    model = models.build("cnn", section, num_genres=3, inputs=description)
    model(torch.randn(8, 1, 16, 20))  # so that the batch statistics are not those of the start
    checkpoint.save(folder / "models", model.state_dict(), description)
    scores = evaluation.run(
        model, description, packed, split, group=alone(split), params=make_params().evaluate
    )
    return Trained(folder=folder, scores=scores, packed=packed, split=split)


def write_sound(path: Path, *, duration: float, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, make_music(duration=duration, sample_rate=RATE, seed=seed), RATE)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def json_lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_track_is_predicted_as_it_was_evaluated(trained: Trained) -> None:
    predictor = Predictor(trained.folder / "models")
    table = trained.scores.predictions
    assert len(table) == 6 and len(set(table["blues"])) > 1
    for row in table.to_dict("records"):
        predicted = predictor(trained.folder / "raw" / f"{row['track_id']}.wav").probabilities
        assert {genre: f"{value:.4f}" for genre, value in predicted.items()} == {g: row[g] for g in GENRES}


def test_windows_are_the_segments_that_evaluate_scored(trained: Trained) -> None:
    predictor = Predictor(trained.folder / "models")
    test = segments.spans(trained.packed.index, trained.split, side="test", genres=GENRES)
    cutter = batches.Cutter(trained.packed.frames, device=torch.device("cpu"))
    short = batches.FixedSegments(cutter, segments.cut(test, trained.packed.description, role="grid"))
    expected = voting.segment_probabilities(predictor.model, short)
    for position, track_id in enumerate(test.track_ids):
        over_time = predictor(trained.folder / "raw" / f"{track_id}.wav").over_time
        got = np.array([list(window.probabilities.values()) for window in over_time])
        np.testing.assert_allclose(got, expected[short.track == position], atol=1e-6)
        correct = got.argmax(1) == GENRES.index(track_id.split(".")[0])
        assert correct.mean() == (short.label == expected.argmax(1))[short.track == position].mean()


def test_windows_lie_side_by_side_and_end_with_the_file(trained: Trained, tmp_path: Path) -> None:
    prediction = Predictor(trained.folder / "models")(write_sound(tmp_path / "a.wav", duration=7.5))
    starts, ends = ([getattr(window, edge) for window in prediction.over_time] for edge in ("start", "end"))
    assert starts[0] == 0 and ends[-1] == pytest.approx(7.5, abs=0.1)
    assert len(starts) == 8 and starts == sorted(starts)
    np.testing.assert_allclose(np.subtract(ends, starts), 1.0, atol=0.05)
    assert all(start <= end for start, end in zip(starts[1:], ends, strict=False))  # nothing goes unheard
    for window in prediction.over_time:
        assert sum(window.probabilities.values()) == pytest.approx(1) and list(window.probabilities) == GENRES


def test_windows_of_ten_seconds() -> None:
    for num_frames, starts in [
        (323, [0, 108, 215]),
        (324, [0, 108, 216]),
        (330, [0, 111, 222]),
        (108, [0]),
        (150, [0, 42]),
        (109, [0]),
    ]:
        # 30 s at 10.77 Hz are 323 frames; GTZAN's longest clip, 30.6 s, has 330 and still three windows.
        got, width = windows(num_frames, 108)
        assert (got.tolist(), width) == (starts, 108)


def test_windows_stay_inside_any_file_and_no_two_are_the_same() -> None:
    for num_frames in range(1, 40):
        for window_frames in [1, 2, 7, 30]:
            starts, width = windows(num_frames, window_frames)
            assert width == min(window_frames, num_frames)
            assert starts[0] == 0 and starts[-1] + width <= num_frames
            assert (np.diff(starts) > 0).all() and (np.diff(starts) <= 1.1 * width + 1).all()
            assert num_frames - (starts[-1] + width) <= 0.1 * width


def test_a_file_shorter_than_a_window_is_one_window(
    trained: Trained, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for duration in (0.001, 0.05, 0.4):
        with subtests.test(duration=duration):
            path = write_sound(tmp_path / "short.wav", duration=duration)
            prediction = Predictor(trained.folder / "models")(path)
            (window,) = prediction.over_time
            assert window.start == 0 < window.end <= max(0.1, duration)
            assert window.probabilities == pytest.approx(
                prediction.probabilities
            )  # the vote heard no more than that
            done = run(path, "--model", trained.folder / "models")
            assert done.exit_code == 0 and "\n  0:00-0:01 " in done.stdout


def test_json_holds_the_track_and_its_windows(trained: Trained, tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{seed}.wav", duration=2.0 + seed, seed=seed) for seed in (0, 1)]
    done = run("--format", "jsonl", "--model", trained.folder / "models", *paths)
    assert done.exit_code == 0
    predictor = Predictor(trained.folder / "models")
    for path, line in zip(paths, json_lines(done), strict=True):
        expected: Prediction = predictor(path)
        assert line == {
            "file": str(path),
            "probabilities": expected.probabilities,
            "over_time": [
                {"start": window.start, "end": window.end, "probabilities": window.probabilities}
                for window in expected.over_time
            ],
        }
        assert len(line["over_time"]) > 1


def test_people_read_the_three_likeliest_of_the_track_and_of_each_window(trained: Trained) -> None:
    path = trained.folder / "raw" / "rock.2.wav"
    done = run(path, "--model", trained.folder / "models")
    prediction = Predictor(trained.folder / "models")(path)

    def ranked(probabilities: dict[str, float]) -> str:
        names = sorted(probabilities, key=lambda name: probabilities[name], reverse=True)
        return ", ".join(f"{name} {probabilities[name]:.2f}" for name in names)

    times = ["0:00-0:01", "0:01-0:02", "0:02-0:03"]
    assert done.stdout.splitlines() == [
        f"{path}: {ranked(prediction.probabilities)}",
        *(
            f"  {time} {ranked(window.probabilities)}"
            for time, window in zip(times, prediction.over_time, strict=True)
        ),
    ]


def test_minutes_are_shown(trained: Trained, tmp_path: Path) -> None:
    done = run(write_sound(tmp_path / "a.wav", duration=65.0), "--model", trained.folder / "models")
    assert done.stdout.splitlines()[-1].startswith("  1:04-1:05 ")


def test_what_cannot_be_read_gets_a_sentence_and_the_rest_is_done(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no music at all" * 100)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    good = trained.folder / "raw" / "blues.2.wav"
    bad = [
        tmp_path / "absent.wav",
        tmp_path / "folder",
        tmp_path / "noise.wav",
        tmp_path / "empty.wav",
        good / "inside.wav",
    ]
    done = run("--format", "jsonl", "--model", trained.folder / "models", *bad, good)
    assert done.exit_code == 1
    assert [line["file"] for line in json_lines(done)] == [str(good)]
    worth, *complaints = done.stderr.splitlines()
    assert worth == "model: cnn"
    assert len(complaints) == len(bad)
    wanted = [
        "does not exist",
        "is a folder",
        "undecodable",
        "undecodable",
        "cannot be read: Not a directory",
    ]
    for path, words, complaint in zip(bad, wanted, complaints, strict=True):
        assert complaint.startswith(f"genrepro: {path}") and words in complaint and complaint.endswith(".")


def test_a_sound_is_refused_by_a_model_of_pictures(trained: Trained, tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.json"):
        (tmp_path / name).write_bytes((trained.folder / "models" / name).read_bytes())
    description = files.read_json(tmp_path / "model.json")
    files.write_json(tmp_path / "model.json", {**description, "mel": {"kind": "picture"}})
    with pytest.raises(GenreproError, match=r"blues\.0\.wav: not readable as a picture"):
        Predictor(tmp_path)(trained.folder / "raw" / "blues.0.wav")


def test_without_files_the_usage_is_shown(trained: Trained) -> None:
    done = run("--model", trained.folder / "models")
    assert done.exit_code == 2 and "missing argument 'files" in done.stderr.lower()


def test_an_incomplete_model_folder_is_named_before_any_file_is_read(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in ["model.json", "model.safetensors"]:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            for kept in {"model.json", "model.safetensors"} - {name}:
                (tmp_path / kept).write_bytes((trained.folder / "models" / kept).read_bytes())
            done = run("absent.wav", "--model", tmp_path)
            assert done.exit_code == 1
            assert f"{tmp_path / name} is missing" in done.output and len(done.output.splitlines()) == 1


def test_a_name_that_is_no_text_is_printed_and_the_rest_is_done(
    trained: Trained, tmp_path: Path, warm: Path
) -> None:
    """A process of its own: only there does Python choose how its output is encoded. The second is a fork."""
    sound = write_sound(tmp_path / "b.wav", duration=2.0)
    latin = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    shutil.copy(os.fsencode(sound), latin)
    missing = os.fsencode(tmp_path) + b"/na\xefve.wav"
    for python, option in ((sys.executable, []), (warm / "python", ["--format", "jsonl"])):
        command = [python, "-m", "genrepro", "predict", latin, missing, sound, *option]
        done = subprocess.run(command, cwd=trained.folder, capture_output=True, check=False)
        lines = [line for line in done.stdout.splitlines() if not line.startswith(b"  ")]
        assert done.returncode == 1 and len(lines) == 2, done.stderr
        assert b"caf\\udce9.wav" in lines[0] and b"b.wav" in lines[1]
        assert done.stderr.splitlines()[1:] == [
            b"genrepro: " + os.fsencode(tmp_path) + b"/na\\udcefve.wav does not exist."
        ]
