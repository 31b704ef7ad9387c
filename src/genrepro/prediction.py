"""Genre probabilities of any file, by the steps that the stages take, from the model's own folder alone."""

from pathlib import Path
from typing import Any

import numpy as np

from genrepro import audio, checkpoint, images, mel
from genrepro.errors import GenreproError
from genrepro.features import Spans, normalise, pool, segment_frames
from genrepro.params import Mel


class Predictor:
    """A trained model, ready for files.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors`` and ``model.json``.

    Raises
    ------
    GenreproError
        If a file is missing or the two do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        from genrepro import devices

        self.device = devices.device()
        model, self.description = checkpoint.load(folder)
        self.model = model.to(self.device)

    def __call__(self, path: Path) -> dict[str, float]:
        """Probability by genre, the mean over the file's segments.

        Raises
        ------
        GenreproError
            If the file is missing, cannot be decoded, or is not of the kind that the model was trained on.
        """
        from genrepro.batches import Cutter, EvenSegments
        from genrepro.voting import segment_probabilities, vote

        frames = normalise(self._pooled(path), self.description).astype(np.float16)
        whole = np.array([len(frames)])
        zero = np.zeros(1, np.int64)
        spans = Spans(first_frame=zero, num_frames=whole, label=zero, track=zero, track_ids=[str(path)])
        segments = EvenSegments(
            Cutter(frames, device=self.device),
            spans,
            segment_frames=segment_frames(self.description, "vote_duration"),
            num_segments=self.description["segments"]["num_segments"],
        )
        probabilities = vote(segment_probabilities(self.model, segments), segments.track)[0]
        return {genre: float(p) for genre, p in zip(self.description["genres"], probabilities, strict=True)}

    def _pooled(self, path: Path) -> np.ndarray:
        """The file's spectrogram at the model's resolution [shape=(num_frames, num_bands), dtype=float32]."""
        how: dict[str, Any] = self.description["mel"]
        if not path.is_file():
            raise GenreproError(f"{path} does not exist.")
        try:
            if how["kind"] == "picture":
                spectrogram = images.read_png(path)
            else:
                keys = {key: how[key] for key in Mel.__dataclass_fields__ if key in how}
                params = Mel(**keys, png_per_genre=0)
                spectrogram = mel.log_mel(audio.decode(path, sample_rate=params.sample_rate), params=params)
        except (audio.UndecodableError, images.NotASpectrogramError) as error:
            raise GenreproError(f"{path}: {error}.") from error
        # float16 on the way, as in mel.parquet: the numbers are then those of the evaluate stage.
        return pool(spectrogram.astype(np.float16), **self.description["pooling"])
