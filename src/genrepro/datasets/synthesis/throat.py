"""Synthesise the syllables of a singer.

A voice is a train of glottal pulses through a vocal tract (Fant, 1960). One pulse through the tract is a
short sound that depends on the vowel and not on the pitch. So it is made once for each step of each syllable,
and a note repeats it at its pitch. That moves formants and pitch independently, with no filter over the
samples.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from genrepro.datasets.synthesis.signals import (
    SAMPLE_RATE,
    Samples,
    decay,
    fade_in,
    gain,
    noise_band,
    sine,
    soft_clip,
    to_peak,
)
from genrepro.datasets.synthesis.singing import CONSONANTS, NUM_SYLLABLES, VOWELS, Consonant, Singer
from genrepro.exact.streams import generator

_OVERSAMPLING = 4
_PULSE = 768  # points that a pulse sounds, 9 ms
_ROW = 1024  # points in the memory of a pulse; the last ones are zero
_BINS = 256  # of the pulse's spectrum, up to 11 kHz
_STEPS = 16  # of a syllable
_ARRIVAL = 8  # of them to reach the vowel, the others to leave it
_REACH = 0.09  # time in which the vowel is reached [s]
_BANDWIDTHS = (80, 95, 130)  # of the three lowest formants [Hz]
_HIGHER = ((3500, 200), (4500, 300), (5500, 450), (6600, 600), (7700, 800), (8800, 1000))  # the others
_RING = ((2900, 150), (3300, 200), *_HIGHER[1:])
_NOISE_SECONDS = 4
_LONGEST = 2.6  # [s]


class Throat:
    """Synthesises the syllables of one singer."""

    def __init__(self, singer: Singer) -> None:
        self._singer = singer
        self._pulses = _pulses(singer)
        rng = generator(singer.stream, "noise")
        self._breath = noise_band(rng, edges=(1200.0, 8000.0), num_samples=_NOISE_SECONDS * SAMPLE_RATE)
        self._bursts = {
            name: _burst(CONSONANTS[name], rng=rng)
            for name in sorted({name for name, *_ in singer.syllables})
        }

    def sing(self, syllable: int, *, frequency: float, duration: float) -> Samples:
        """Sing a syllable.

        Parameters
        ----------
        syllable
            Number of the singer's syllable.
        frequency
            Pitch at which the note settles [Hz].
        duration
            Length that is needed [s], at most 2.6 s.

        Returns
        -------
        numpy.ndarray [shape=(num_samples,)]
            The sound with peak 1.
        """
        singer, delivery = self._singer, self._singer.delivery
        rng = generator(singer.stream, f"{syllable}/{frequency:.1f}")
        num_samples = int(min(duration, _LONGEST) * SAMPLE_RATE)
        burst = self._bursts[singer.syllables[syllable][0]]
        rows = _path(num_samples, delay=len(burst)) + np.int32(syllable * _STEPS * _ROW)
        mix = np.zeros(num_samples, np.float32)
        for _ in range(delivery.people):
            mix += self._voice(frequency, rows, rng=rng)
        mix[: len(burst)] = 0
        fade_in(mix[len(burst) :], seconds=0.015)
        if delivery.drive:
            mix = soft_clip(to_peak(mix) * gain(delivery.drive))
        mix = to_peak(mix)
        start = int(rng.integers(len(self._breath) - num_samples))
        mix += self._breath[start : start + num_samples] * gain(singer.breath)
        mix[: len(burst)] += burst[:num_samples]
        return to_peak(mix)

    def _voice(self, frequency: float, rows: NDArray[np.int32], *, rng: np.random.Generator) -> Samples:
        """One person's pulses."""
        singer, delivery = self._singer, self._singer.delivery
        detune = rng.normal(0, 6 if delivery.people == 1 else 14)
        frequency = frequency * 2 ** (detune / 1200)
        time = _time(len(rows))
        # The pitch is f * (1 + g * decay + v * sin): its integral is the phase.
        glide = 2 ** (rng.uniform(*delivery.glide) / 12) - 1
        ease = 3 * delivery.glide_time
        phase = np.float32(frequency) * time
        phase -= np.float32(frequency * glide * ease / np.log(1000)) * decay(len(rows), seconds=ease)
        if singer.vibrato:
            swing = frequency * singer.vibrato / 1200 * np.log(2) / (2 * np.pi * singer.vibrato_rate)
            wave = sine(turns=time * np.float32(singer.vibrato_rate) + np.float32(rng.random()))
            phase += wave * _growing(len(rows)) * np.float32(swing)
        phase += np.float32(1 + abs(phase[0]))
        period = phase.astype(np.int32)
        phase -= period
        length = _OVERSAMPLING * SAMPLE_RATE / frequency
        phase *= np.float32(length)
        point = phase.astype(np.int32)
        mix = np.zeros(len(rows), np.float32)
        for start in range(0, _PULSE, int(length)):  # pulses that have not died away
            mix += self._pulses[rows + np.minimum(point + start, _ROW - 1)]
        if delivery.roughness:
            strength = rng.uniform(1 - delivery.roughness, 1, size=256).astype(np.float32)
            mix *= strength[period & 255]
        return mix


