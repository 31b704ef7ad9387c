"""Write the score of a track from a style and an artist: which note sounds when.

A track is an excerpt of a song. The form gives each bar a section. Each section has its own groove, patterns
and progression, so that verse and chorus differ. The last bar of a section may hold a drum fill. The lead
plays phrases of a motif. A singer sings a motif and a text of its own. All random choices use the generators
that are passed in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from genrepro.datasets.synthesis.artists import Artist
from genrepro.datasets.synthesis.instruments import CHORDS
from genrepro.datasets.synthesis.notation import Chord, Groove, Part, Style, parse_pattern, parse_progression
from genrepro.datasets.synthesis.singing import NUM_SYLLABLES, Singer

T = TypeVar("T")

NOTE = np.dtype([("onset", "f8"), ("duration", "f8"), ("pitch", "i2"), ("chord", "i2"), ("level", "f4")])
"""One event: onset and duration [s], MIDI pitch of the root, index into `CHORD_NAMES`, level [dB].

A singer's event has the number of the syllable instead of a chord.
"""

CHORD_NAMES = tuple(CHORDS)

_ACCENT = {"X": 0.0, "x": -4.0, "o": -13.0}  # [dB]
_FILLS: tuple[Groove, ...] = (
    {"tom": "X.x.X.xxX.xxX.x."},
    {"snare": "........x.x.xxXX"},
    {"snare": "X..X..X.", "tom": "......XX"},
    {"tom": "......XXXXXX"},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The notes of every instrument of the band."""

    tempo: float
    """Beats per minute."""
    metre: int
    """Beats in a bar."""
    tonic: int
    """Pitch class of the key. 0 is C."""
    duration: float
    """Length of the excerpt [s]. A note may ring longer."""
    notes: dict[str, NDArray[np.void]]
    """Events of each voice [dtype=NOTE], in the order of playing."""
    hits: dict[str, NDArray[np.void]]
    """Strokes of each drum [dtype=NOTE]. Their pitch and chord are not used."""


class Event(NamedTuple):
    """One row of NOTE, but with times in beats."""

    onset: float
    duration: float
    pitch: int
    chord: int
    level: float

    def louder(self, decibels: float) -> "Event":
        return self._replace(level=self.level + decibels)


