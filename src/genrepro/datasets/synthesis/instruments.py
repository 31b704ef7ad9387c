"""Declare the voices, and synthesise notes and chords with one of three engines.

- *Strings, pipes and reeds*: additive synthesis from band-limited wavetables. The harmonics are split into
  octave bands that decay at different speeds. The loop filter of a plucked string (Karplus and Strong, 1983)
  has the same effect; this way it is in tune at every pitch and needs no loop over samples.
- *Bells and electric pianos*: frequency modulation with two operators (Chowning, 1973).
- *808 bass*: a sine with falling pitch, as for a drum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from genrepro.datasets.synthesis.signals import (
    PERIOD,
    SAMPLE_RATE,
    Samples,
    decay,
    fade_in,
    gain,
    lowpass,
    noise_band,
    points,
    resonance,
    sine,
    soft_clip,
    sweep,
    to_peak,
)

_BANDS = ((1, 2), (2, 4), (4, 8), (8, 16), (16, 64))  # harmonics [first, last) that die away together
_VIBRATO_RATE = 5.5  # [Hz]


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A pitched instrument."""

    rolloff: float = 1.0
    """Harmonic k has amplitude k ** -rolloff."""
    even: float = 1.0
    """Relative amplitude of even harmonics. It is near 0 for a clarinet or a square wave."""
    pluck: float | None = None
    """Where the string is plucked, as a share of its length. Harmonics with a node there are missing."""
    formant: tuple[float, float] | None = None
    """Centre [Hz] and height [dB] of a resonance of the body."""
    attack: float = 0.005
    """Time to full amplitude [s]."""
    decay: float | None = None
    """Time in which the fundamental falls by 60 dB [s]. None: the note does not decay."""
    damping: float = 0.15
    """How much faster each higher harmonic decays."""
    detune: float = 0.0
    """Distance between two copies of the note [cents]. 0 plays one copy."""
    vibrato: float = 0.0
    """Depth [cents] at about 5.5 Hz."""
    drive: float = 0.0
    """Overdrive: gain [dB] of the whole chord before a soft clipper."""
    lowpass: float | None = None
    """Corner frequency of the amplifier's loudspeaker [Hz]."""
    cabinet: tuple[tuple[float, float], ...] = ()
    """Resonances of the loudspeaker's cabinet: centre [Hz] and height [dB]. A height below 0 is a dip."""
    breath: float = 0.0
    """Amplitude of breath or bow noise."""
    fm: tuple[float, float] | None = None
    """Modulator's frequency ratio and modulation index. Used instead of the wavetables."""
    drop: float | None = None
    """Octaves by which the pitch falls at the start (808 bass). Used instead of the wavetables."""
    strum: float = 0.0
    """Delay between the notes of a chord [s]."""
    length: float = 2.0
    """Longest note [s]."""


