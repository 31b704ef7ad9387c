"""Draw recording media, and play music through them: telephone, shellac, cassette, codecs and others.

Which medium a track has does not depend on its genre, so a model cannot take the one for the other. A medium
compresses, overdrives, adds noise, equalises, limits the band, and sets the loudness.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from genrepro.datasets.synthesis.signals import (
    LEVEL_BLOCK,
    SAMPLE_RATE,
    Samples,
    compressor,
    convolve,
    gain,
    minimum_phase,
    sine,
    soft_clip,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of medium. Pairs are the range from which a track's value is drawn."""

    share: float
    """Share of tracks."""
    low: tuple[float, float] = (15, 40)
    """Lower edge of the band [Hz]."""
    high: tuple[float, float] = (9000, 10900)
    """Upper edge of the band [Hz]."""
    slope: tuple[float, float] = (12, 36)
    """Slope at the edges [dB per octave]."""
    drive: tuple[float, float] = (-20, -4)
    """Level of the music at the saturation [dB]. It is audible from about -10."""
    hiss: tuple[float, float] = (-75, -50)
    """Noise relative to the music [dB]."""
    crackle: tuple[float, float] | None = None
    """Dust on a record relative to the music [dB]."""
    hum: float = 0.1
    """Probability of mains hum."""


KINDS: Mapping[str, Kind] = {
    "full": Kind(share=0.34),
    "codec": Kind(share=0.24, high=(5000, 10000), slope=(90, 200)),
    "cassette": Kind(share=0.14, low=(30, 70), high=(6000, 10000), drive=(-14, -1), hiss=(-52, -30), hum=0.2),
    "record": Kind(
        share=0.10, low=(25, 60), high=(7500, 10900), hiss=(-60, -38), crackle=(-40, -14), hum=0.3
    ),
    "radio": Kind(
        share=0.08, low=(70, 200), high=(3500, 5500), slope=(24, 60), drive=(-8, 2), hiss=(-50, -22), hum=0.3
    ),
    "shellac": Kind(
        share=0.07, low=(100, 250), high=(3000, 5500), slope=(24, 60), hiss=(-40, -18), crackle=(-25, -6)
    ),
    "telephone": Kind(share=0.03, low=(250, 350), high=(3000, 3600), slope=(36, 90), drive=(-8, 2)),
}

LOUDNESS = (-30.0, -8.0)
"""Quietest and loudest track [dB relative to full scale]."""

_TAPS = 1024
_FFT = 2**15
_TURN = int(1.8 * SAMPLE_RATE)  # of a record with 33 1/3 turns per minute; also whole periods of 50 and 60 Hz


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """What happened to one track on the way from the studio to the file. Levels are relative to the music."""

    kind: str
    tilt: float
    """Slope of the equaliser [dB per octave around 700 Hz]."""
    peaks: tuple[tuple[float, float, float], ...]
    """Resonances of the equaliser: centre [Hz], height [dB], width [octaves]."""
    band: tuple[float, float]
    """Edges [Hz]."""
    slope: float
    """Slope at the edges [dB per octave]."""
    compression: float
    """Share of the loudness differences that is removed, 0 to 1."""
    drive: float
    """Level of the music at the saturation [dB]."""
    hiss: float
    """[dB]"""
    hiss_corner: float
    """Where the noise turns from white to falling [Hz]."""
    crackle: float | None
    """[dB]"""
    hum: tuple[float, float] | None
    """Frequency of the mains [Hz] and level [dB]."""
    drift: float
    """Standard deviation of the gain over seconds [dB]."""
    fade: float
    """Length of the fade-in [s]."""
    silence: float
    """Time before the music [s]. The noise is there already."""
    loudness: float
    """Root mean square of the finished track [dB relative to full scale]."""


def draw_medium(rng: np.random.Generator) -> Medium:
    """Draw the medium of a track."""
    share = np.cumsum([kind.share for kind in KINDS.values()])
    name = list(KINDS)[int(np.searchsorted(share / share[-1], rng.random(), side="right"))]
    kind = KINDS[name]
    crackle = rng.uniform(*kind.crackle) if kind.crackle else None
    hum = (float(rng.choice((50, 60))), rng.uniform(-50, -22)) if rng.random() < kind.hum else None
    return Medium(
        kind=name,
        tilt=rng.normal(0, 1.0),
        peaks=tuple(
            (60 * 2 ** rng.uniform(0, 7), rng.normal(0, 2.5), rng.uniform(0.5, 2.0)) for _ in range(3)
        ),
        band=(rng.uniform(*kind.low), rng.uniform(*kind.high)),
        slope=rng.uniform(*kind.slope),
        compression=rng.uniform(0.0, 0.8),
        drive=rng.uniform(*kind.drive),
        hiss=rng.uniform(*kind.hiss),
        hiss_corner=100 * 2 ** rng.uniform(0, 6.5),
        crackle=crackle,
        hum=hum,
        drift=rng.uniform(0, 1.5),
        fade=rng.uniform(0.5, 5) if rng.random() < 0.04 else 0.0,
        silence=rng.uniform(0.1, 1.5) if rng.random() < 0.05 else 0.0,
        loudness=rng.uniform(*LOUDNESS),
    )


