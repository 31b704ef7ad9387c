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


def test_a_member_that_climbs_out_of_the_archive_is_refused(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "archive.zip", ("../../../blues/blues00000.png",))
    assert "climbs out of the folder" in complaint(source, tmp_path / "raw")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "raw"]


@pytest.mark.parametrize(
    "names", [("blues00000.png",), ("blues/rock00000.png",), ("polka/polka00000.png",), ("blues/blues0.png",)]
)
def test_another_layout_is_refused_with_the_right_one(tmp_path: Path, names: tuple[str, ...]) -> None:
    message = complaint(write_folder(tmp_path / "source", names), tmp_path / "raw")
    assert "holds no picture named <genre>/<genre>NNNNN.png" in message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    assert "empty folder" in complaint(tmp_path / "source", tmp_path / "raw")


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in complaint(tmp_path / "nowhere.zip", tmp_path / "raw")


def test_source_auto_says_how_to_get_the_pictures(tmp_path: Path) -> None:
    message = complaint("auto", tmp_path / "raw")
    assert "andradaolteanu/gtzan-dataset-music-genre-classification" in message and "source=" in message


def test_text_named_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_text("<html>please log in</html>")
    message = complaint(tmp_path / "archive.zip", tmp_path / "raw")
    assert "neither a folder nor a zip or tar archive: it begins like an HTML page" in message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    assert "empty file" in complaint(tmp_path / "archive.zip", tmp_path / "raw")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    source = write_archive(tmp_path / "archive.zip", NAMES)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(share * len(whole))])
    assert "is cut off or damaged" in complaint(source, tmp_path / "raw")


@pytest.mark.parametrize("first", [45, 2000])
def test_an_archive_with_damaged_content_is_refused(tmp_path: Path, first: int) -> None:
    # At the head of the compressed stream the decompressor stumbles, further on only the checksum does.
    source = write_archive(tmp_path / "archive.zip", NAMES)
    whole = bytearray(source.read_bytes())
    start = whole.index(b"blues00000.png") + len("blues00000.png") + first - 45
    whole[start : start + 20] = bytes(255 - byte for byte in whole[start : start + 20])
    source.write_bytes(whole)
    assert "is cut off or damaged" in complaint(source, tmp_path / "raw")


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "archive.zip", NAMES)
    whole = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag "encrypted", twice a member
        at = whole.find(signature)
        while at >= 0:
            whole[at + offset] |= 1
            at = whole.find(signature, at + 4)
    source.write_bytes(whole)
    assert "password required" in complaint(source, tmp_path / "raw")


@pytest.mark.parametrize("packed", [False, True])
def test_the_same_picture_twice_is_refused(tmp_path: Path, packed: bool) -> None:
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