VOICES: Mapping[str, Voice] = {
    "piano": Voice(rolloff=1.3, pluck=0.13, decay=3.0, damping=0.25, detune=1.5, length=2.2),
    "harp": Voice(rolloff=1.4, pluck=0.4, decay=2.2, damping=0.35),
    "harpsichord": Voice(rolloff=0.6, pluck=0.09, decay=1.6, damping=0.08),
    "strings": Voice(rolloff=1.1, attack=0.12, detune=9, formant=(900, 5), length=3.2),
    "cello": Voice(rolloff=1.1, attack=0.07, vibrato=9, formant=(500, 6), breath=0.02, length=3.2),
    "violin": Voice(rolloff=0.9, attack=0.06, vibrato=16, formant=(2400, 7), breath=0.02, length=3.2),
    "fiddle": Voice(rolloff=0.7, attack=0.025, vibrato=7, formant=(2800, 8), breath=0.03, length=2.6),
    "flute": Voice(rolloff=2.4, attack=0.05, vibrato=10, breath=0.05, length=2.6),
    "oboe": Voice(rolloff=0.7, attack=0.04, vibrato=8, formant=(1300, 9), length=2.6),
    "sax": Voice(rolloff=1.0, attack=0.03, vibrato=9, formant=(1100, 8), breath=0.05),
    "trumpet": Voice(rolloff=0.8, attack=0.02, vibrato=6, formant=(1700, 8)),
    "brass": Voice(rolloff=0.7, attack=0.03, detune=8, formant=(1400, 7)),
    "harmonica": Voice(rolloff=0.5, even=0.6, attack=0.03, vibrato=14, formant=(1900, 6), breath=0.02),
    "steel": Voice(rolloff=0.8, pluck=0.17, decay=1.8, damping=0.12, strum=0.014),
    "banjo": Voice(rolloff=0.5, pluck=0.1, decay=0.5, damping=0.06, formant=(1500, 5), length=0.7),
    "clean": Voice(rolloff=1.0, pluck=0.22, decay=1.5, damping=0.2, lowpass=4500, strum=0.007),
    "crunch": Voice(rolloff=0.8, pluck=0.2, decay=3.0, damping=0.12, drive=16, lowpass=4200, strum=0.006),
    "distorted": Voice(rolloff=0.7, pluck=0.15, decay=5.0, damping=0.1, drive=34, lowpass=5200),
    "highgain": Voice(
        rolloff=0.7,
        pluck=0.13,
        decay=6.0,
        damping=0.08,
        detune=7,
        drive=40,
        lowpass=5600,
        cabinet=((110, 5), (650, -7), (3000, 5)),
    ),
    "palmmute": Voice(
        rolloff=0.9,
        pluck=0.08,
        decay=0.5,
        damping=0.3,
        detune=7,
        drive=36,
        lowpass=4500,
        cabinet=((110, 7), (650, -7), (3000, 3)),
        length=0.6,
    ),
    "upright": Voice(rolloff=1.6, pluck=0.3, decay=1.1, damping=0.5, length=1.2),
    "fingered": Voice(rolloff=1.4, pluck=0.25, decay=2.4, damping=0.35, length=1.6),
    "pickbass": Voice(rolloff=0.9, pluck=0.12, decay=2.2, damping=0.2, drive=6, length=1.4),
    "synthbass": Voice(rolloff=0.9, decay=2.5, damping=0.5, detune=6, length=1.4),
    "sub808": Voice(drop=1.0, attack=0.002, decay=2.2, drive=4, length=1.8),
    "organ": Voice(rolloff=1.1, even=1.0, attack=0.008, vibrato=7, detune=2),
    "rhodes": Voice(fm=(1.0, 1.6), decay=2.6, attack=0.003),
    "bell": Voice(fm=(3.5, 1.8), decay=1.8, attack=0.002),
    "pad": Voice(rolloff=1.4, attack=0.15, detune=14, length=3.0),
    "sawpad": Voice(rolloff=0.9, attack=0.03, detune=18, length=2.6),
    "sawlead": Voice(rolloff=0.8, attack=0.008, detune=14, vibrato=6),
    "squarelead": Voice(rolloff=0.9, even=0.05, attack=0.006, vibrato=8),
    "synthpluck": Voice(rolloff=0.7, decay=0.6, damping=0.4, detune=10, length=0.8),
}


CHORDS: Mapping[str, tuple[int, ...]] = {
    "note": (0,),
    "power": (0, 7, 12),
    "major": (0, 4, 7, 12),
    "minor": (0, 3, 7, 12),
    "seventh": (0, 4, 7, 10),
    "minor seventh": (0, 3, 7, 10),
    "major seventh": (0, 4, 7, 11),
}
"""Semitones above the root."""