def _pulses(singer: Singer) -> Samples:
    """One pulse for each step of each syllable [shape=(NUM_SYLLABLES * _STEPS * _ROW,)]."""
    formants = np.empty((NUM_SYLLABLES, _STEPS, 3))
    arrive, leave = np.linspace(0, 1, _ARRIVAL)[:, None], np.linspace(0, 1, _STEPS - _ARRIVAL)[:, None]
    for path, (consonant, first, last) in zip(formants, singer.syllables, strict=True):
        locus, vowel, end = CONSONANTS[consonant].locus, np.array(VOWELS[first]), np.array(VOWELS[last])
        path[:_ARRIVAL] = (1 - arrive) * locus + arrive * vowel
        path[_ARRIVAL:] = (1 - leave) * vowel + leave * end
    frequency = np.arange(1, _BINS) * (_OVERSAMPLING * SAMPLE_RATE / (2 * _ROW))
    # The glottis loses 12 dB per octave, and the lips win 6.
    response = 1j * frequency / (1 + 1j * frequency / singer.brightness) ** 2
    response *= np.clip((10800 - frequency) / 2000, 0, 1)
    frequency /= singer.size * (1.1 if singer.delivery.drive else 1.0)  # who shouts opens the mouth
    for centre, width in _RING if singer.delivery.ring else _HIGHER:
        response *= centre**2 / (centre**2 - frequency**2 + 1j * width * frequency)
    tract = np.ones((NUM_SYLLABLES * _STEPS, _BINS - 1), np.complex128) * response
    for centres, width in zip(formants.reshape(-1, 3).T, _BANDWIDTHS, strict=True):
        square = centres[:, None] ** 2
        tract *= square / (square - frequency**2 + 1j * width * frequency)
    spectrum = np.zeros((len(tract), _ROW + 1), np.complex128)
    spectrum[:, 1:_BINS] = tract
    pulses = scipy.fft.irfft(spectrum)[:, :_ROW]
    pulses[:, _PULSE:] = 0
    pulses[:, _PULSE // 2 : _PULSE] *= np.linspace(1, 0, _PULSE // 2)
    pulses /= np.abs(pulses).max(axis=1, keepdims=True)
    return pulses.astype(np.float32).ravel()


def _burst(consonant: Consonant, *, rng: np.random.Generator) -> Samples:
    if not consonant.noise:
        return np.zeros(0, np.float32)
    num_samples = int(consonant.length * SAMPLE_RATE)
    burst = noise_band(rng, edges=consonant.noise, num_samples=num_samples) * gain(consonant.level)
    burst *= np.hanning(num_samples + 2)[1:-1].astype(np.float32) ** np.float32(0.5)
    return burst


@lru_cache(maxsize=128)
def _path(num_samples: int, *, delay: int) -> NDArray[np.int32]:
    """Where in a syllable's pulses each sample reads: the first point of its step. It is read-only."""
    time = (np.arange(num_samples) - delay) / SAMPLE_RATE
    leaving = (_STEPS - _ARRIVAL) * (time - _REACH) / max(num_samples / SAMPLE_RATE - _REACH, 0.1)
    step = np.where(time < _REACH, _ARRIVAL * time / _REACH, _ARRIVAL + leaving)
    path = np.clip(step, 0, _STEPS - 1).astype(np.int32) * np.int32(_ROW)
    path.flags.writeable = False
    return path


@lru_cache(maxsize=32)
def _time(num_samples: int) -> Samples:
    time = (np.arange(num_samples) / SAMPLE_RATE).astype(np.float32)
    time.flags.writeable = False
    return time


@lru_cache(maxsize=32)
def _growing(num_samples: int) -> Samples:
    """How a vibrato sets in, read-only."""
    growing = np.minimum(_time(num_samples) / np.float32(0.35), np.float32(1))
    growing.flags.writeable = False
    return growing