def record(music: Samples, *, medium: Medium, rng: np.random.Generator) -> NDArray[np.int16]:
    """Play music through a medium.

    Parameters
    ----------
    music
        The band's sound at any level [shape=(num_samples,)].
    medium
        The medium.
    rng
        Source of noise and drift.

    Returns
    -------
    numpy.ndarray [shape=(num_samples,)]
        Mono 16-bit samples.
    """
    sound = _level(music, medium=medium, rng=rng)
    if medium.drive > -12:  # below this level the clipper is a straight line for all but peaks
        sound *= gain(medium.drive)
        sound = soft_clip(sound)
        sound *= gain(-medium.drive)
    noise = _noise(medium, rng=rng)
    for start in range(0, len(sound), len(noise)):
        sound[start : start + len(noise)] += noise[: len(sound) - start]
    sound = convolve(sound, _filter(medium), size=_FFT)
    power = np.dot(sound, sound) / len(sound)
    sound *= gain(medium.loudness) / np.sqrt(max(power, 1e-6))  # silence stays silent
    sound = soft_clip(sound)
    sound *= np.float32(32767)
    return sound.astype(np.int16)


def _level(music: Samples, *, medium: Medium, rng: np.random.Generator) -> Samples:
    """Compress, drift, and fade in. The result has a mean power near 1."""
    num_blocks = -(-len(music) // LEVEL_BLOCK)
    blocks = np.zeros((num_blocks, LEVEL_BLOCK), np.float32)
    late = min(int(medium.silence * SAMPLE_RATE), len(music) // 4)
    blocks.ravel()[late : len(music)] = music[: len(music) - late]
    seconds = np.arange(num_blocks) * (LEVEL_BLOCK / SAMPLE_RATE)
    knots = np.arange(0, seconds[-1] + 8, 4)
    factor = compressor(blocks, strength=medium.compression)
    factor *= 10 ** (np.interp(seconds, knots, rng.normal(0, medium.drift, len(knots))) / 20)
    if medium.fade:
        factor *= np.minimum(1, seconds / min(medium.fade, seconds[-1] / 4))
    ramp = np.linspace(0, 1, LEVEL_BLOCK, endpoint=False, dtype=np.float32)
    slope = np.diff(factor, append=factor[-1]).astype(np.float32)
    blocks *= factor.astype(np.float32)[:, None] + slope[:, None] * ramp
    return blocks.ravel()[: len(music)]


def _noise(medium: Medium, *, rng: np.random.Generator) -> Samples:
    """Three turns of a record, which are repeated: hiss, hum and crackle."""
    noise = rng.random(3 * _TURN, dtype=np.float32) - np.float32(0.5)
    noise = scipy.signal.lfilter(*scipy.signal.butter(1, medium.hiss_corner, fs=SAMPLE_RATE), noise)
    noise *= 10 ** (medium.hiss / 20) / np.sqrt(np.mean(noise**2))
    noise = noise.astype(np.float32)
    if medium.hum:
        mains, level = medium.hum
        turns = np.arange(3 * _TURN) * (mains / SAMPLE_RATE)
        for harmonic, loss in ((1, 0), (2, 4), (3, 8), (5, 14)):
            noise += sine(turns=harmonic * turns) * gain(level + 3 - loss)
    if medium.crackle is not None:
        for count, where in ((rng.integers(2, 40), _TURN), (rng.integers(2, 80), 3 * _TURN)):
            clicks = np.zeros(where, np.float32)
            # Most grains of dust are small. A click lasts some tenths of a millisecond.
            size = rng.standard_normal(count) * rng.pareto(3, count)
            clicks[rng.integers(where - 8, size=count)] = size
            clicks[3:] += 0.7 * clicks[:-3]
            noise += np.tile(clicks, 3 * _TURN // where) * (20 * gain(medium.crackle))
    return noise


def _filter(medium: Medium) -> Samples:
    """Impulse response of the equaliser and of the edges of the band."""
    frequencies = np.maximum(scipy.fft.rfftfreq(_TAPS, 1 / SAMPLE_RATE), 10.0)
    curve = medium.tilt * np.log2(frequencies / 700)
    for centre, height, width in medium.peaks:
        curve += height * np.exp(-0.5 * (np.log2(frequencies / centre) / width) ** 2)
    low, high = medium.band
    curve -= min(medium.slope, 36) * np.maximum(0, np.log2(low / frequencies))
    curve -= medium.slope * np.maximum(0, np.log2(frequencies / high))
    return minimum_phase(10 ** (np.clip(curve, -60, 24) / 20)).astype(np.float32)
