"""Claims about seed files: 200 bytes stand for a composed track, sample by sample."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.builders import make_params

from genrepro import catalog
from genrepro.base.errors import GenreproError
from genrepro.datasets import composed
from genrepro.datasets.synthesis import seeds
from genrepro.render import render
from genrepro.spectrogram import audio

SMALL: dict[str, Any] = {"artists_per_genre": 3, "tracks_per_artist": 2, "duration": 2.0, "seed": 5}


def corpus(folder: Path, *, files: str) -> Path:
    folder.mkdir()
    params = make_params(dataset="composed", composed=SMALL | {"files": files})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENREPRO_WORKERS", "1")  # new processes would take longer than the music
        composed.acquire(params=params, raw=folder)
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("seeds") / "raw", files="seeds")


@pytest.fixture(scope="module")
def wavs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("wavs") / "raw", files="wav")


def rendered(raw: Path, *, folder: Path) -> tuple[bytes, bytes]:
    folder.mkdir()
    table = catalog.build(composed.read_catalog(raw)[::3], raw, num_workers=1)
    assert table["duration"].to_pylist() == [2.0] * 20
    assert table["sample_rate"].to_pylist() == [22050] * 20
    paths = folder / "mel.parquet", folder / "levels.parquet"
    params = make_params().mel
    render(table, raw=raw, params=params, mel_path=paths[0], levels_path=paths[1], num_workers=1)
    return paths[0].read_bytes(), paths[1].read_bytes()


def test_spectrograms_and_levels_have_the_bytes_of_those_of_the_wavs(
    raw: Path, wavs: Path, tmp_path: Path
) -> None:
    assert rendered(raw, folder=tmp_path / "a") == rendered(wavs, folder=tmp_path / "b")


def test_the_corpus_is_small_and_says_the_same_of_every_track(raw: Path, wavs: Path) -> None:
    files = [path for path in raw.rglob("*") if path.suffix != ".csv" and path.is_file()]
    assert len(files) == 60 and max(path.stat().st_size for path in files) < 250
    known, heard = (composed.read_catalog(folder).drop(columns="path") for folder in (raw, wavs))
    pd.testing.assert_frame_equal(known, heard)
    pd.testing.assert_frame_equal(composed.read_labels(raw), composed.read_labels(wavs))


def test_tracks_may_be_played_in_any_order(raw: Path, wavs: Path) -> None:
    for path in sorted(composed.read_catalog(raw)["path"], reverse=True)[::7]:
        played = audio.decode(raw / path, sample_rate=22050)
        wav = audio.decode((wavs / path).with_suffix(".wav"), sample_rate=22050)
        np.testing.assert_array_equal(played, wav)


def test_a_seed_of_another_composer_stops_the_stage(raw: Path, tmp_path: Path) -> None:
    path = next(raw.rglob("*.seed"))
    old = tmp_path / "old.seed"
    old.write_text(path.read_text().replace(seeds.composer(), "0123456789abcdef"))
    for read in (audio.read_header, lambda path: audio.decode(path, sample_rate=22050)):
        with pytest.raises(GenreproError, match=r"another version of the composer \(0123456789abcdef, here"):
            read(old)


@pytest.mark.parametrize(
    "change",
    [
        {"genre": "polka"},
        {"genre": ["rock"]},
        {"artist": -1},
        {"track": 1.5},
        {"corpus": True},
        {"duration": 0},
        {"duration": 1e-9},
        {"duration": float("nan")},
        {"duration": float("inf")},
        {"duration": "2"},
        {"tempo": 120},
    ],
    ids=str,
)
def test_a_seed_that_is_none_is_undecodable(raw: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.seed"
    path.write_text(json.dumps(json.loads(next(raw.rglob("*.seed")).read_text()) | change))
    refused(path, "no seed of a composed track")


@pytest.mark.parametrize("content", [b"", b"\xff", b"7", b"[]", b"{}", b"null", b"[" * 2000, b"RIFF1234WAVE"])
def test_other_content_is_undecodable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.seed"
    path.write_bytes(content)
    refused(path, "no seed of a composed track")


def test_no_seed_plays_for_longer_than_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "a.seed"
    path.write_bytes(seeds.write(seeds.Seed(genre="rock", artist=0, track=0, duration=1e9, corpus=0)))
    refused(path, "longer than an hour")


def test_the_hash_is_of_all_code_that_makes_the_music() -> None:
    package = Path(seeds.__file__).parents[2]
    for module in [*package.glob("datasets/synthesis/*.py"), *package.glob("exact/*.py")]:
        imported = {
            node.module
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("genrepro")
        }
        outside = {
            name
            for name in imported
            if not name.startswith(("genrepro.datasets.synthesis", "genrepro.exact", "genrepro.base"))
        }
        assert not outside, module


def refused(path: Path, why: str) -> None:
    with pytest.raises(audio.UndecodableError, match=why):
        audio.read_header(path)
    with pytest.raises(audio.UndecodableError, match=why):
        audio.decode(path, sample_rate=22050)