def render_chord(
    voice: Voice, *, frequencies: tuple[float, ...], duration: float, rng: np.random.Generator
) -> Samples:
    """Synthesise one note or chord of a voice.

    Parameters
    ----------
    voice
        The instrument.
    frequencies
        Fundamental of each note [Hz], lowest first.
    duration
        Length that is needed [s], at most the voice's own length.
    rng
        Source of the breath noise.

    Returns
    -------
    numpy.ndarray [shape=(num_samples,)]
        The sound with peak 1.
    """
    num_samples = int(min(duration, voice.length) * SAMPLE_RATE)
    engine = _modulate if voice.fm else _drop if voice.drop else _add
    mix = np.zeros(num_samples, np.float32)
    for position, frequency in enumerate(frequencies):
        delay = int(position * voice.strum * SAMPLE_RATE)
        mix[delay:] += engine(voice, frequency, num_samples - delay)
    if voice.breath:
        mix += noise_band(rng, edges=(1000.0, 8000.0), num_samples=num_samples) * np.float32(voice.breath)
    if voice.drive:
        mix = soft_clip(to_peak(mix) * gain(voice.drive))
    if voice.lowpass:
        mix = lowpass(mix, corner=voice.lowpass)
    for centre, height in voice.cabinet:
        mix = resonance(mix, centre=centre, height=height)
    fade_in(mix, seconds=voice.attack)
    return to_peak(mix)


def _add(voice: Voice, frequency: float, num_samples: int) -> Samples:
    tables = _wavetables(voice, int(np.ceil(np.log2(frequency) * 4)))
    time = np.arange(num_samples) / SAMPLE_RATE
    if voice.vibrato:
        depth = voice.vibrato / 1200 * np.log(2) / (2 * np.pi * _VIBRATO_RATE)
        time += depth * sine(turns=time * _VIBRATO_RATE)
    mix = np.zeros(num_samples, np.float32)
    for cents in (-voice.detune / 2, voice.detune / 2) if voice.detune else (0.0,):
        phase = points(time * (frequency * 2 ** (cents / 1200)))
        if voice.decay is None:
            mix += np.add.reduce(tables)[phase]
            continue
        for (first, _), table in zip(_BANDS, tables, strict=False):
            fading = decay(num_samples, seconds=voice.decay / (1 + voice.damping * (first - 1)))
            mix += table[phase] * fading
    return mix


def _modulate(voice: Voice, frequency: float, num_samples: int) -> Samples:
    assert voice.fm and voice.decay
    ratio, index = voice.fm
    turns = np.arange(num_samples) * (frequency / SAMPLE_RATE)
    fading = decay(num_samples, seconds=voice.decay)
    modulator = sine(turns=turns * ratio) * fading * np.float32(index / (2 * np.pi))
    return sine(turns=turns + modulator) * fading


def _drop(voice: Voice, frequency: float, num_samples: int) -> Samples:
    assert voice.drop and voice.decay
    falling = sweep(start=frequency * 2**voice.drop, end=frequency, fall=0.05, num_samples=num_samples)
    return falling * decay(num_samples, seconds=voice.decay)


@lru_cache(maxsize=512)
def _wavetables(voice: Voice, quarter_octave: int) -> tuple[Samples, ...]:
    """Make one period for each band of harmonics, for all notes in a quarter of an octave.

    The quarter is numbered from 1 Hz, and the table is made for its upper end.
    """
    num_harmonics = max(1, min(63, int(0.48 * SAMPLE_RATE / 2 ** (quarter_octave / 4))))
    order = np.arange(1, num_harmonics + 1)
    amplitude = order ** -float(voice.rolloff)
    amplitude[1::2] *= voice.even
    if voice.pluck:
        amplitude *= np.abs(np.sin(np.pi * order * voice.pluck))
    if voice.formant:
        centre, height = voice.formant
        octaves = np.log2(order * 2 ** (quarter_octave / 4) / centre)
        amplitude *= 10 ** (height / 20 * np.exp(-2 * octaves**2))
    # Quadratic phases keep the crest low (Schroeder, 1970).
    harmonics = amplitude * np.exp(1j * np.pi * order**2 / num_harmonics)
    tables = []
    for first, last in _BANDS:
        spectrum = np.zeros(PERIOD // 2 + 1, np.complex128)
        spectrum[first : min(last, num_harmonics + 1)] = harmonics[first - 1 : last - 1]
        tables.append((scipy.fft.irfft(spectrum) * PERIOD / 2).astype(np.float32))
        if last > num_harmonics:
            break
    return tuple(tables)
