"""Claims about data sets of Hugging Face: bytes arrive as they are, columns are found, nothing is guessed."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from support.builders import ROOT, make_params
from support.hub import COMMIT, Hub
from support.layouts import make_audio

from genrepro import catalog
from genrepro.base.errors import GenreproError
from genrepro.datasets import IDENTITY, hub

CLIPS = [make_audio(seed=seed, duration=0.1, kind=kind) for seed, kind in enumerate(["WAV", "FLAC", "MP3"])]
GENRES = ["folk", "rock"]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
BYTES = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


@pytest.fixture(autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> None:
    datasets.disable_progress_bars()


def table(
    clips: Iterable[bytes | None] = CLIPS,
    *,
    kind: Any = None,
    names: Iterable[str | None] = (),
    **columns: Any,
) -> datasets.Dataset:
    """A data set with its media embedded, as `datasets` writes it."""
    clips = list(clips)
    given = list(names) or [None] * len(clips)
    media = [{"bytes": clip, "path": name} for clip, name in zip(clips, given, strict=True)]
    columns = columns or {"genre": [index % 2 for index in range(len(clips))]}
    features = {
        name: datasets.ClassLabel(names=GENRES) if isinstance(values[0], int) else datasets.Value("string")
        for name, values in columns.items()
    }
    made = datasets.Dataset.from_dict(
        {"audio": media, **columns}, features=datasets.Features({"audio": BYTES, **features})
    )
    return made.cast_column("audio", kind or datasets.Audio())


def parquet(folder: Path, **splits: datasets.Dataset) -> Path:
    folder.mkdir()
    for split, made in splits.items():
        made.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def acquire(source: Path | str, raw: Path, **columns: str) -> pd.DataFrame:
    raw.mkdir()
    hub.acquire(params=make_params(dataset="hub", source=str(source), hub=columns), raw=raw)
    return hub.read_catalog(raw)


def test_embedded_bytes_arrive_as_they_are(tmp_path: Path) -> None:
    source = parquet(tmp_path / "mine", train=table(names=["a.wav", "b/c.FLAC", None]))
    found = acquire(source, tmp_path / "raw")
    assert tuple(found.columns) == IDENTITY
    assert found["path"].tolist() == ["train/000000.wav", "train/000001.flac", "train/000002.mp3"]
    assert [(tmp_path / "raw" / path).read_bytes() for path in found["path"]] == CLIPS
    assert found["genre"].tolist() == ["folk", "rock", "folk"]
    assert found[["artist", "album", "title", "official_split", "fault"]].isna().all(axis=None)


def test_the_catalog_reads_what_was_streamed(tmp_path: Path) -> None:
    found = acquire(parquet(tmp_path / "mine", train=table()), tmp_path / "raw")
    built = catalog.build(found, tmp_path / "raw", num_workers=1)
    assert built["fault"].null_count == 3
    assert built["sample_rate"].to_pylist() == [22050, 22050, 44100]


def test_names_of_columns_are_found_whatever_their_case(tmp_path: Path) -> None:
    made = table(Genre=["rock", "1970", "NA"], Artist=["Ann", None, "Zoë"], Title=["a", "b", "c"])
    found = acquire(parquet(tmp_path / "mine", train=made), tmp_path / "raw")
    assert found["genre"].tolist() == ["rock", "1970", "NA"]
    assert found["artist"].tolist() == ["Ann", None, "Zoë"]
    assert found["title"].tolist() == ["a", "b", "c"]


def test_named_columns_win_and_none_means_none(tmp_path: Path) -> None:
    made = table(genre=["a", "b", "c"], style=["x", "y", "z"], artist=["1", "2", "3"], singer=["p", "q", "r"])
    source = parquet(tmp_path / "mine", train=made)
    found = acquire(source, tmp_path / "raw1", label="style", artist="singer")
    assert (found["genre"].tolist(), found["artist"].tolist()) == (["x", "y", "z"], ["p", "q", "r"])
    assert acquire(source, tmp_path / "raw2", artist="none")["artist"].isna().all()


def test_several_splits_are_the_official_split_and_a_single_one_is_not(tmp_path: Path) -> None:
    several = tmp_path / "mine"
    splits = dict.fromkeys(("train", "validation", "test", "extra"), table())
    datasets.DatasetDict(splits).save_to_disk(several)
    found = acquire(several, tmp_path / "raw1")
    of = {
        track.split("/")[0]: side
        for track, side in zip(found["track_id"], found["official_split"], strict=True)
    }
    assert of == {"train": "train", "validation": "validation", "test": "test", "extra": None}
    assert acquire(parquet(tmp_path / "one", train=table()), tmp_path / "raw2")["official_split"].isna().all()


def test_a_column_tells_the_split(tmp_path: Path) -> None:
    made = table(genre=["a", "b", "c"], split=["Train", "val", "testing"])
    source = parquet(tmp_path / "mine", train=made)
    assert acquire(source, tmp_path / "raw1")["official_split"].tolist() == ["train", "validation", "test"]
    assert acquire(source, tmp_path / "raw2", split="none")["official_split"].isna().all()


def test_rows_without_bytes_or_label_are_counted(tmp_path: Path) -> None:
    made = table([CLIPS[0], None, CLIPS[2]], genre=[-1, 0, 1])
    raw = tmp_path / "raw"
    found = acquire(parquet(tmp_path / "mine", train=made), raw)
    assert found["fault"].tolist() == ["no_genre", "missing", None]
    counts = catalog.summary(found, catalog.build(found, raw, num_workers=1))
    assert (counts["num_tracks"], counts["num_missing"], counts["num_left_out_no_genre"]) == (2, 1, 1)


def test_pictures_are_png_or_counted(tmp_path: Path) -> None:
    made = table([PNG, b"\xff\xd8\xff" + bytes(9), PNG], kind=datasets.Image())
    found = acquire(parquet(tmp_path / "mine", train=made), tmp_path / "raw")
    assert found["path"].tolist() == ["train/000000.png", "train/000001.jpg", "train/000002.png"]
    assert found["fault"].tolist() == [None, "not_a_spectrogram: a JPEG picture", None]


def test_a_table_that_pandas_wrote_says_nothing_of_audio_and_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    plain = pd.DataFrame({"clip": [{"bytes": clip, "path": "x"} for clip in CLIPS], "label": ["a", "b", "a"]})
    plain.to_parquet(tmp_path / "mine" / "train.parquet")
    assert acquire(tmp_path / "mine", tmp_path / "raw1")["genre"].tolist() == ["a", "b", "a"]
    found = acquire(tmp_path / "mine" / "train.parquet", tmp_path / "raw2")
    assert [(tmp_path / "raw2" / path).read_bytes() for path in found["path"]] == CLIPS


def test_an_audiofolder_and_a_saved_data_set_are_read(tmp_path: Path) -> None:
    for genre in GENRES:
        (tmp_path / "audio" / genre).mkdir(parents=True)
        (tmp_path / "audio" / genre / "one.wav").write_bytes(CLIPS[0])
    found = acquire(tmp_path / "audio", tmp_path / "raw1")
    assert found["genre"].tolist() == GENRES
    assert (tmp_path / "raw1" / found["path"][1]).read_bytes() == CLIPS[0]
    datasets.DatasetDict(train=table(), test=table()).save_to_disk(tmp_path / "saved")
    assert (
        acquire(tmp_path / "saved", tmp_path / "raw2")["official_split"].tolist()
        == ["train"] * 3 + ["test"] * 3
    )


def test_a_folder_of_links_as_the_hubs_cache_is_one_is_read(tmp_path: Path) -> None:
    for genre in GENRES:
        (tmp_path / "snapshot" / genre).mkdir(parents=True)
        (tmp_path / f"{genre}.blob").write_bytes(CLIPS[0])
        (tmp_path / "snapshot" / genre / "one.wav").symlink_to(tmp_path / f"{genre}.blob")
    assert acquire(tmp_path / "snapshot", tmp_path / "raw")["fault"].isna().all()


def test_a_table_cannot_name_other_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(CLIPS[0])
    names = [str(tmp_path / "secret.wav"), str(tmp_path / "mine" / ".." / "secret.wav"), None]
    made = table([None, None, CLIPS[1]], names=names)
    found = acquire(parquet(tmp_path / "mine", train=made), tmp_path / "raw")
    assert found["fault"].tolist() == ["missing", "missing", None]


@pytest.mark.parametrize(
    ("columns", "made", "words"),
    [
        ({"label": "style"}, {"genre": ["a"]}, "hub.label = 'style' is not a column: there are audio, genre"),
        ({"audio": "genre2"}, {"genre": ["a"]}, "hub.audio = 'genre2' is not a column"),
        ({"label": "audio"}, {"genre": ["a"]}, "does not hold one text"),
        ({}, {"mood": ["a"]}, "names the genre"),
        ({}, {"mood": [0], "tempo": [1]}, "names the genre"),
        ({}, {"genre": ["a"], "split": ["holdout"]}, "says 'holdout'"),
    ],
)
def test_columns_that_are_not_clear_are_one_sentence(
    tmp_path: Path, columns: dict[str, str], made: dict[str, list], words: str
) -> None:
    source = parquet(tmp_path / "mine", train=table(CLIPS[:1], **made))
    with pytest.raises(GenreproError, match=words) as caught:
        acquire(source, tmp_path / "raw", **columns)
    assert "\n" not in str(caught.value)


def test_two_columns_of_audio_are_one_sentence(tmp_path: Path) -> None:
    media = [{"bytes": clip, "path": None} for clip in CLIPS[:2]]
    both = {"mix": media, "vocals": media[::-1], "genre": GENRES}
    features = datasets.Features({"mix": BYTES, "vocals": BYTES, "genre": datasets.Value("string")})
    source = parquet(tmp_path / "mine", train=datasets.Dataset.from_dict(both, features=features))
    with pytest.raises(GenreproError, match="mix and vocals may be audio or pictures: name one"):
        acquire(source, tmp_path / "raw1")
    found = acquire(source, tmp_path / "raw2", audio="vocals")
    assert (tmp_path / "raw2" / found["path"][0]).read_bytes() == CLIPS[1]


@pytest.mark.parametrize("content", [b"PAR1 and no more", b"", b"<html>"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.parquet").write_bytes(content)
    with pytest.raises(GenreproError, match="cannot be read by the library"):
        acquire(tmp_path / "mine", tmp_path / "raw")


def test_a_name_that_is_neither_a_folder_nor_an_id_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="does not exist"):
        acquire(tmp_path / "nowhere", tmp_path / "raw")
    with pytest.raises(GenreproError, match="-S source="):
        hub.acquire(params=make_params(dataset="hub"), raw=tmp_path)


FROM_LOOPBACK = """
import pathlib, sys
from support.builders import make_params
from genrepro.base.errors import GenreproError
from genrepro.datasets import hub

