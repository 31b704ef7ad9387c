"""Predict genre probabilities of a file or its bytes, by the same steps as the stages.

For the whole track, as in stage evaluate, and over time: for windows as long as the segments of training.
"""

import io
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json
from genrepro.base.params import Mel
from genrepro.features.packing import normalise, represent
from genrepro.models.shared import checkpoint
from genrepro.models.shared.segments import Spans, cut, segment_frames, windows
from genrepro.spectrogram import audio, mel, pictures

if TYPE_CHECKING:
    from genrepro.models.shared.batches import Cutter


@dataclass(frozen=True, kw_only=True)
class Window:
    """The prediction for one window of a file."""

    start: float
    """s"""
    end: float
    """s"""
    probabilities: dict[str, float]
    """By genre, in label order."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one file."""

    probabilities: dict[str, float]
    """By genre, in label order: the vote of the segments."""
    over_time: list[Window]
    """From the file's start to its end."""


class Predictor:
    """A trained model, ready for files.

    Parameters
    ----------
    folder : Path
        Holds ``model.safetensors`` and ``model.json``.

    Raises
    ------
    GenreproError
        If a file is missing or the two do not match.
    """

    def __init__(self, folder: Path) -> None:
        from genrepro.base import devices

        self.device = devices.device()
        self.heard = None
        try:
            kind = read_json(folder / "model.json").get("body", {}).get("kind")
            model, self.description = checkpoint.load(folder, with_body=kind != "audio")
        except (KeyError, TypeError, ValueError, AttributeError, ImportError, RuntimeError) as error:
            # Somebody edited model.json, or its weights are of another network.
            raise GenreproError(
                f"{folder / 'model.json'} does not describe the weights beside it "
                f"({type(error).__name__}): bring both back, or run `dvc repro train`."
            ) from error
        if kind == "audio":
            from genrepro.serve.heard import Heard

            self.heard = Heard(self.description, device=self.device)
        self.model = model.to(self.device)

    def __call__(self, file: Path | bytes, *, name: str | None = None) -> Prediction:
        """Predict the genre of a file, and of each window of it.

        Parameters
        ----------
        file : Path or bytes
            The file's path or its contents.
        name : str, optional
            What errors call the contents.

        Raises
        ------
        GenreproError
            If the file is missing, cannot be decoded, or is a picture and not audio (or the reverse).
        """
        if self.heard is not None:
            return self._of_heard(file, name=name)
        return self.of_spectrogram(self.spectrogram(file, name=name))

    def of_spectrogram(self, spectrogram: np.ndarray) -> Prediction:
        """Predict from what `spectrogram` returns."""
        cutter, num_frames = self._cutter(self._represented(spectrogram))
        rate = self.description["frame_rate"]
        starts, width = windows(num_frames, segment_frames(self.description))
        parts = self._vote(cutter, _stretches(starts, width))
        return Prediction(
            probabilities=self._by_genre(self._whole(cutter, num_frames)),
            over_time=[
                Window(
                    start=round(float(start / rate), 3),
                    end=round(float((start + width) / rate), 3),
                    probabilities=self._by_genre(part),
                )
                for start, part in zip(starts, parts, strict=True)
            ],
        )

    def _of_heard(self, file: Path | bytes, *, name: str | None) -> Prediction:
        """Predict by a published body of audio: its segments are the windows, and they vote."""
        from genrepro.models.shared.batches import Cutter

        assert self.heard is not None
        source, name = _opened(file, name)
        try:
            samples = audio.decode(source, sample_rate=self.heard.rate)
        except audio.UndecodableError as error:
            raise GenreproError(f"{name}: {error}.") from error
        vectors, width = self.heard(samples)
        cutter = Cutter(vectors, device=self.device, embedded=True)
        rows = np.arange(len(vectors))
        each = _stretches(rows, 1)
        duration = len(samples) / self.heard.rate
        starts = np.linspace(0, max(duration - width, 0), len(vectors))
        return Prediction(
            probabilities=self._by_genre(self._vote(cutter, replace(each, track=np.zeros_like(rows)))[0]),
            over_time=[
                Window(
                    start=round(float(start), 3),
                    end=round(float(min(start + width, duration)), 3),
                    probabilities=self._by_genre(part),
                )
                for start, part in zip(starts, self._vote(cutter, each), strict=True)
            ],
        )

    @property
    def mel(self) -> Mel | None:
        """The transform of the audio that the model hears; None of pictures and of published bodies."""
        how = self.description["mel"]
        if how["kind"] != "log_mel":
            return None
        return Mel(**{key: how[key] for key in Mel.__dataclass_fields__ if key in how}, png_per_genre=0)

    def of_samples(self, samples: np.ndarray) -> np.ndarray:
        """Probabilities of a whole track, in label order, from its samples; of a model of audio.

        Parameters
        ----------
        samples : np.ndarray [shape=(num_samples,), dtype=float32]
            Mono, at ``mel.sample_rate``.

        Returns
        -------
        np.ndarray [shape=(num_genres,), dtype=float64]
        """
        assert self.mel is not None
        return self._whole(*self._cutter(self._represented(mel.log_mel(samples, params=self.mel))))

    def spectrogram(self, file: Path | bytes, *, name: str | None = None) -> np.ndarray:
        """The spectrogram of a file as in mel.parquet [shape=(num_frames, num_mels), dtype=float32], dB.

        Raises
        ------
        GenreproError
            As for a prediction.
        """
        params = self.mel
        source, name = _opened(file, name)
        try:
            if params is None:
                found = pictures.read_png(source)
            else:
                found = mel.log_mel(audio.decode(source, sample_rate=params.sample_rate), params=params)
        except (audio.UndecodableError, pictures.NotASpectrogramError) as error:
            raise GenreproError(f"{name}: {error}.") from error
        return found

    def embedding(self, spectrogram: np.ndarray) -> np.ndarray:
        """The input of the model's last layer, averaged over the voting segments of a track.

        Parameters
        ----------
        spectrogram : np.ndarray [shape=(num_frames, num_bands)]
            As `spectrogram` returns it, or a row of mel.parquet.

        Returns
        -------
        np.ndarray [shape=(num_activations,), dtype=float32]
            Of a model of several networks, those of each in turn.
        """
        import torch

        networks = getattr(self.model, "members", [self.model])
        layers = [
            [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1] for network in networks
        ]
        seen: dict[int, list[torch.Tensor]] = {number: [] for number in range(len(layers))}
        hooks = [
            layer.register_forward_pre_hook(lambda _, given, number=number: seen[number].append(given[0]))
            for number, layer in enumerate(layers)
        ]
        try:
            self._whole(*self._cutter(self._represented(spectrogram)))
        finally:
            for hook in hooks:
                hook.remove()
        means = [torch.cat(batches).float().mean(dim=0) for batches in seen.values()]
        return torch.cat(means).cpu().numpy()

    def _cutter(self, frames: np.ndarray) -> "tuple[Cutter, int]":
        """A function that cuts segments out of a track's frames, and the number of frames."""
        from genrepro.models.shared.batches import Cutter

        return Cutter(normalise(frames, self.description).astype(np.float16), device=self.device), len(frames)

    def _whole(self, cutter: "Cutter", num_frames: int) -> np.ndarray:
        """Probabilities of the whole track [shape=(num_genres,), dtype=float64]."""
        spans = cut(_stretches(np.zeros(1), num_frames), self.description, role="vote")
        return self._vote(cutter, spans)[0]

    def _vote(self, cutter: "Cutter", segments: Spans) -> np.ndarray:
        """Probabilities of each track of ``segments`` [shape=(num_tracks, num_genres), dtype=float64]."""
        from genrepro.models.shared.batches import FixedSegments
        from genrepro.models.shared.voting import segment_probabilities, vote

        voters = FixedSegments(cutter, segments)
        how = self.description["segments"]["voting"]
        return vote(segment_probabilities(self.model, voters), voters.track, how=how)

    def _by_genre(self, probabilities: np.ndarray) -> dict[str, float]:
        return {genre: float(p) for genre, p in zip(self.description["genres"], probabilities, strict=True)}

    def _represented(self, spectrogram: np.ndarray) -> np.ndarray:
        # float16 as in mel.parquet, so that the numbers equal those of the evaluate stage.
        return represent(spectrogram.astype(np.float16), self.description)


def _opened(file: Path | bytes, name: str | None) -> tuple[Any, str]:
    """A source that libsndfile and PIL can read, and its name for messages."""
    if isinstance(file, bytes):
        return io.BytesIO(file), name or f"{len(file)} bytes"
    _require_file(file)
    return file, str(file)


def _stretches(starts: np.ndarray, num_frames: int) -> Spans:
    """Spans of one length, each as a track of its own."""
    number = np.arange(len(starts))
    return Spans(
        first_frame=starts.astype(np.int64),
        num_frames=np.full(len(starts), num_frames),
        label=np.zeros_like(number),
        track=number,
        track_ids=[str(start) for start in starts],
    )


def _require_file(path: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise GenreproError(f"{path} does not exist.") from error
    except OSError as error:
        raise GenreproError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # a zero byte, or half a character
        raise GenreproError(f"{str(path)!r} is not a file's name.") from error
    if is_folder:
        raise GenreproError(f"{path} is a folder: name the files in it.")
