"""Claims about taking in Kaggle's pictures: archive or folder, and a sentence for everything else."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.builders import make_params

from genrepro import datasets
from genrepro.base.errors import GenreproError
from genrepro.datasets import gtzan_images

NAMES = ("blues/blues00000.png", "blues/blues00001.png", "jazz/jazz00053.png", "rock/rock00099.png")
PICTURE = b"\x89PNG" + np.random.default_rng(0).bytes(5000)  # taken in as it is: nobody looks inside yet


def write_folder(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE + name.encode())
    return folder


def write_archive(path: Path, names: tuple[str, ...]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, PICTURE + "/".join(Path(name).parts[-2:]).encode())
    return path


def acquire(source: Path | str, raw: Path) -> dict[str, bytes]:
    """What lands below raw/, by its place there."""
    raw.mkdir(exist_ok=True)
    gtzan_images.acquire(params=make_params(dataset="gtzan_images", source=str(source)), raw=raw)
    return {path.relative_to(raw).as_posix(): path.read_bytes() for path in raw.rglob("*") if path.is_file()}


def complaint(source: Path | str, raw: Path) -> str:
    with pytest.raises(GenreproError) as caught:
        acquire(source, raw)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


EXPECTED = {name: PICTURE + name.encode() for name in NAMES}


def test_a_folder_is_copied_as_it_is(tmp_path: Path) -> None:
    assert acquire(write_folder(tmp_path / "source"), tmp_path / "raw") == EXPECTED


def test_an_archive_as_kaggle_makes_it_gives_the_pictures_alone(tmp_path: Path) -> None:
    others = ("Data/features_30_sec.csv", "Data/genres_original/blues/blues.00000.wav")
    macs = ("__MACOSX/Data/images_original/blues/._blues00000.png",)
    pictures = tuple(f"Data/images_original/{name}" for name in NAMES)
    source = write_archive(tmp_path / "archive.zip", (*others, *macs, *pictures))
    assert acquire(source, tmp_path / "raw") == EXPECTED


def test_a_folder_above_images_original_will_do(tmp_path: Path) -> None:
    write_folder(tmp_path / "source" / "Data" / "images_original")
    assert acquire(tmp_path / "source", tmp_path / "raw") == EXPECTED


def test_another_layout_is_refused_with_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for names in [
        ("blues00000.png",),
        ("blues/rock00000.png",),
        ("polka/polka00000.png",),
        ("blues/blues0.png",),
    ]:
        with subtests.test(names=names):
            tmp_path = tmp_path_factory.mktemp("case")
            message = complaint(write_folder(tmp_path / "source", names), tmp_path / "raw")
            assert "holds no picture named <genre>/<genre>NNNNN.png" in message


def test_source_auto_says_how_to_get_the_pictures(tmp_path: Path) -> None:
    message = complaint("auto", tmp_path / "raw")
    assert "andradaolteanu/gtzan-dataset-music-genre-classification" in message and "source=" in message


def test_the_same_picture_twice_is_refused(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for packed in [False, True]:
        with subtests.test(packed=packed):
            tmp_path = tmp_path_factory.mktemp("case")
            names = ("one/blues/blues00000.png", "two/blues/blues00000.png")
            if packed:
                source = write_archive(tmp_path / "archive.zip", names)
            else:
                source = write_folder(tmp_path / "source", names)
            assert "blues/blues00000.png twice" in complaint(source, tmp_path / "raw")


def test_a_track_without_a_picture_keeps_its_row(tmp_path: Path) -> None:
    acquire(write_folder(tmp_path / "source"), tmp_path / "raw")
    catalog = gtzan_images.read_catalog(tmp_path / "raw")
    assert list(catalog) == list(datasets.IDENTITY) and len(catalog) == 1000
    rows = catalog.set_index("track_id")
    assert rows.loc["jazz.00053", "path"] == "jazz/jazz00053.png"
    assert pd.isna(rows.loc["jazz.00053", "fault"])
    assert pd.isna(rows.loc["jazz.00054", "path"])
    assert rows.loc["jazz.00054", "fault"] == "missing"
    assert rows.loc["jazz.00054", "official_split"] == "train"
