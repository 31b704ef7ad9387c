"""The sounds that the page plays: WAVs which it decoded itself, mono, as the model hears them.

No file is sent as it is. So a browser plays every format that genrepro reads, and a file that is no sound
reaches nobody.
"""

import io
import secrets
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.spectrogram import audio

MAX_SECONDS = 900.0  # of an upload
MAX_BYTES = (
    200 << 20
)  # of an upload: a quarter of an hour of 24-bit stereo WAV at 96 kHz is 518 MB, FLAC half
_KEPT = 32  # uploads whose sound is kept in memory, 40 MB at most each at 22 050 Hz


class Sounds:
    """The sounds of the last uploads, in memory alone."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, wav: bytes) -> str:
        """A name that nobody can guess, under which `get` finds the sound while it is among the last."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[name] = wav
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        """The sound under a name, or None."""
        return self._kept.get(name)


def samples(path: Path, *, name: str, sample_rate: int) -> np.ndarray:
    """The samples of an uploaded file [shape=(num_samples,), dtype=float32].

    Raises
    ------
    GenreproError
        If it is no sound, or longer than `MAX_SECONDS`.
    """
    if path.stat().st_size > MAX_BYTES:
        raise GenreproError(f"{name} has more than {MAX_BYTES >> 20} MB: cut it.")
    try:
        header = audio.read_header(path)
        if (header.duration or _claimed(path)) > MAX_SECONDS:
            raise GenreproError(f"{name} is longer than {MAX_SECONDS / 60:g} minutes: cut it.")
        found = audio.decode(path, sample_rate=sample_rate)
    except audio.UndecodableError as error:
        raise GenreproError(f"{name}: {error}.") from error
    if len(found) > MAX_SECONDS * sample_rate:
        raise GenreproError(f"{name} is longer than {MAX_SECONDS / 60:g} minutes: cut it.")
    return found


def _claimed(path: Path) -> float:
    """Seconds that the header claims, 0 if libsndfile cannot say. `audio.read_header` hides what is over an
    hour, and decoding an hour to refuse it takes 600 MB."""
    import soundfile

    try:
        return soundfile.info(path).duration
    except soundfile.LibsndfileError:
        return 0.0


def wav(found: np.ndarray, *, sample_rate: int) -> bytes:
    """Samples as a 16-bit WAV file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(found, -1, 1), sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
