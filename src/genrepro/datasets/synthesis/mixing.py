"""Turn a score into audio with the artist's instruments, room and recording machine.

A studio keeps every note that it has synthesised, so a track only needs additions and one convolution.
Equaliser and room are combined in one impulse response.
"""

from dataclasses import replace

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from genrepro.datasets.synthesis.artists import Artist
from genrepro.datasets.synthesis.composer import CHORD_NAMES, Score
from genrepro.datasets.synthesis.drums import KIT, render_hit
from genrepro.datasets.synthesis.instruments import CHORDS, VOICES, Voice, render_chord
from genrepro.datasets.synthesis.signals import (
    LEVEL_BLOCK,
    SAMPLE_RATE,
    Samples,
    compressor,
    convolve,
    decay,
    gain,
    minimum_phase,
    soft_clip,
)
from genrepro.datasets.synthesis.singing import Singer
from genrepro.datasets.synthesis.throat import Throat
from genrepro.exact.streams import generator

_RELEASE = int(0.03 * SAMPLE_RATE)  # long enough to end a note without a click
_FADE: Samples = np.linspace(1, 0, _RELEASE, dtype=np.float32)
_LENGTHS = (0.3, 0.6, 1.2, 9.0)  # lengths in which notes are kept [s]; most notes are short
_FFT = 2**16
_EQ_TAPS = 1024
_HISS_SECONDS = 5