def compose(
    *,
    style: Style,
    artist: Artist,
    rng: np.random.Generator,
    duration: float,
    singer: Singer | None = None,
    song: np.random.Generator | None = None,
) -> Score:
    """Write the score of one track.

    Parameters
    ----------
    style
        Style to play: the artist's own, or a crossover.
    artist
        Levels and habits of the artist.
    rng
        The track's own random stream.
    duration
        Length of the excerpt [s].
    singer
        Who sings, if anyone. The band plays the same without a singer, but some singers replace the lead.
    song
        Random stream of what the singer sings.

    Returns
    -------
    Score
        Events of every instrument.
    """
    tempo = rng.uniform(*style.tempo)
    metre = _choose(_playable_metres(style), rng)
    num_bars = int(duration * tempo / 60 / metre) + 2
    start = 4 * int(rng.integers(len(style.form) // 4))
    form = [style.form[(start + bar) % len(style.form)] for bar in range(num_bars)]
    tonic = int(rng.integers(12))
    songs = {section: parse_progression(_choose(style.progressions, rng)) for section in "ivcb"}
    chords = [songs[section][(start + bar) % len(songs[section])] for bar, section in enumerate(form)]

    bars = list(zip(form, chords, chords[1:] + chords[:1], strict=True))
    notes: dict[str, list[Event]] = {}
    hits: dict[str, list[Event]] = {}
    lead = () if singer and singer.alone else style.lead
    for section, parts in (("bass", style.bass), ("chords", style.chords), ("lead", lead)):
        resting = 1 - artist.talkativeness if section == "lead" else 0.0
        for part in parts:
            events = _play_part(
                part, bars=bars, style=style, tonic=tonic, metre=metre, resting=resting, rng=rng
            )
            faded = (event.louder(part.level + artist.levels[section]) for event in events)
            notes.setdefault(part.instruments[0], []).extend(faded)
    for piece, event in _play_drums(style, form=form, metre=metre, fill_rate=artist.fill_rate, rng=rng):
        hits.setdefault(piece, []).append(event.louder(style.drum_level + artist.levels["drums"]))

    perform = partial(
        _perform, style=style, tempo=tempo, metre=metre, sloppiness=artist.sloppiness, duration=duration
    )
    score = Score(
        tempo=tempo,
        metre=metre,
        tonic=tonic,
        duration=duration,
        notes={name: perform(events, rng=rng) for name, events in notes.items()},
        hits={name: perform(events, rng=rng) for name, events in hits.items()},
    )
    if singer and song:
        events = _sing(singer, bars=bars, style=style, tonic=tonic, metre=metre, rng=song)
        score.notes[singer.name] = perform(list(events), rng=song)
    return score


def _play_part(
    part: Part,
    *,
    bars: list[tuple[str, Chord, Chord]],
    style: Style,
    tonic: int,
    metre: int,
    resting: float,
    rng: np.random.Generator,
) -> Iterator[Event]:
    fitting = tuple(pattern for pattern in part.patterns if len(pattern) % metre == 0)
    chosen = {section: [_choose(fitting, rng) for _ in range(2)] for section in "ivcb"}
    motifs = [np.cumsum(rng.integers(-2, 3, size=16)) for _ in range(2)]
    rests = rng.random(len(bars)) < resting
    for bar, (section, chord, following) in enumerate(bars):
        if section not in part.sections or rests[bar]:
            continue
        root = part.register + (tonic + chord.root - part.register) % 12
        quality = part.voicing or chord.quality
        tones = dict(zip("1358", (0, *CHORDS[chord.quality][1:3], 12), strict=True)) | {"6": 9, "7": 10}
        approach = part.register + (tonic + following.root - part.register) % 12 - 1
        motif = motifs[bar % 4 == 2]  # phrases a a b a
        for count, (position, length, symbol) in enumerate(parse_pattern(chosen[section][bar % 4 == 3])):
            onset, duration = (bar + position) * metre, length * metre
            accent = 0.0 if position == 0 else -2.0
            if symbol in _ACCENT:
                yield Event(onset, duration, root, CHORD_NAMES.index(quality), _ACCENT[symbol])
            elif symbol == "m":
                octave, degree = divmod(int(motif[count]), len(style.scale))
                pitch = part.register + (tonic - part.register) % 12 + 12 * octave + style.scale[degree]
                yield Event(onset, duration, pitch, 0, accent)
            else:
                pitch = approach if symbol == "a" else root + tones[symbol]
                yield Event(onset, duration, pitch, 0, accent)


def _sing(
    singer: Singer,
    *,
    bars: list[tuple[str, Chord, Chord]],
    style: Style,
    tonic: int,
    metre: int,
    rng: np.random.Generator,
) -> Iterator[Event]:
    """Sing in the lead's metre. Every four bars of a section have the same text."""
    part = singer.part(len(style.lead[0].patterns[0]))
    level = part.level + style.drum_level  # a voice is mixed so that it is heard above the band
    text = {section: rng.integers(NUM_SYLLABLES, size=(4, 16)) for section in "ivcb"}
    for event in _play_part(
        part, bars=bars, style=style, tonic=tonic, metre=metre, resting=singer.resting, rng=rng
    ):
        bar, beat = divmod(event.onset, metre)
        syllable = text[bars[int(bar)][0]][int(bar) % 4, int(4 * beat)]
        yield event._replace(
            pitch=singer.within_reach(event.pitch), chord=int(syllable), level=event.level + level
        )


def _play_drums(
    style: Style, *, form: list[str], metre: int, fill_rate: float, rng: np.random.Generator
) -> Iterator[tuple[str, Event]]:
    grooves = {section: _choose(style.grooves, rng) for section in "ivcb"}
    if not any(grooves.values()):
        return
    last_bars = np.cumsum([len(list(run)) for _, run in groupby(form)]) - 1
    fitting = tuple(fill for fill in _FILLS if all(len(pattern) % metre == 0 for pattern in fill.values()))
    fills = {int(bar) for bar in last_bars if rng.random() < fill_rate}
    for bar, section in enumerate(form):
        groove = dict(grooves[section])
        if section == "i":
            for kick in ("kick", "clickkick"):  # the band enters with the first verse
                groove.pop(kick, None)
        if bar in fills:
            groove.update(_choose(fitting, rng))
        if bar - 1 in last_bars:
            groove["crash"] = "x..............."
        for piece, pattern in groove.items():
            for position, length, symbol in parse_pattern(pattern):
                yield piece, Event((bar + position) * metre, length * metre, 0, 0, _ACCENT[symbol])


def _perform(
    events: list[Event],
    *,
    style: Style,
    tempo: float,
    metre: int,
    sloppiness: float,
    duration: float,
    rng: np.random.Generator,
) -> NDArray[np.void]:
    """Turn beats into seconds, with swing, imprecise timing, and phrases of four bars that swell and ebb."""
    score = np.array(events, dtype=NOTE)
    beat, phase = np.divmod(score["onset"], 1)
    # Off-beats come later by `swing`. The rest of the beat is stretched accordingly.
    late = 0.5 + style.swing
    warped = np.where(phase < 0.5, phase * late / 0.5, late + (phase - 0.5) * (1 - late) / 0.5)
    swell = style.dynamics * np.cos(2 * np.pi * score["onset"] / (4 * metre))
    score["level"] += rng.normal(0, 1, len(score)) - swell
    seconds = (beat + warped) * 60 / tempo + rng.normal(0, sloppiness, len(score))
    score["onset"] = np.maximum(0, seconds)
    score["duration"] *= 60 / tempo
    return np.sort(score[score["onset"] < duration], order="onset", kind="stable")


def _playable_metres(style: Style) -> tuple[int, ...]:
    """Metres in which every part has a pattern. A loan from another genre may rule out the waltz."""
    parts = (*style.bass, *style.chords, *style.lead)
    return tuple(
        metre
        for metre in style.metres
        if all(any(len(pattern) % metre == 0 for pattern in part.patterns) for part in parts)
        and all(len(pattern) % metre == 0 for groove in style.grooves for pattern in groove.values())
    ) or (4,)


def _choose(choices: tuple[T, ...], rng: np.random.Generator) -> T:
    return choices[rng.integers(len(choices))]
