"""Log-mel spectrograms exactly as librosa makes them."""

import numpy as np

from genrepro.params import Mel


def log_mel(samples: np.ndarray, *, params: Mel) -> np.ndarray:
    """Log-mel spectrogram relative to the clip's maximum.

    ``power_to_db(melspectrogram(...), ref=np.max)`` with librosa's defaults: centred Hann frames padded with
    zeros, Slaney's mel scale and area normalisation.

    Parameters
    ----------
    samples : np.ndarray [shape=(num_samples,), dtype=float32]
        Mono audio at ``params.sample_rate``.

    Returns
    -------
    np.ndarray [shape=(1 + num_samples // hop_length, n_mels), dtype=float32]
        dB, between ``-top_db`` and 0, lowest band first.
    """
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples,
        sr=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax,
    )
    return np.ascontiguousarray(
        librosa.power_to_db(power, ref=np.max, top_db=params.top_db).T, dtype=np.float32
    )


def describe(params: Mel) -> dict:
    """What a reader of the spectrograms must know, and what `predict` needs to make the same again."""
    return {
        "kind": "log_mel",
        "frame_rate": params.sample_rate / params.hop_length,  # Hz
        "top_db": params.top_db,
        **{
            key: getattr(params, key)
            for key in ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax")
        },
    }


def pack(mel: np.ndarray) -> bytes:
    """Little-endian float16 in C order, the layout of mel.parquet."""
    return mel.astype("<f2").tobytes()


def unpack(data: bytes, *, num_mels: int) -> np.ndarray:
    """The inverse of `pack`: [shape=(num_frames, num_mels), dtype=float16]."""
    return np.frombuffer(data, dtype="<f2").reshape(-1, num_mels)
