"""Read spectrograms from pictures: cut off the frame, turn matplotlib's magma colours back into levels.

The layout is that of Kaggle's GTZAN pictures: 288 rows x 432 columns, with the spectrogram in rows 35-252 and
columns 54-389. Its outermost pixels are blended with the frame. How the pictures were drawn is not recorded.
The 256 levels are read as -80 .. 0 dB, librosa's range. By what they show they are the loudest 40 dB, each
counted twice, and rows are Slaney's mel bands up to 11 025 Hz
(docs/decisions/2026-11-27-what-the-pictures-show.md).
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

SIZE = (288, 432)  # rows, columns of the whole picture
ROWS, COLUMNS = slice(35, 253), slice(54, 390)
DURATION = 30.0  # s, of the clip that each picture shows
TOP_DB = 80.0
# At least 95 % of the pixels must lie within this distance (in RGB units) of a magma colour. On all 999 real
# pictures the distance is 0. For the most similar other colour map of matplotlib (inferno) it is 89.
MAX_DISTANCE = 4.0


class NotASpectrogramError(ValueError):
    """The picture is not a framed magma spectrogram. The message says why."""


def read_png(path: Path) -> np.ndarray:
    """Read the spectrogram in a picture file.

    Returns
    -------
    np.ndarray [shape=(336, 218), dtype=float32]
        dB below the maximum, frames x bands, lowest band first.

    Raises
    ------
    NotASpectrogramError
        If the file is not a picture, has another size, is transparent, or has colours other than magma's.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            size = (picture.height, picture.width)
            if size != SIZE:
                raise NotASpectrogramError(f"{size[1]} x {size[0]} pixels, not {SIZE[1]} x {SIZE[0]}")
            pixels = np.asarray(picture.convert("RGBA"))
    except NotASpectrogramError:
        raise
    # PIL raises ValueError for a damaged header, DecompressionBombError for one that claims gigabytes.
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise NotASpectrogramError(f"not readable as a picture ({error})") from error
    if pixels[..., 3].min() < 255:
        raise NotASpectrogramError("transparent pixels")
    frame = np.concatenate([pixels[:10].reshape(-1, 4), pixels[-10:].reshape(-1, 4)])[:, :3]
    if np.mean(frame) < 250:
        raise NotASpectrogramError("no white frame")
    levels = invert_magma(pixels[ROWS, COLUMNS, :3])
    # The pixels next to the frame are blended with white, so they are replaced by their neighbours.
    levels = np.pad(levels[1:-1, 1:-1], 1, mode="edge")
    return np.ascontiguousarray((levels[::-1].T.astype(np.float32) / 255 - 1) * np.float32(TOP_DB))


def describe() -> dict:
    """Describe these spectrograms for their readers."""
    num_frames = COLUMNS.stop - COLUMNS.start
    return {"kind": "picture", "frame_rate": num_frames / DURATION, "top_db": TOP_DB}


def invert_magma(pixels: np.ndarray) -> np.ndarray:
    """Find the levels 0..255 of magma-coloured pixels by the nearest colour of the map.

    Parameters
    ----------
    pixels : np.ndarray [shape=(rows, columns, 3), dtype=uint8]
        Red, green, blue.

    Returns
    -------
    np.ndarray [shape=(rows, columns), dtype=uint8]

    Raises
    ------
    NotASpectrogramError
        If more than 5 % of the pixels lie further than `MAX_DISTANCE` from every colour of the map.
    """
    tree = _magma_tree()
    packed = pixels[..., 0].astype(np.int32) << 16 | pixels[..., 1].astype(np.int32) << 8 | pixels[..., 2]
    # A picture has a few hundred colours, so look each one up only once.
    colours, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    distance, level = tree.query(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1))
    if (far := counts[distance > MAX_DISTANCE].sum() / counts.sum()) > 0.05:
        raise NotASpectrogramError(f"{far:.0%} of its pixels have no colour of the magma map")
    return level.astype(np.uint8)[inverse].reshape(pixels.shape[:2])


@cache
def _magma_tree() -> "cKDTree":
    import matplotlib
    from scipy.spatial import cKDTree

    return cKDTree(np.round(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255))
