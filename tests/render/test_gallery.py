"""Claims about the gallery: it shows what it says, and the data alone decide its bytes."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image
from support.builders import make_catalog, write_mels

from genrepro.render.gallery import draw_gallery, write_spectrogram

GALLERY = {"jazz": 5, "rock": 14}


def gallery(folder: Path, *, per_genre: Any, faulty: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file of a gallery drawn below ``folder``, by its place there."""
    tracks = [f"{genre}.{number:05d}" for genre, count in GALLERY.items() for number in range(count)]
    rng = np.random.default_rng(0)
    spectrograms = {
        track_id: None if track_id in faulty else rng.uniform(-80, 0, (20, 8)) for track_id in tracks
    }
    catalog = make_catalog(
        [
            {
                "track_id": track_id,
                "genre": track_id.split(".")[0],
                "artist": "A $trange_name" if number % 2 else None,
            }
            for number, track_id in enumerate(tracks)
        ]
    )
    folder.mkdir(exist_ok=True)
    path = write_mels(folder / "mel.parquet", spectrograms)
    num_drawn = draw_gallery(path, catalog, folder=folder / "png", per_genre=per_genre)
    drawn = {
        file.relative_to(folder / "png").as_posix(): file.read_bytes()
        for file in (folder / "png").rglob("*.png")
    }
    assert num_drawn == sum("/" in name for name in drawn)
    return drawn


def tracks_in(drawn: dict[str, bytes], genre: str) -> list[str]:
    return sorted(name for name in drawn if name.startswith(f"{genre}/"))


def test_a_gallery_has_a_sheet_and_the_tracks_of_each_genre(tmp_path: Path) -> None:
    drawn = gallery(tmp_path, per_genre=3)
    assert set(drawn) == {
        "jazz.png",
        "jazz/jazz.00000.png",
        "jazz/jazz.00002.png",
        "jazz/jazz.00004.png",
        "rock.png",
        *tracks_in(drawn, "rock"),
    }
    # Evenly spread over the genre, first and last among them.
    assert tracks_in(drawn, "rock")[::2] == ["rock/rock.00000.png", "rock/rock.00013.png"]


def test_all_means_all(tmp_path: Path) -> None:
    drawn = gallery(tmp_path, per_genre="all")
    assert {genre: len(tracks_in(drawn, genre)) for genre in GALLERY} == GALLERY


def test_none_means_none(tmp_path: Path) -> None:
    assert gallery(tmp_path, per_genre=0) == {}


def test_what_cannot_be_drawn_is_passed_over(tmp_path: Path) -> None:
    drawn = gallery(tmp_path, per_genre="all", faulty=("jazz.00001", "rock.00000"))
    assert {genre: len(tracks_in(drawn, genre)) for genre in GALLERY} == {"jazz": 4, "rock": 13}


def test_a_gallery_drawn_twice_is_the_same_bytes(tmp_path: Path) -> None:
    one, other = (gallery(tmp_path / name, per_genre=2) for name in ("one", "other"))
    assert one == other


def test_a_spectrogram_has_a_pixel_a_cell_in_magma_and_low_bands_at_the_bottom(tmp_path: Path) -> None:
    spectrogram = np.random.default_rng(0).uniform(-60, 0, (30, 10)).astype(np.float16)
    write_spectrogram(tmp_path / "a" / "b.png", spectrogram, top_db=60.0)
    with Image.open(tmp_path / "a" / "b.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (10, 30, 3)
    for frame, band in ((0, 0), (29, 0), (0, 9), (13, 4)):
        level = 1 + float(spectrogram[frame, band]) / 60
        expected = np.array(matplotlib.colormaps["magma"](level)[:3]) * 255
        np.testing.assert_allclose(pixels[9 - band, frame], expected, atol=1)


def test_no_figure_stays_open(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    gallery(tmp_path, per_genre=1)
    assert plt.get_fignums() == []


def test_two_artists_songs_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    tracks = ["rock/Ann/01", "rock/Bob/01", "Rock/Cyd/01", "rock/...Baby"]
    path = write_mels(tmp_path / "mel.parquet", {name: np.zeros((20, 8)) for name in tracks})
    catalog = make_catalog([{"track_id": name, "genre": "rock"} for name in tracks])
    assert draw_gallery(path, catalog, folder=tmp_path / "png", per_genre="all") == 4
    assert len(list((tmp_path / "png" / "rock").rglob("*.png"))) == 4


def test_no_genre_leads_out_of_the_gallery(tmp_path: Path) -> None:
    """Genres of a table are any text: paths, names longer than a file's, names of one another's files."""
    genres = [
        "../../up",
        "/tmp/absolute",
        "AC/DC",
        "..",
        ".",
        "a",
        "a.png",
        "x" * 300,
        "\u30d2" * 100,
        "c:\\d",
    ]
    genres += ["y" * 250 + "1", "y" * 250 + "2"]
    names = [*(f"0{number}" for number in range(len(genres))), "rock/" + "z" * 252]
    catalog = make_catalog(
        [
            {"track_id": name, "genre": genre, "artist": None}
            for name, genre in zip(names, [*genres, "rock"], strict=True)
        ]
    )
    folder = tmp_path / "in" / "data"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    path = write_mels(folder / "mel.parquet", {name: rng.uniform(-80, 0, (20, 8)) for name in names})
    assert draw_gallery(path, catalog, folder=folder / "png", per_genre="all") == len(names)
    drawn = sorted(file.relative_to(folder / "png") for file in (folder / "png").rglob("*") if file.is_file())
    assert len(drawn) == 2 * len(names)  # a picture and a sheet of each
    assert sorted(path.name for path in tmp_path.rglob("*") if folder / "png" not in path.parents) == [
        "data",
        "in",
        "mel.parquet",
        "png",
    ]
