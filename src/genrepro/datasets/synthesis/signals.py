"""Basic signals: sines, noise bands, decays and clipping, in single precision.

Only elementary arithmetic, table look-up and `scipy.signal` recursion in a fixed order are used. There is no
BLAS and no transcendental function over long arrays, so that a seed gives the same samples on all processors.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono audio [shape=(num_samples,)]."""

SAMPLE_RATE = 22050
"""Sampling rate of all synthesis [Hz], GTZAN's."""

PERIOD = 2048
"""Points in one period of a table. Read without interpolation, its error is near -60 dB."""

LEVEL_BLOCK = 512
"""Samples in a block over which a level is measured."""

_BLOCK = 256
_SMOOTHING = np.hanning(13) / np.hanning(13).sum()  # of blocks: 0.3 s


def points(turns: NDArray[np.floating]) -> NDArray[np.intp]:
    """Indices into a table of one period [shape=(num_samples,)], for phases in turns of equal shape."""
    phase = (turns * PERIOD).astype(np.intp)
    phase &= PERIOD - 1  # also right for negative phases
    return phase


def sine(*, turns: NDArray[np.floating]) -> Samples:
    """Sine of phases given in turns."""
    return _SINE[points(turns)]


def sweep(*, start: float, end: float, fall: float, num_samples: int) -> Samples:
    """Sine whose pitch falls from `start` to `end` [Hz], mostly within `fall` seconds."""
    falling = decay(num_samples, seconds=3 * fall).astype(np.float64)
    return sine(turns=np.cumsum(end + (start - end) * falling) / SAMPLE_RATE)


def noise_band(rng: np.random.Generator, *, edges: tuple[float, float], num_samples: int) -> Samples:
    """Noise between two frequencies [Hz], with peak 1."""
    noise = rng.standard_normal(num_samples, dtype=np.float32)
    return to_peak(scipy.signal.lfilter(*_butterworth(edges, "bandpass"), noise))


def lowpass(samples: Samples, *, corner: float) -> Samples:
    """Lowpass filter with corner frequency `corner` [Hz] and a slope of 12 dB per octave."""
    return scipy.signal.lfilter(*_butterworth((corner,), "lowpass"), samples)


def resonance(samples: Samples, *, centre: float, height: float) -> Samples:
    """Raise the octave around `centre` [Hz] by `height` [dB]. A height below 0 lowers it."""
    # A bandpass does not turn the phase at its centre, so its output adds to the sound or cancels it.
    edges = (centre / 2**0.5, centre * 2**0.5)
    return samples + scipy.signal.lfilter(*_butterworth(edges, "bandpass", order=1), samples) * (
        gain(height) - 1
    )


@lru_cache(maxsize=64)  # all notes of an instrument share their decays
def decay(num_samples: int, *, seconds: float) -> Samples:
    """Exponential decay by 60 dB in `seconds`, read-only. It only computes a few hundred exponentials."""
    rate = np.log(1000.0) / (seconds * SAMPLE_RATE)
    coarse = np.exp(-rate * _BLOCK * np.arange(-(-num_samples // _BLOCK))).astype(np.float32)
    fine = np.exp(-rate * np.arange(_BLOCK)).astype(np.float32)
    falling = np.multiply.outer(coarse, fine).ravel()[:num_samples]
    falling.flags.writeable = False
    return falling


def fade_in(samples: Samples, *, seconds: float) -> None:
    """Fade the beginning in, in place."""
    num_samples = min(len(samples), max(2, int(seconds * SAMPLE_RATE)))
    samples[:num_samples] *= np.linspace(0, 1, num_samples, dtype=np.float32)


def convolve(samples: Samples, response: Samples, *, size: int) -> Samples:
    """Convolve by overlap-add in one batch of transforms, three times as fast as `oaconvolve` of SciPy.

    Transforms have `size` points. The result is as long as `samples`.
    """
    hop = size - len(response) + 1
    num_blocks = -(-len(samples) // hop)
    blocks = np.zeros((num_blocks, size), np.float32)
    for index in range(num_blocks):
        piece = samples[index * hop : (index + 1) * hop]
        blocks[index, : len(piece)] = piece
    spectra = scipy.fft.rfft(blocks, overwrite_x=True)
    spectra *= scipy.fft.rfft(response, size)
    blocks = scipy.fft.irfft(spectra, size, overwrite_x=True)
    convolved = np.zeros(num_blocks * hop + size, np.float32)
    for index in range(num_blocks):
        convolved[index * hop : index * hop + size] += blocks[index]
    return convolved[: len(samples)]


def minimum_phase(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Impulse response with the given spectrum, by folding the real cepstrum: onsets do not move."""
    cepstrum = scipy.fft.irfft(np.log(magnitude))
    middle = len(cepstrum) // 2
    cepstrum[1:middle] *= 2
    cepstrum[middle + 1 :] = 0
    return scipy.fft.irfft(np.exp(scipy.fft.rfft(cepstrum)))


def soft_clip(samples: Samples) -> Samples:
    """Clip softly to (-1, 1) by x / sqrt(1 + x^2), which every processor rounds in the same way."""
    divisor = samples * samples
    divisor += np.float32(1)
    np.sqrt(divisor, out=divisor)
    return np.divide(samples, divisor, out=divisor)


def compressor(blocks: Samples, *, strength: float) -> NDArray[np.float64]:
    """Gains of a slow compressor that also brings the mean power near 1.

    Parameters
    ----------
    blocks : numpy.ndarray [shape=(num_blocks, LEVEL_BLOCK)]
    strength : float
        Share of a block's level, in decibels, that is taken away: 0 keeps all differences.

    Returns
    -------
    numpy.ndarray [shape=(num_blocks,)]
    """
    power = np.mean(blocks * blocks, axis=1, dtype=np.float64)
    mean = max(power.mean(), 1e-12)
    # Blocks 30 dB below the average count as pauses, so that the compressor does not amplify silence.
    loudness = scipy.ndimage.convolve1d(np.maximum(power / mean, 1e-3), _SMOOTHING)
    return loudness ** (-strength / 2) / np.sqrt(mean)


def to_peak(samples: Samples) -> Samples:
    """Scale to a peak of 1."""
    return samples * (np.float32(1) / max(samples.max(), -samples.min(), np.float32(1e-9)))


def gain(decibels: float) -> np.float32:
    """Amplitude factor of a level in decibels."""
    return np.float32(10 ** (decibels / 20))


@lru_cache(maxsize=1024)
def _butterworth(edges: tuple[float, ...], kind: str, *, order: int = 2) -> tuple[Samples, Samples]:
    numerator, denominator = scipy.signal.butter(order, np.squeeze(edges), kind, fs=SAMPLE_RATE)
    return numerator.astype(np.float32), denominator.astype(np.float32)


_SINE: Samples = np.sin(2 * np.pi * np.arange(PERIOD) / PERIOD).astype(np.float32)
