"""One short piece of music in every format that ffmpeg's libraries write, and damaged ones."""

import io
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

RATE = 44_100  # Hz
DURATION = 4.0  # s
# Name, encoder, its sample format, its rate [Hz], container.
ENCODED = {
    "aac.m4a": ("aac", "fltp", RATE, "ipod"),
    "aac.aac": ("aac", "fltp", RATE, "adts"),
    "aac.3gp": ("aac", "fltp", RATE, "3gp"),
    "alac.m4a": ("alac", "s16p", RATE, "ipod"),
    "wma.wma": ("wmav2", "fltp", RATE, "asf"),
    "opus.webm": ("libopus", "flt", 48_000, "webm"),
    "ac3.mka": ("ac3", "fltp", RATE, "matroska"),
    "wavpack.wv": ("wavpack", "s16p", RATE, "wv"),
    "true_audio.tta": ("tta", "s16", RATE, "tta"),
}


@cache
def music(*, seed: int = 0) -> np.ndarray:
    """Plucked chords over a beat [shape=(num_frames, 2), dtype=float32], which tests can only read."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(DURATION * RATE)) / RATE
    sound = np.zeros((len(time), 2))
    for onset in np.arange(0, DURATION, 0.25):
        after = np.maximum(time - onset, 0)
        for pitch in 110 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12, 15, 19, 24], 3) / 12):
            tone = np.sin(2 * np.pi * pitch * after) * np.exp(-6 * after) * (time >= onset)
            sound += 0.1 * tone[:, None] * rng.uniform(0.5, 1, 2)
    played = sound.astype(np.float32)
    played.flags.writeable = False
    return played


def encode(path: Path, samples: np.ndarray, *, codec: str, kind: str, rate: int, container: str) -> Path:
    """Write samples [shape=(num_frames, 2)] of `RATE`."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
    frame.sample_rate = RATE
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="stereo")
        stream.bit_rate = 192_000
        stream.format = kind
        resampler = av.AudioResampler(format=kind, layout="stereo", rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


def as_bytes(samples: np.ndarray, *, kind: str, subtype: str | None = None) -> bytes:
    """What libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
    return file.getvalue()