class Studio:
    """Renders scores with the sound of one artist.

    Parameters
    ----------
    artist
        Artist whose instruments, room and machine are used.
    singer
        Who sings the scores' vocal parts.

    Notes
    -----
    A sound depends only on the artist, the singer and the sound's name, and not on what was played before. So
    the order of tracks and the number of workers do not change the result.
    """

    def __init__(self, artist: Artist, singer: Singer | None = None) -> None:
        self._artist = artist
        self._singer = singer
        self._throat = Throat(singer) if singer else None
        self._hits: dict[str, Samples] = {}
        self._notes: dict[tuple[str, int, int, float], Samples] = {}
        self._voices: dict[str, Voice] = {}
        self._response = _impulse_response(artist, rng=self._stream("room"))
        self._hiss = _hiss(artist, rng=self._stream("hiss"))

    def render(self, score: Score) -> NDArray[np.int16]:
        """Play a score, and record it on the artist's machine.

        Returns
        -------
        numpy.ndarray [shape=(round(score.duration * SAMPLE_RATE),)]
            Mono 16-bit samples.
        """
        return self._master(self.play(score))

    def play(self, score: Score) -> Samples:
        """Play a score in the artist's room.

        Returns
        -------
        numpy.ndarray [shape=(round(score.duration * SAMPLE_RATE),)]
            The sound at any level.
        """
        num_samples = round(score.duration * SAMPLE_RATE)
        mix = np.zeros(num_samples + 4 * SAMPLE_RATE, np.float32)  # notes may ring past the end
        for name, strokes in score.hits.items():
            for onset, _, _, _, level in strokes.tolist():
                self._place(self._hit(name) * gain(level), mix=mix, onset=onset)
        for name, events in score.notes.items():
            for onset, duration, pitch, chord, level in events.tolist():
                end = int(duration * SAMPLE_RATE) + _RELEASE
                played = self._note(name, pitch, chord, end / SAMPLE_RATE)[:end] * gain(level)
                played[-_RELEASE:] *= _FADE
                self._place(played, mix=mix, onset=onset)
        return convolve(mix[:num_samples], self._response, size=_FFT)

    @staticmethod
    def _place(samples: Samples, *, mix: Samples, onset: float) -> None:
        start = int(onset * SAMPLE_RATE)
        mix[start : start + len(samples)] += samples

    def _stream(self, name: str) -> np.random.Generator:
        return generator(self._artist.stream, name)

    def _hit(self, name: str) -> Samples:
        if name not in self._hits:
            pitch, stretch = self._artist.kit_pitch, self._artist.kit_decay
            self._hits[name] = render_hit(KIT[name], pitch=pitch, stretch=stretch, rng=self._stream(name))
        return self._hits[name]

    def _note(self, name: str, pitch: int, chord: int, duration: float) -> Samples:
        length = next((length for length in _LENGTHS if length > duration), _LENGTHS[-1])
        key = (name, pitch, chord, length)
        if key not in self._notes and self._singer and self._throat and name == self._singer.name:
            self._notes[key] = self._throat.sing(chord, frequency=self._frequency(pitch), duration=length)
        if key not in self._notes:
            self._notes[key] = render_chord(
                self._voice(name),
                frequencies=tuple(self._frequency(pitch + above) for above in CHORDS[CHORD_NAMES[chord]]),
                duration=length,
                rng=self._stream(f"{name}/{pitch}/{chord}"),
            )
        return self._notes[key]

    def _frequency(self, pitch: int) -> float:
        return 440 * 2 ** ((pitch - 69) / 12 + self._artist.tuning / 1200)

    def _voice(self, name: str) -> Voice:
        """The voice with this artist's timbre."""
        if name not in self._voices:
            voice = VOICES[name]
            present = {field: getattr(voice, field) for field in self._artist.timbre if getattr(voice, field)}
            self._voices[name] = replace(
                voice, **{field: value * self._artist.timbre[field] for field, value in present.items()}
            )
        return self._voices[name]

    def _master(self, mix: Samples) -> NDArray[np.int16]:
        """Compress, scale to the artist's loudness, add the medium's noise and clip softly."""
        blocks = np.zeros((-(-len(mix) // LEVEL_BLOCK), LEVEL_BLOCK), np.float32)
        blocks.ravel()[: len(mix)] = mix
        factor = compressor(blocks, strength=self._artist.compression) * gain(self._artist.loudness)
        ramp = np.linspace(0, 1, LEVEL_BLOCK, endpoint=False)
        blocks *= (factor[:, None] + np.diff(factor, append=factor[-1])[:, None] * ramp).astype(np.float32)
        out = blocks.ravel()[: len(mix)]
        for start in range(0, len(out), len(self._hiss)):
            out[start : start + len(self._hiss)] += self._hiss[: len(out) - start]
        clipped = soft_clip(out)
        clipped *= np.float32(32767)
        return clipped.astype(np.int16)


def _impulse_response(artist: Artist, *, rng: np.random.Generator) -> Samples:
    """Impulse response of the equaliser, followed by the room."""
    frequencies = np.maximum(scipy.fft.rfftfreq(_EQ_TAPS, 1 / SAMPLE_RATE), 20.0)
    curve = artist.tilt * np.log2(frequencies / 700)
    for centre, height, width in artist.peaks:
        curve += height * np.exp(-0.5 * (np.log2(frequencies / centre) / width) ** 2)
    low, high = artist.band
    curve -= 12 * np.maximum(0, np.log2(low / frequencies)) + 24 * np.maximum(0, np.log2(frequencies / high))
    magnitude = 10 ** (np.clip(curve, -60, 24) / 20)
    equaliser = minimum_phase(magnitude)

    num_samples = int(min(artist.reverb_time, 1.2) * SAMPLE_RATE)
    tail = rng.standard_normal(num_samples) * decay(num_samples, seconds=artist.reverb_time)
    tail[: int(0.012 * SAMPLE_RATE)] = 0  # sound needs this time to the walls and back
    # Air and curtains absorb treble. Low frequencies are removed too, so that the bass stays clear.
    tail = scipy.signal.lfilter(*scipy.signal.butter(1, (200, 5000), "bandpass", fs=SAMPLE_RATE), tail)
    tail *= 10 ** (artist.reverb_level / 20) / np.sqrt(np.sum(tail**2))
    room = np.zeros(num_samples + 1)
    room[0] = 1
    room[1:] += tail
    return scipy.signal.fftconvolve(room, equaliser).astype(np.float32)


def _hiss(artist: Artist, *, rng: np.random.Generator) -> Samples:
    noise = rng.standard_normal(_HISS_SECONDS * SAMPLE_RATE, dtype=np.float32)
    coloured = scipy.signal.lfilter(*scipy.signal.butter(1, artist.hiss_corner, fs=SAMPLE_RATE), noise)
    return (coloured / np.sqrt(np.mean(coloured**2)) * 10 ** (artist.hiss / 20)).astype(np.float32)
