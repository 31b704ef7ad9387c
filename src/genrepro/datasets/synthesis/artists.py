"""Draw artists, each with a sound and habits of its own, from the seed.

All tracks of an artist share instruments, room, equaliser and recording chain. In real collections this
causes the *album effect* (Flexer, 2007): a network that saw the artist in training recognises the chain
instead of the genre. The constants below set the strength of this effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from genrepro.datasets.synthesis.notation import Part, Style
from genrepro.datasets.synthesis.styles import NEIGHBOURS, STYLES
from genrepro.exact.streams import generator

T = TypeVar("T")

# These set the difficulty and were tuned together. With 400 tracks, the default CNN reaches 0.88 on unseen
# artists (seed 0, 160 tracks of test and validation), and 0.98 if five-second pieces of the same tracks leak.
# Larger values make unseen artists harder, but not leaking pieces.
EQ_TILT = 1.3  # standard deviation of the slope [dB per octave]: the strongest cue in a mel-spectrogram
EQ_PEAK = 3.5  # standard deviation of each of the three resonances [dB]
MIX_SPREAD = 3.0  # standard deviation of each part's level [dB]: some bands have quiet drums
BORROWING_ARTISTS = 0.20  # share of artists who always play one aspect as a neighbouring genre does
CROSSOVER_TRACKS = 0.15  # share of tracks that are half in the style of a neighbouring genre

_BORROWED = (("grooves",), ("bass",), ("chords",), ("lead", "scale"), ("tempo",))
_CROSSED = (("grooves", "bass", "swing", "tempo"), ("chords", "lead", "progressions", "scale"))

_FIRST = (
    "Ada Bram Celia Dario Edda Felix Greta Hollis Ines Jonas Kaya Lemuel Mira Nils Odette Percy Quentin Rosa "
    "Silas Thea Ulric Vera Wendell Xenia Yusuf Zora Anselm Bettina Clovis Delia Ezra Fern Gideon Hilde Ivo "
    "June"
)
_LAST = (
    "Abbott Birk Calloway Dufresne Eklund Farrow Galvez Hartley Ibsen Jarrow Kestrel Lindqvist Mbeki Novak "
    "Osei Pryor Quist Renner Sandoval Tolliver Umber Vance Wexler Yarrow Zeller Ashby Brandt Castell Dorsey "
    "Everly Fontane Gruber Holm Iverson Joubert Kline"
)
_ADJECTIVE = (
    "Amber Broken Copper Distant Electric Faded Golden Hollow Iron Jagged Lunar Marble Neon Velvet Ashen "
    "Burnt Crooked Drowsy Endless Feral Gentle Humming Idle Jolly Kindred Loud Mended Nimble Opal Patient "
    "Quiet Rusty Silver Tidal Upper Vacant"
)
_NOUN = (
    "Anchors Bridges Comets Dials Engines Foxes Gardens Harbours Islands Junctions Lanterns Mirrors Rivers "
    "Arrows Beacons Cedars Drifters Echoes Ferries Glaciers Herons Ivories Jackdaws Kites Ledgers Magpies "
    "Needles Orchards Pilots Quarries Rafters Sirens Towers Valleys Wagons Zephyrs"
)
_MOOD = "Blue Restless Second Slow Paper Midnight Borrowed Northern Salt Open Little Seventh Winter Burning"
_THING = "Morning River Letter Road Season Parade Signal Shoreline Window Promise Weather Machine Waltz Fever"
# Genres whose artists are persons and not bands.
_SOLOISTS = frozenset({"blues", "classical", "country", "jazz"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Artist:
    """A performer of one genre."""

    name: str
    genre: str
    stream: int
    """Seed of everything that belongs to the artist's sound."""
    style: Style
    """The genre's style as this artist plays it: with loans, two grooves and one instrument per part."""
    levels: Mapping[str, float]
    """Fader of each section of the band [dB]."""
    tuning: float
    """Deviation from A = 440 Hz [cents]."""
    timbre: Mapping[str, float]
    """Factors on a voice's declared `rolloff`, `decay`, `damping`, `attack`, `detune`, `vibrato`."""
    kit_pitch: float
    kit_decay: float
    fill_rate: float
    """Probability of a drum fill at the end of a section."""
    talkativeness: float
    """Probability that the lead plays in a bar."""
    sloppiness: float
    """Standard deviation of the timing [s]."""
    tilt: float
    """Slope of the equaliser [dB per octave around 700 Hz]."""
    peaks: tuple[tuple[float, float, float], ...]
    """Resonances of the equaliser: centre [Hz], height [dB], width [octaves]."""
    band: tuple[float, float]
    """Edges of the recording medium's band [Hz]."""
    reverb_time: float
    """Time in which the room falls by 60 dB [s]."""
    reverb_level: float
    """Room relative to the direct sound [dB]."""
    hiss: float
    """Noise of the recording medium relative to full scale [dB]."""
    hiss_corner: float
    """Where the noise turns from white to falling [Hz]."""
    compression: float
    """Share of the loudness differences that the compressor removes, 0 to 1."""
    loudness: float
    """Root mean square of the finished track [dB relative to full scale]."""


