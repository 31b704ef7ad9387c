"""A track as HTML: player, spectrogram, genre probabilities over the same time axis, a cursor over both.

page.css and page.js are the rest of it.
"""

import base64
from html import escape

import numpy as np

from genrepro.audit import thumbnails
from genrepro.base.errors import one_line
from genrepro.serve.predictor import Prediction

_WIDTH, _HEIGHT = 1000, 128  # pixels of the spectrogram's picture; the page stretches it
_COLOURS = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
    "#9c6b4e", "#9498a0",
)  # fmt: skip


def track(
    *,
    title: str,
    facts: str,
    sound: str | None,
    spectrogram: np.ndarray,
    top_db: float,
    prediction: Prediction,
) -> str:
    """The HTML of a track.

    Parameters
    ----------
    title, facts : str
        Any text; it is escaped.
    sound : str or None
        Address of the WAV.
    spectrogram : np.ndarray [shape=(num_frames, num_mels)]
        dB.
    top_db : float
        dB between black and the brightest colour.
    prediction : Prediction
    """
    probabilities = prediction.probabilities
    ranked = sorted(probabilities, key=lambda genre: -probabilities[genre])
    colour = dict(zip(probabilities, _COLOURS * (1 + len(probabilities) // len(_COLOURS)), strict=False))
    player = f'<audio controls preload="metadata" src="{escape(sound)}"></audio>' if sound else ""
    lanes = "".join(_lane(genre, colour[genre], prediction) for genre in ranked)
    return (
        f'<div class="track"><h3>{text(title)}</h3><div class="facts">{text(facts)}</div>'
        f'<div class="lane">{player}<div style="position:relative">'
        f'<img class="picture" alt="spectrogram" src="{picture(spectrogram, top_db=top_db)}">'
        f'{lanes}<div class="cursor"></div></div></div></div>'
    )


def near(rows: list[tuple[str, str, float]]) -> str:
    """The nearest training tracks: words, address of the sound, similarity."""
    cells = "".join(
        f"<div>{similarity:.3f} {text(words)}</div>"
        f'<audio controls preload="none" src="{escape(sound)}"></audio>'
        for words, sound, similarity in rows
    )
    return f'<h3>Nearest training tracks by the model\'s embedding</h3><div class="near">{cells}</div>'


def warning(words: str) -> str:
    """A box that warns."""
    return f'<div class="warning">{text(words)}</div>'


def problem(words: str) -> str:
    """A box that says what went wrong."""
    return f'<div class="problem">{text(words)}</div>'


def text(words: str) -> str:
    """Any words as HTML, on one line."""
    return escape(one_line(words))


def picture(spectrogram: np.ndarray, *, top_db: float) -> str:
    """A spectrogram as the ``src`` of an image, low bands below."""
    from PIL import Image

    levels = (1 + 254 * np.clip(1 + spectrogram.astype(np.float32) / top_db, 0, 1)).astype(np.uint8).T[::-1]
    size = (min(_WIDTH, levels.shape[1]), min(_HEIGHT, levels.shape[0]))
    reduced = Image.fromarray(np.ascontiguousarray(levels)).resize(size, Image.Resampling.BOX)
    return f"data:image/png;base64,{base64.b64encode(thumbnails.png(np.asarray(reduced))).decode('ascii')}"


def _lane(genre: str, colour: str, prediction: Prediction) -> str:
    """One genre: its probability in the vote, and a bar for each window as high as its probability."""
    end = prediction.over_time[-1].end or 1
    starts = [window.start for window in prediction.over_time]
    bars = "".join(
        f'<rect x="{1000 * start / end:.1f}" width="{1000 * (stop - start) / end:.1f}" '
        f'y="{100 * (1 - window.probabilities[genre]):.1f}" height="{100 * window.probabilities[genre]:.1f}">'
        f"<title>{text(genre)} {window.probabilities[genre]:.4f}</title></rect>"
        for start, stop, window in zip(starts, [*starts[1:], end], prediction.over_time, strict=True)
    )
    share = prediction.probabilities[genre]
    return (
        f'<div class="genre" data-genre="{text(genre)}" data-probability="{share!r}">'
        f'<span class="name">{text(genre)} {share:.2f}</span>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" fill="{colour}">{bars}</svg></div>'
    )
