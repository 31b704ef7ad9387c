"""Define the notation of styles, and parse its patterns and progressions.

Patterns are strings that fill one bar with evenly spaced steps. Sixteen characters are the semiquavers of a
4/4 bar. Twelve are the triplets of a shuffle or the semiquavers of a waltz. A pattern fits every metre that
divides its length.

    ``.``                  rest, or the end of a note
    ``-``                  hold the note before
    ``X`` ``x`` ``o``      strike a drum or the whole chord: loud, normal, ghost
    ``1`` ``3`` ``5`` ...  that degree of the chord
    ``a``                  a semitone below the next bar's root
    ``m``                  the next note of the track's motif

Progressions are roman numerals, one chord per bar. Upper case is major, lower case minor. ``b`` lowers the
root by a semitone, ``7`` and ``maj7`` add sevenths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Groove = Mapping[str, str]
"""Pattern of each drum. An empty groove is a bar without drums."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The part of one player of the band."""

    instruments: tuple[str, ...]
    """Voices (`instruments.VOICES`) that may play the part. Each artist uses one of them."""
    patterns: tuple[str, ...]
    """Bars to choose from."""
    register: int
    """Lowest MIDI pitch of the part's roots. They lie within the octave above it."""
    level: float
    """Loudness in the mix [dB]."""
    voicing: str | None = None
    """Chord quality that replaces the progression's own, such as `power`."""
    sections: str = "ivcb"
    """Sections in which the part plays: intro, verse, chorus, break."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """The musical style of one genre."""

    tempo: tuple[float, float]
    """Slowest and fastest tempo [beats per minute]."""
    grooves: tuple[Groove, ...]
    bass: tuple[Part, ...]
    chords: tuple[Part, ...]
    lead: tuple[Part, ...]
    progressions: tuple[str, ...]
    """Roman numerals, one chord per bar. Lower case is minor."""
    scale: tuple[int, ...]
    """Notes from which motifs are made, in semitones above the tonic."""
    metres: tuple[int, ...] = (4,)
    """Beats in a bar."""
    swing: float = 0.0
    """How far the off-beat is after the middle of the beat [beats]. A triplet feel is 1/6."""
    drum_level: float = 0.0
    """Loudness of the whole kit [dB]."""
    dynamics: float = 1.5
    """Half the distance between the quietest and the loudest phrase [dB]."""
    form: str = "iivvvvccccvvvvccccbbcccc"
    """The sections of a song, one letter per bar. A track is an excerpt of it."""


_DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_QUALITIES = {
    "": ("major", "minor"),
    "7": ("seventh", "minor seventh"),
    "maj7": ("major seventh", "major seventh"),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord of the progression: root in semitones above the tonic, and quality."""

    root: int
    quality: str


def parse_progression(text: str) -> list[Chord]:
    """Read roman numerals such as ``"ii7 V7 Imaj7 bVII"``, one chord per bar."""
    chords = []
    for word in text.split():
        numeral = word.lstrip("b").rstrip("7").removesuffix("maj")
        suffix = word.lstrip("b")[len(numeral) :]
        root = (_DEGREES[numeral.upper()] - word.startswith("b")) % 12
        chords.append(Chord(root, _QUALITIES[suffix][numeral.islower()]))
    return chords


@lru_cache
def parse_pattern(pattern: str) -> tuple[tuple[float, float, str], ...]:
    """Read one bar: (position, length, symbol) of every event, both as shares of the bar."""
    step = 1 / len(pattern)
    starts = [index for index, symbol in enumerate(pattern) if symbol not in ".-"]
    held = [len(pattern[index + 1 :]) - len(pattern[index + 1 :].lstrip("-")) for index in starts]
    return tuple(
        (index * step, (1 + more) * step, pattern[index]) for index, more in zip(starts, held, strict=True)
    )