def draw_artist(*, genre: str, index: int, seed: int) -> Artist:
    """Draw the `index`-th artist of a genre. It depends on the seed, but not on other artists."""
    rng = generator(seed, f"artist/{genre}/{index}")
    return Artist(
        name=_name(genre=genre, index=index, seed=seed),
        genre=genre,
        stream=int(rng.integers(2**31)),
        style=_settle(_borrow(genre, rng=rng), rng=rng),
        levels=MappingProxyType(
            {part: rng.normal(0, MIX_SPREAD) for part in ("drums", "bass", "chords", "lead")}
        ),
        tuning=rng.normal(0, 18),
        timbre=MappingProxyType(
            {
                "rolloff": rng.uniform(0.85, 1.2),
                "decay": rng.uniform(0.6, 1.6),
                "damping": rng.uniform(0.5, 1.8),
                "attack": rng.uniform(0.6, 1.8),
                "detune": rng.uniform(0.3, 2.0),
                "vibrato": rng.uniform(0.0, 2.0),
            }
        ),
        kit_pitch=2 ** rng.uniform(-0.4, 0.3),
        kit_decay=2 ** rng.uniform(-0.8, 0.6),
        fill_rate=rng.uniform(0.2, 1.0),
        talkativeness=rng.uniform(0.4, 1.0),
        sloppiness=rng.uniform(0.001, 0.012),
        tilt=rng.normal(0, EQ_TILT),
        peaks=tuple(
            (100 * 2 ** rng.uniform(0, 6), rng.normal(0, EQ_PEAK), rng.uniform(0.3, 1.0)) for _ in range(3)
        ),
        band=(20 * 2 ** rng.uniform(0, 2.5), 10500 * 2 ** -abs(rng.normal(0, 0.4))),
        reverb_time=rng.uniform(0.2, 1.5),
        reverb_level=rng.uniform(-26, -9),
        hiss=rng.uniform(-80, -52),
        hiss_corner=500 * 2 ** rng.uniform(0, 4),
        compression=rng.uniform(0.0, 0.6),
        loudness=rng.uniform(-26, -13),
    )


def draw_title(*, seed: int, name: str) -> str:
    """Invent a title for the song or album that `name` identifies."""
    rng = generator(seed, name)
    mood, thing = (str(rng.choice(words.split())) for words in (_MOOD, _THING))
    return f"{mood} {thing}"


def take_crossover(artist: Artist, *, rng: np.random.Generator) -> Style:
    """Choose the style of the artist's next track: the artist's own, or sometimes half a neighbour's."""
    fields = _CROSSED[rng.integers(len(_CROSSED))]
    neighbour = STYLES[NEIGHBOURS[artist.genre][rng.integers(len(NEIGHBOURS[artist.genre]))]]
    loan = _settle(neighbour, rng=rng)
    return _lend(artist.style, loan, fields) if rng.random() < CROSSOVER_TRACKS else artist.style


def _borrow(genre: str, *, rng: np.random.Generator) -> Style:
    fields = _BORROWED[rng.integers(len(_BORROWED))]
    neighbour = STYLES[NEIGHBOURS[genre][rng.integers(len(NEIGHBOURS[genre]))]]
    return _lend(STYLES[genre], neighbour, fields) if rng.random() < BORROWING_ARTISTS else STYLES[genre]


def _lend(style: Style, lender: Style, fields: tuple[str, ...]) -> Style:
    return replace(style, **{field: getattr(lender, field) for field in fields})


def _settle(style: Style, *, rng: np.random.Generator) -> Style:
    """Narrow a style to what one artist habitually plays."""
    low, high = style.tempo
    centre = rng.uniform(low, high)
    return replace(
        style,
        bass=_settle_parts(style.bass, rng=rng),
        chords=_settle_parts(style.chords, rng=rng),
        lead=_settle_parts(style.lead, rng=rng),
        tempo=(max(low, 0.95 * centre), min(high, 1.05 * centre)),
        grooves=_pick(style.grooves, 2, rng),
        progressions=_pick(style.progressions, 2, rng),
        swing=style.swing * rng.uniform(0.7, 1.2),
    )


def _settle_parts(parts: tuple[Part, ...], *, rng: np.random.Generator) -> tuple[Part, ...]:
    return tuple(
        replace(part, instruments=_pick(part.instruments, 1, rng), patterns=_pick(part.patterns, 2, rng))
        for part in parts
    )


def _pick(choices: tuple[T, ...], count: int, rng: np.random.Generator) -> tuple[T, ...]:
    return tuple(choices[index] for index in sorted(rng.permutation(len(choices))[:count]))


def _name(*, genre: str, index: int, seed: int) -> str:
    """Choose a name that no other artist has. Genres take turns in one shuffled list.

    After the last name of the list it begins again, with a number as in Discogs: ``Ada Abbott (2)``.
    """
    pools = (_FIRST, _LAST) if genre in _SOLOISTS else (_ADJECTIVE, _NOUN)
    first, second = (pool.split() for pool in pools)
    sharers = [name for name in sorted(STYLES) if (name in _SOLOISTS) == (genre in _SOLOISTS)]
    order = generator(seed, " ".join(pools)).permutation(len(first) * len(second))
    earlier, turn = divmod(index * len(sharers) + sharers.index(genre), len(order))
    row, column = divmod(int(order[turn]), len(second))
    name = f"{first[row]} {second[column]}" if genre in _SOLOISTS else f"The {first[row]} {second[column]}"
    return f"{name} ({earlier + 1})" if earlier else name
