"""Claims about pictures: Kaggle's layout gives back its levels, and nothing else passes for it."""

import struct
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from genrepro.spectrogram import pictures

NUM_ROWS, NUM_COLUMNS = 218, 336  # rows 35-252 and columns 54-389


def draw(levels: np.ndarray, *, colormap: str = "magma") -> np.ndarray:
    """A picture [shape=(288, 432, 4), dtype=uint8] as matplotlib left it on Kaggle: the ring is blended."""
    colours = np.round(matplotlib.colormaps[colormap](levels)[..., :3] * 255)
    ring = np.ones(levels.shape, bool)
    ring[1:-1, 1:-1] = False
    colours[ring] = (colours[ring] + 255) / 2
    pixels = np.full((288, 432, 4), 255, np.uint8)
    pixels[35:253, 54:390, :3] = colours
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (NUM_ROWS, NUM_COLUMNS)).astype(np.uint8)


def refusal(path: Path) -> str:
    with pytest.raises(pictures.NotASpectrogramError) as caught:
        pictures.read_png(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture_gives_back_its_levels(tmp_path: Path, levels: np.ndarray) -> None:
    spectrogram = pictures.read_png(save(tmp_path / "a.png", draw(levels)))
    assert (spectrogram.shape, spectrogram.dtype) == ((NUM_COLUMNS, NUM_ROWS), np.float32)
    # Level 0 is -80 dB, level 255 is 0 dB; the picture has time along x and low bands at the bottom.
    expected = (levels[::-1].T / 255 - 1) * 80
    np.testing.assert_allclose(spectrogram[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-4)


def test_blended_pixels_take_their_neighbours_level(tmp_path: Path, levels: np.ndarray) -> None:
    spectrogram = pictures.read_png(save(tmp_path / "a.png", draw(levels)))
    np.testing.assert_array_equal(spectrogram, np.pad(spectrogram[1:-1, 1:-1], 1, mode="edge"))


def test_every_level_of_the_map_is_told_apart() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colours = np.round(matplotlib.colormaps["magma"](levels)[..., :3] * 255).astype(np.uint8)
    np.testing.assert_array_equal(pictures.invert_magma(colours), levels)


def test_the_description_says_that_336_columns_are_30_seconds() -> None:
    assert pictures.describe() == {"kind": "picture", "frame_rate": pytest.approx(11.2), "top_db": 80.0}


def test_another_colour_map_is_refused(tmp_path: Path, levels: np.ndarray, subtests: pytest.Subtests) -> None:
    for colormap in ["viridis", "gray", "inferno", "plasma"]:
        with subtests.test(colormap=colormap):
            path = save(tmp_path / "a.png", draw(levels, colormap=colormap))
            assert "no colour of the magma map" in refusal(path)


def test_a_photograph_is_refused_for_its_frame(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (288, 432, 3)).astype(np.uint8)
    assert refusal(save(tmp_path / "a.png", noise)) == "no white frame"


def test_a_framed_photograph_is_refused_for_its_colours(tmp_path: Path) -> None:
    pixels = draw(np.zeros((NUM_ROWS, NUM_COLUMNS), np.uint8))
    pixels[35:253, 54:390, :3] = np.random.default_rng(0).integers(0, 256, (NUM_ROWS, NUM_COLUMNS, 3))
    assert "no colour of the magma map" in refusal(save(tmp_path / "a.png", pixels))


def test_an_empty_frame_is_refused(tmp_path: Path) -> None:
    pixels = np.full((288, 432, 4), 255, np.uint8)
    assert "100% of its pixels have no colour" in refusal(save(tmp_path / "a.png", pixels))


def test_another_size_is_refused_with_both_sizes(tmp_path: Path, levels: np.ndarray) -> None:
    assert refusal(save(tmp_path / "a.png", draw(levels)[:, :400])) == "400 x 288 pixels, not 432 x 288"


def test_a_transparent_picture_is_refused(tmp_path: Path, levels: np.ndarray) -> None:
    pixels = draw(levels)
    pixels[100, 100, 3] = 254
    assert refusal(save(tmp_path / "a.png", pixels)) == "transparent pixels"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
BOMB = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
RIGHT = struct.pack(">IIBBBBB", 432, 288, 8, 6, 0, 0, 0)


def test_what_is_no_picture_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for content in [
        b"",
        b"not a picture",
        SIGNATURE + chunk(b"IHDR", RIGHT[:8]) + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", RIGHT) + chunk(b"IDAT", b"rubbish") + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IHDR", BOMB) + chunk(b"IEND", b""),
    ]:
        with subtests.test(content=content):
            (tmp_path / "a.png").write_bytes(content)
            assert "not readable as a picture" in refusal(tmp_path / "a.png")


def test_a_truncated_picture_is_refused(tmp_path: Path, levels: np.ndarray) -> None:
    path = save(tmp_path / "a.png", draw(levels))
    path.write_bytes(path.read_bytes()[:20_000])
    assert "not readable as a picture" in refusal(path)
