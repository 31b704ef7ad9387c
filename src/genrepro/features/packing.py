"""Turn mel.parquet into the model's input: log-mel or MFCC frames at its resolution, normalised, packed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base.params import Segments
from genrepro.base.tables import read_mel_description, read_mels
from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import Spans, spans


def pack(mel_path: Path, *, genre: pd.Series, split: pd.DataFrame, params: Segments) -> Features:
    """Pack the spectrograms at the model's resolution, normalised.

    Parameters
    ----------
    mel_path : Path
        mel.parquet. Excluded tracks and tracks without frames are left out.
    genre : Series
        Genre by track_id.
    split : DataFrame
        split.csv. Only its *training* frames give the mean and deviation for normalising.
    params : Segments
        Representation and resolution.

    Returns
    -------
    Features
        Without the hash, which `inputs.save` adds.
    """
    mel = read_mel_description(mel_path)
    used = set(split.loc[split["split"] != "excluded", "track_id"])
    how: dict[str, Any] = {
        "mel": mel,
        "segments": {
            key: getattr(params, key)
            for key in (
                "representation",
                "n_mfcc",
                "plan",
                "duration",
                "num_grid_segments",
                "vote_duration",
                "num_segments",
                "voting",
            )
        },
    }
    tracks: list[tuple[str, np.ndarray]] = []
    for row in read_mels(mel_path):
        if row["track_id"] in used and row["num_frames"]:
            if not tracks:
                how["pooling"] = _pooling(mel["frame_rate"], row["num_mels"], params)
            spectrogram = np.frombuffer(row["mel"], "<f2").reshape(row["num_frames"], row["num_mels"])
            tracks.append((row["track_id"], represent(spectrogram, how)))
    assert len(tracks) == len(used), "the audit excludes every track without frames"

    lengths = np.array([len(track) for _, track in tracks])
    index = pd.DataFrame(
        {
            "track_id": [track_id for track_id, _ in tracks],
            "genre": [genre[track_id] for track_id, _ in tracks],
            "first_frame": np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            "num_frames": lengths,
        }
    )
    frames = np.concatenate([track for _, track in tracks])
    del tracks  # as large as the frames
    genres = sorted(genre.unique())
    mean, std = _statistics(frames, spans(index, split, side="train", genres=genres))
    if params.representation == "log_mel":
        # One value for all bands. Normalising each band would remove how bass-heavy or bright a genre is.
        mean, std = mean.mean(keepdims=True), (std**2 + (mean - mean.mean()) ** 2).mean(keepdims=True) ** 0.5
    description = {
        "genres": genres,
        **how,
        "frame_rate": mel["frame_rate"] / how["pooling"]["frames"],  # Hz
        "num_bands": frames.shape[1],
        "mean": _plain(mean),  # dB; of MFCC a list, one for each coefficient
        "std": _plain(std),
    }
    frames = normalise(frames, description, out=frames).astype(np.float16)
    return Features(frames=frames, index=index, description=description)


def represent(spectrogram: np.ndarray, how: dict[str, Any]) -> np.ndarray:
    """Convert a spectrogram to the model's representation and resolution, not yet normalised.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels), dtype=float16]
        A row of mel.parquet.
    how : dict
        ``segments`` and ``pooling`` of features.json or model.json.

    Returns
    -------
    np.ndarray [shape=(max(1, num_frames // pooling), num_bands), dtype=float32]
    """
    if how["segments"]["representation"] == "mfcc":
        spectrogram = mfcc(spectrogram, n_mfcc=how["segments"]["n_mfcc"])
    return pool(spectrogram, **how["pooling"])


def pool(spectrogram: np.ndarray, *, frames: int, bands: int) -> np.ndarray:
    """Average whole groups of frames and of bands. An incomplete group at the end is dropped.

    Parameters
    ----------
    spectrogram : np.ndarray [shape=(num_frames, num_mels)]
    frames, bands : int
        Group sizes. A clip shorter than one group of frames is averaged as a whole.

    Returns
    -------
    np.ndarray [shape=(max(1, num_frames // frames), num_mels // bands), dtype=float32]
    """
    frames = min(frames, len(spectrogram))
    num_frames, num_bands = len(spectrogram) // frames, spectrogram.shape[1] // bands
    whole = spectrogram[: num_frames * frames, : num_bands * bands].astype(np.float32)
    return whole.reshape(num_frames, frames, num_bands, bands).mean(axis=(1, 3))


def normalise(
    frames: np.ndarray, description: dict[str, Any], *, out: np.ndarray | None = None
) -> np.ndarray:
    """Subtract the training mean and divide by the training deviation.

    Parameters
    ----------
    frames : numpy.ndarray [shape=(num_frames, num_bands), dtype=float32]
    description : mapping
        ``mean`` and ``std`` of each band over the training frames, in the unit of the frames.
    out : numpy.ndarray, optional
        Where the result goes, of equal shape. It may be ``frames``.

    Returns
    -------
    numpy.ndarray [shape=(num_frames, num_bands), dtype=float32]
    """
    centred = np.subtract(frames, np.float32(description["mean"]), out=out)
    return np.divide(centred, np.float32(description["std"]), out=centred)


def _pooling(frame_rate: float, num_mels: int, params: Segments) -> dict[str, int]:
    """Group sizes of frames and bands: the smallest within the limits. Coefficients are never averaged."""
    frames = max(1, int(np.ceil(frame_rate / params.max_frame_rate - 1e-9)))
    bands = 1 if params.representation == "mfcc" else max(1, -(-num_mels // params.max_mels))
    return {"frames": frames, "bands": bands}


def _statistics(frames: np.ndarray, training: Spans) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column over the training spans, summed in float64."""
    total, squares, count = np.zeros(frames.shape[1]), np.zeros(frames.shape[1]), 0
    for first, length in zip(training.first_frame, training.num_frames, strict=True):
        part = frames[first : first + length].astype(np.float64)
        total += part.sum(axis=0)
        squares += (part * part).sum(axis=0)
        count += len(part)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 1e-6))


def _plain(values: np.ndarray) -> float | list[float]:
    rounded = [round(float(value), 4) for value in values]
    return rounded[0] if len(rounded) == 1 else rounded


def mfcc(log_mel: np.ndarray, *, n_mfcc: int) -> np.ndarray:
    """Mel-frequency cepstral coefficients, as in ``librosa.feature.mfcc(S=...)``.

    The orthonormal discrete cosine transform (type 2) of each frame.

    Parameters
    ----------
    log_mel : np.ndarray [shape=(num_frames, n_mels)]
        dB.
    n_mfcc : int
        Number of coefficients, at most ``n_mels``.

    Returns
    -------
    np.ndarray [shape=(num_frames, n_mfcc)]
        Has the precision of ``log_mel``, but float16 becomes float32.
    """
    import scipy.fft

    frames = log_mel.astype(np.float32) if log_mel.dtype == np.float16 else log_mel
    return np.ascontiguousarray(scipy.fft.dct(frames, type=2, norm="ortho", axis=-1)[:, :n_mfcc])
