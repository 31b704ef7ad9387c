"""Spectrograms small enough for a page of many: reduced, magma-coloured, inside the HTML itself."""

import base64
import io
from collections.abc import Set
from pathlib import Path

import numpy as np

from genrepro.base.tables import read_mel_description, read_mels, unpack_mel

_RATE = 12.0  # Hz, at most: 30 s are 360 pixels, which a page shows without scrolling
_BANDS = 64  # at most


def levels(mel_path: Path, wanted: Set[str]) -> tuple[dict[str, np.ndarray], float]:
    """Reduced spectrograms of the wanted tracks of mel.parquet, and their frame rate [Hz].

    Returns
    -------
    dict of np.ndarray [shape=(num_bands, num_frames), dtype=uint8]
        Levels 1..255, highest band first; a track without a spectrogram is left out.
    float
    """
    description = read_mel_description(mel_path)
    group = max(1, int(np.ceil(description["frame_rate"] / _RATE)))
    found = {
        row["track_id"]: _reduced(
            unpack_mel(row["mel"], num_mels=row["num_mels"]), group=group, top_db=description["top_db"]
        )
        for row in read_mels(mel_path)
        if row["track_id"] in wanted and row["mel"] is not None
    }
    return found, description["frame_rate"] / group


def png(canvas: np.ndarray) -> bytes:
    """Levels as a PNG in matplotlib's magma; 0 is drawn white."""
    import matplotlib
    from PIL import Image

    palette = np.vstack([[255, 255, 255], matplotlib.colormaps["magma"](np.arange(256), bytes=True)[1:, :3]])
    image = Image.fromarray(canvas)
    image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def source(picture: bytes) -> str:
    """What an image's ``src`` is where the picture lies inside the page."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"


def _reduced(spectrogram: np.ndarray, *, group: int, top_db: float) -> np.ndarray:
    in_bands = -(-spectrogram.shape[1] // _BANDS)
    num_frames, num_bands = (
        -(-size // by) for size, by in zip(spectrogram.shape, (group, in_bands), strict=True)
    )
    padding = (
        (0, num_frames * group - spectrogram.shape[0]),
        (0, num_bands * in_bands - spectrogram.shape[1]),
    )
    whole = np.pad(spectrogram.astype(np.float32), padding, mode="edge")
    # A cell shows its loudest value: means would blur thin lines.
    reduced = whole.reshape(num_frames, group, num_bands, in_bands).max(axis=(1, 3)).T[::-1]
    return (1 + 254 * np.clip(1 + reduced / top_db, 0, 1)).astype(np.uint8)