for source, revision, raw in zip(*[iter(sys.argv[1:])] * 3):
    pathlib.Path(raw).mkdir()
    params = make_params(dataset="hub", source=source, hub={"revision": revision})
    try:
        hub.acquire(params=params, raw=pathlib.Path(raw))
        print("acquired")
    except GenreproError as error:
        print(error)
"""


def from_loopback(served: Hub, home: Path, *asked: tuple[str, str, Path], python: Path) -> list[str]:
    """What becomes of each source, revision and folder: "acquired", or a sentence.

    In a process of its own: the libraries read HF_ENDPOINT when they are imported.
    """
    env = {
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(home),
        "no_proxy": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
    }
    done = subprocess.run(
        [python, "-c", FROM_LOOPBACK, *(str(value) for each in asked for value in each)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_data_set_of_the_hub_is_streamed_from_the_commit_that_is_named(tmp_path: Path, warm: Path) -> None:
    folder = parquet(tmp_path / "mine", train=table(), test=table())
    files = {f"data/{path.name}": path.read_bytes() for path in folder.iterdir()}
    loose = {f"{genre}/one.wav": CLIPS[0] for genre in GENRES}
    with Hub({"me/embedded": files | {"README.md": b"# mine\n"}, "me/loose": loose}) as served:
        embedded, separate, nothing, unknown = from_loopback(
            served,
            tmp_path / "home",
            ("me/embedded", COMMIT, tmp_path / "embedded"),
            ("https://huggingface.co/datasets/me/loose", "main", tmp_path / "loose"),
            ("me/nothing", "main", tmp_path / "nothing"),
            ("me/embedded", "v2", tmp_path / "unknown"),
            python=warm / "python",
        )
    assert embedded == separate == "acquired"
    for name, num_rows in (("embedded", 6), ("loose", 2)):
        raw = tmp_path / name
        found = hub.read_catalog(raw)
        assert len(found) == num_rows and found["fault"].isna().all()
        assert {(raw / path).read_bytes() for path in found["path"]} <= set(CLIPS)
    assert nothing.startswith("source = ") and unknown.startswith("source = ")
