"""What happens to music on its way to a listener, as functions of mono samples.

Each takes samples [shape=(num_samples,), dtype=float32, full scale 1], their rate [Hz] and a random
generator, and returns samples of the same rate. What leaves full scale is clipped, as in a file of 16 bits.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np

Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def mp3(samples: np.ndarray, sample_rate: int, rng: np.random.Generator, *, bit_rate: int) -> np.ndarray:
    """Encode by LAME at a constant bit rate [bit/s], and decode."""
    import soundfile

    file = BytesIO(encoded_as_mp3(samples, sample_rate, bit_rate=bit_rate))
    return soundfile.read(file, dtype="float32")[0]


def encoded_as_mp3(samples: np.ndarray, sample_rate: int, *, bit_rate: int) -> bytes:
    """The bytes of an MP3 file; libsndfile knows the rates from 8 to 48 kHz that MP3 has."""
    import soundfile

    # libsndfile names a bit rate [kbit/s] by its place between the format's largest and smallest: MPEG-1 from
    # 32 kHz on, MPEG-2 from 16 kHz, MPEG-2.5 below.
    lowest, highest = (32, 320) if sample_rate >= 32000 else (8, 160) if sample_rate >= 16000 else (8, 64)
    level = (highest - bit_rate / 1000) / (highest - lowest)
    file = BytesIO()
    with soundfile.SoundFile(
        file,
        "w",
        samplerate=sample_rate,
        channels=1,
        format="MP3",
        bitrate_mode="CONSTANT",
        compression_level=float(np.clip(level, 0, 1)),
    ) as encoder:
        encoder.write(samples)
    return file.getvalue()


def noise(samples: np.ndarray, sample_rate: int, rng: np.random.Generator, *, snr: float) -> np.ndarray:
    """Add white noise ``snr`` dB below the clip's root mean square."""
    rms = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    return _clipped(samples + rms * 10 ** (-snr / 20) * rng.standard_normal(len(samples)))


def gain(samples: np.ndarray, sample_rate: int, rng: np.random.Generator, *, db: float) -> np.ndarray:
    """Louder or quieter by ``db``; what was near full scale is clipped."""
    return _clipped(samples * 10 ** (db / 20))


def low_pass(samples: np.ndarray, sample_rate: int, rng: np.random.Generator, *, cutoff: float) -> np.ndarray:
    """Remove what lies above ``cutoff`` Hz: Butterworth, order 8, 48 dB an octave."""
    from scipy.signal import butter, sosfilt

    if cutoff >= sample_rate / 2:
        return samples
    return sosfilt(butter(8, cutoff, fs=sample_rate, output="sos"), samples).astype(np.float32)


def speed(samples: np.ndarray, sample_rate: int, rng: np.random.Generator, *, factor: float) -> np.ndarray:
    """Play faster by ``factor``, as a turntable does: tempo and pitch together."""
    import soxr

    return soxr.resample(samples, sample_rate * factor, sample_rate, quality="HQ")


def _clipped(samples: np.ndarray) -> np.ndarray:
    return np.clip(samples, -1, 1).astype(np.float32)


CHANGES: dict[str, Change] = {
    "MP3, 64 kbit/s": partial(mp3, bit_rate=64_000),
    "noise, 20 dB": partial(noise, snr=20),
    "noise, 10 dB": partial(noise, snr=10),
    "gain, +6 dB": partial(gain, db=6),
    "gain, -6 dB": partial(gain, db=-6),
    "low-pass, 4 kHz": partial(low_pass, cutoff=4000),
    "speed, +2 %": partial(speed, factor=1.02),
    "speed, -2 %": partial(speed, factor=0.98),
}
