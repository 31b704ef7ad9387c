"""Declare how people sing, rap and shout, and draw singers, one for an artist.

The vowels' formants are those that Peterson and Barney (1952) measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genrepro.datasets.synthesis.notation import Part
from genrepro.exact.streams import generator

NUM_SYLLABLES = 10
"""Syllables that a singer knows. Songs repeat them."""

VOWELS: Mapping[str, tuple[float, float, float]] = {
    "a": (730, 1090, 2440),
    "ae": (660, 1720, 2410),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "uh": (640, 1190, 2390),
}
"""The three lowest formants of a man [Hz]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consonant:
    """The beginning of a syllable."""

    locus: tuple[float, float, float]
    """Formants from which the vowel is reached [Hz]."""
    noise: tuple[float, float] | None = None
    """Edges of the burst's band [Hz]. None: the consonant is voiced."""
    length: float = 0.0
    """Length of the burst [s]. The voice sets in at its end."""
    level: float = -12.0
    """Burst relative to the voice [dB]."""


CONSONANTS: Mapping[str, Consonant] = {
    "s": Consonant(locus=(320, 1500, 2600), noise=(4500, 9500), length=0.08),
    "sh": Consonant(locus=(320, 1700, 2500), noise=(2200, 6500), length=0.07),
    "t": Consonant(locus=(350, 1750, 2700), noise=(2500, 8000), length=0.03, level=-9),
    "k": Consonant(locus=(350, 1900, 2300), noise=(1200, 3800), length=0.035, level=-9),
    "h": Consonant(locus=(500, 1400, 2450), noise=(700, 5000), length=0.04, level=-18),
    "m": Consonant(locus=(250, 1000, 2200)),
    "l": Consonant(locus=(350, 1100, 2700)),
    "w": Consonant(locus=(300, 650, 2200)),
    "d": Consonant(locus=(250, 1750, 2650)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A way to use the voice. Pairs are the range from which a singer's value is drawn."""

    patterns: Mapping[int, tuple[str, ...]]
    """Bars to choose from, for each number of steps in a bar."""
    lowest: tuple[tuple[int, int], ...]
    """MIDI pitch of the lowest note: a range for each register of people."""
    compass: int
    """Semitones above the lowest note that are used."""
    flatness: int = 1
    """Factor by which melodies are flattened, for speech."""
    vibrato: tuple[float, float] = (0, 0)
    """Depth [cents]."""
    glide: tuple[float, float] = (-1.5, 0.3)
    """Where the pitch of a note begins [semitones from where it ends]."""
    glide_time: float = 0.12
    """Time in which most of the glide is done [s]."""
    breath: tuple[float, float] = (-40, -22)
    """Breath relative to the voice [dB]."""
    brightness: tuple[float, float] = (250, 700)
    """Where the glottis begins to lose treble [Hz]."""
    roughness: float = 0.0
    """How much the pulses differ in strength, 0 to 1."""
    drive: float = 0.0
    """Overdrive [dB]."""
    ring: bool = False
    """Whether the upper formants meet near 2900 Hz, as an opera singer's do (Sundberg, 1974)."""
    people: int = 1
    """Singers in unison."""
    sections: str = "vcb"
    level: tuple[float, float] = (-2, 4)
    """Loudness of the voice beside a kit of 0 dB [dB]."""


_TUNES = {
    8: ("m-m-m-m-", "m-mm-m--", ".m-m-m--", "m---mm--", "m-m-...."),
    12: ("m-mm-mm-----", "m--m-mm--m--", "...m-mm-mm--", "m-----m--...", "m-mm-m......"),
    16: (
        "m---m-m-m---m---",
        "m-m-m-m-m-----..",
        "..m-m-m-m---m-m-",
        "m-----m-m-------",
        "m-m-m--m-m--m---",
        "..m---m-m-m-....",
    ),
}
_RHYMES = {
    8: ("mmmmmmm.", "m.mmmmm."),
    12: ("mmmmmmmmm...", "m.mmmmmmmmm.", "mmmm-mmmmm.."),
    16: ("mmm.mmmmmmm.mm..", "mmmmmm.mmmmmmm..", "m.mmmmm.m.mmmmm.", "mmmm-mmmmmm-m...", "mmmmmmmmmmmmm..."),
}
_SHOUTS = {
    8: ("m-mm-m..", "m---m-.."),
    12: ("m--m--m-----", "m-mm-mm--..."),
    16: ("m-m-m---m-m-m---", "m---m-m-m-m-....", "m-m-m-m-m-------", "m-------m---....", "mmm-mmm-m---...."),
}
_AIRS = {
    8: ("m---m---", "m-----m-"),
    12: ("m-----m--m--", "m-----------", "m--m--m-----"),
    16: ("m-------m---m---", "m---------------"),
}

DELIVERIES: Mapping[str, Delivery] = {
    "singing": Delivery(patterns=_TUNES, lowest=((45, 50), (53, 58)), compass=16, vibrato=(5, 60)),
    "rapping": Delivery(
        patterns=_RHYMES,
        lowest=((40, 47), (40, 47), (49, 54)),
        compass=7,
        flatness=3,
        glide=(0.5, 4.0),
        glide_time=0.25,
        brightness=(400, 900),
        level=(1, 6),
    ),
    "shouting": Delivery(
        patterns=_SHOUTS,
        lowest=((36, 45), (50, 57)),
        compass=9,
        flatness=2,
        glide=(-3.0, 2.0),
        breath=(-14, -4),
        brightness=(900, 2500),
        roughness=0.8,
        drive=14,
        level=(1, 6),
    ),
    "opera": Delivery(
        patterns=_AIRS,
        lowest=((45, 50), (55, 60)),
        compass=17,
        vibrato=(50, 90),
        ring=True,
        level=(-3, 2),
    ),
    "choir": Delivery(patterns=_AIRS, lowest=((48, 57),), compass=14, vibrato=(10, 30), people=4),
}
"""Ways to use the voice. Their names stand among the instruments of a track."""

CUSTOMS: Mapping[str, Mapping[str, float]] = {
    "blues": {"singing": 0.7},
    "classical": {"opera": 0.06, "choir": 0.06},
    "country": {"singing": 0.8},
    "disco": {"singing": 0.65},
    "hiphop": {"rapping": 0.9},
    "jazz": {"singing": 0.25},
    "metal": {"shouting": 0.6, "singing": 0.1},
    "pop": {"singing": 0.85},
    "reggae": {"singing": 0.75},
    "rock": {"singing": 0.7},
}
"""Share of a genre's artists with each delivery. The others have no singer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Singer:
    """The voice of one artist."""

    name: str
    """Name of the delivery."""
    delivery: Delivery
    stream: int
    """Seed of everything else that belongs to the voice."""
    lowest: int
    """MIDI pitch of the lowest note."""
    size: float
    """Factor on the formants. It is larger for a shorter vocal tract."""
    vibrato: float
    """Depth [cents]."""
    vibrato_rate: float
    """[Hz]."""
    breath: float
    """Breath relative to the voice [dB]."""
    brightness: float
    """Where the glottis begins to lose treble [Hz]."""
    syllables: tuple[tuple[str, str, str], ...]
    """Consonant, vowel, and the vowel where the syllable ends."""
    resting: float
    """Share of bars without the voice."""
    alone: bool
    """Whether the voice replaces the lead."""
    level: float
    """Loudness beside a kit of 0 dB [dB]."""

    def part(self, num_steps: int) -> Part:
        """The part to sing, in bars of 8, 12 or 16 steps."""
        delivery = self.delivery
        return Part(
            instruments=(self.name,),
            patterns=delivery.patterns[num_steps],
            register=self.lowest + delivery.compass // 3,
            level=self.level,
            sections=delivery.sections,
        )

    def within_reach(self, pitch: int) -> int:
        """The pitch that this voice sings for `pitch`: the same in another octave, or flattened to speech."""
        delivery = self.delivery
        if delivery.flatness > 1:
            middle = self.lowest + delivery.compass // 2
            pitch = middle + (pitch - middle) // delivery.flatness
            return int(np.clip(pitch, self.lowest, self.lowest + delivery.compass))
        above = pitch - self.lowest
        if above < 0:
            return self.lowest + above % 12
        return pitch - 12 * max(0, -((delivery.compass - above) // 12))


def draw_singer(*, genre: str, index: int, seed: int) -> Singer | None:
    """Draw the singer of the `index`-th artist of a genre, or None if nobody sings."""
    rng = generator(seed, f"singer/{genre}/{index}")
    customs = CUSTOMS[genre]
    turn = int(np.searchsorted(np.cumsum(list(customs.values())), rng.random(), side="right"))
    if turn == len(customs):
        return None
    name = list(customs)[turn]
    delivery = DELIVERIES[name]
    low, high = delivery.lowest[rng.integers(len(delivery.lowest))]
    return Singer(
        name=name,
        delivery=delivery,
        stream=int(rng.integers(2**31)),
        lowest=int(rng.integers(low, high + 1)),
        size=(1.16 if low > 48 else 1.0) * rng.uniform(0.93, 1.07),
        vibrato=rng.uniform(*delivery.vibrato),
        vibrato_rate=rng.uniform(4.8, 6.5),
        breath=rng.uniform(*delivery.breath),
        brightness=rng.uniform(*delivery.brightness),
        syllables=tuple(
            (str(rng.choice(list(CONSONANTS))), str(rng.choice(list(VOWELS))), str(rng.choice(list(VOWELS))))
            for _ in range(NUM_SYLLABLES)
        ),
        resting=rng.uniform(0.0, 0.2),
        alone=bool(rng.random() < 0.5),
        level=rng.uniform(*delivery.level),
    )
