"""Audio files to mono samples at one rate: decode with libsndfile, mix down, resample with soxr HQ."""

from pathlib import Path

import numpy as np


class UndecodableError(ValueError):
    """The file holds no usable audio; the message says why."""


def decode(path: Path, *, sample_rate: int) -> np.ndarray:
    """Mono audio of a file.

    Parameters
    ----------
    path : Path
        Anything libsndfile reads: WAV, AU, FLAC, OGG, MP3.
    sample_rate : int
        Hz of the result.

    Returns
    -------
    np.ndarray [shape=(num_samples,), dtype=float32]
        Full scale is 1.

    Raises
    ------
    UndecodableError
        If libsndfile refuses the file, or it has no samples or a sample that is no number.
    """
    import soundfile

    try:
        samples, original_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UndecodableError(f"undecodable: {error.error_string.strip().rstrip('.')}") from error
    if not len(samples):
        raise UndecodableError("undecodable: no samples")
    # Adding whole channels runs along memory; mean(axis=1) over interleaved pairs is many times slower.
    mono = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        mono += samples[:, channel]
    mono /= samples.shape[1]
    if not np.isfinite(mono).all():
        raise UndecodableError("undecodable: samples that are not numbers")
    if original_rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, original_rate, sample_rate, quality="HQ")
        if not len(mono):  # a handful of samples at a higher rate
            raise UndecodableError(f"undecodable: no samples at {sample_rate} Hz")
        if not len(mono):  # a handful of samples at a higher rate
            raise UndecodableError(f"undecodable: no samples at {sample_rate} Hz")
    return mono


def levels(samples: np.ndarray) -> tuple[float, float]:
    """Peak and clipped share of a clip.

    Returns
    -------
    peak : float
        Largest absolute sample, full scale 1.
    clipped_share : float
        Share of samples that sit at the peak beside another one there, if the peak is full scale within one
        16-bit step; 0 otherwise. A single sample at full scale is normalisation, a run is clipping.
    """
    magnitude = np.abs(samples)
    peak = float(magnitude.max())
    if peak < 1 - 2 / 32768:
        return peak, 0.0
    at_peak = magnitude >= peak - 1 / 32768
    beside = np.zeros_like(at_peak)
    beside[1:] |= at_peak[:-1]
    beside[:-1] |= at_peak[1:]
    return peak, float(np.mean(at_peak & beside))
