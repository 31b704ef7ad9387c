"""Bodies of audio, family by family: from samples to what every layer says of them.

A family says how long its body hears at once, what its extractor makes of samples, and which positions of a
layer are music and not padding. A segment is never longer than the body's window, so that no extractor cuts
or crops. All segments of a batch have the same length, so that nothing is padded but what the extractor
always pads (AST, Whisper, CLAP).

Sources: Gong et al. 2021 (AST), Alonso-Jimenez et al. 2023 (MAEST), Baevski et al. 2020 and 2022 (wav2vec
2.0, data2vec), Hsu et al. 2021 (HuBERT), Chen et al. 2022 (WavLM), Li et al. 2024 (MERT), Barrault et al.
2023 (wav2vec2-BERT), Radford et al. 2023 (Whisper), Wu et al. 2023 (CLAP), Defossez et al. 2023 (EnCodec),
Kumar et al. 2023 (DAC).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from genrepro.base.errors import GenreproError
from genrepro.models.shared import published
from genrepro.models.shared.published import Published
from genrepro.models.shared.segments import windows

LONGEST = 10.0  # s of a segment, for bodies that could hear a whole track; memory grows with it
SHORTEST = 0.1  # s; a shorter clip is padded with zeros to it: some bodies need 25 ms for one position


class Family:
    """wav2vec 2.0 and what is built like it: samples in, normalised by the extractor, and no window."""

    parts: tuple[str, ...] = ("mean", "std")

    def __init__(self, body: Published) -> None:
        self.extractor = body.processor
        self.rate = int(body.settings["sampling_rate"])
        self.tower = self.part_that_hears(body.network)

    def part_that_hears(self, network: Any) -> Any:
        """The part of the network that is run."""
        return network

    def window(self) -> float:
        """s that the body hears at once, at most."""
        return np.inf

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """The tower's input from segments of equal length."""
        made = self.extractor(list(segments), sampling_rate=self.rate, return_tensors="pt")
        return {"input_values": made["input_values"]}

    def hidden(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Layers [shape=(batch, num_positions, size)], from the input of the first block to the output."""
        answer = self.tower(**inputs, output_hidden_states=True)
        layers = list(answer.hidden_states)
        if layers[-1].shape == answer.last_hidden_state.shape:
            layers[-1] = answer.last_hidden_state  # after the last norm
        return layers

    def music(self, num_samples: int, num_positions: int) -> torch.Tensor:
        """Which positions hold music [shape=(num_positions,), dtype=bool]; the others hold padding."""
        return torch.ones(num_positions, dtype=torch.bool)

    def tokens(self) -> int:
        """Number of class tokens before the positions."""
        return 0


class MaskedFrames(Family):
    """wav2vec2-BERT: pairs of mel frames, with one frame of padding if their number is odd."""

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        made = self.extractor(list(segments), sampling_rate=self.rate, return_tensors="pt")
        self.mask = made["attention_mask"][0].bool()
        return {key: made[key] for key in ("input_features", "attention_mask")}

    def music(self, num_samples: int, num_positions: int) -> torch.Tensor:
        return self.mask[:num_positions]


class Patches(Family):
    """AST: patches of Kaldi's filter bank, of a fixed length, by the extractor's own definition."""

    parts = ("mean", "std", "cls")
    hop, frame, patch = 160, 400, 16  # samples, samples, frames

    def window(self) -> float:
        return (self.frame + (self._length() - 1) * self.hop) / self.rate

    def music(self, num_samples: int, num_positions: int) -> torch.Tensor:
        config = self.tower.config
        num_frames = self.num_frames(num_samples)
        times = (config.max_length - config.patch_size) // config.time_stride + 1
        whole = max(1, (num_frames - config.patch_size) // config.time_stride + 1)
        # Patches lie band by band, each over time.
        return (torch.arange(times) < whole).repeat(num_positions // times)

    def num_frames(self, num_samples: int) -> int:
        """Frames of so many samples, before padding."""
        return max(1, 1 + (num_samples - self.frame) // self.hop)

    def tokens(self) -> int:
        return 2  # class and distillation

    def _length(self) -> int:
        return int(self.extractor.max_length)


class Maest(Patches):
    """MAEST: an AST with a scale of its own. Its extractor is published as code, so its definition is here.

    16 kHz, 96 Slaney bands, windows of 512 every 256 samples, log10(1 + 10 000 x power), mean and deviation
    as in its preprocessor_config.json.
    """

    hop, frame = 256, 512

    def __init__(self, body: Published) -> None:
        self.settings = body.settings
        super().__init__(body)

    def window(self) -> float:
        return (self._length() - 1) * self.hop / self.rate

    def num_frames(self, num_samples: int) -> int:
        return 1 + num_samples // self.hop  # frames are centred

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        import librosa

        made = np.zeros((len(segments), self._length(), self.tower.config.num_mel_bins), np.float32)
        for place, samples in zip(made, segments, strict=True):
            power = librosa.feature.melspectrogram(
                y=samples, sr=self.rate, n_fft=self.frame, hop_length=self.hop, n_mels=made.shape[2]
            )
            frames = np.log10(1 + 10_000 * power.T)[: len(place)]
            place[: len(frames)] = frames
        mean, std = self.settings.get("mean", 2.06755686098554), self.settings.get("std", 1.268292820667291)
        return {"input_values": torch.from_numpy((made - np.float32(mean)) / np.float32(2 * std))}

    def _length(self) -> int:
        return int(self.tower.config.max_length)


class Whisper(Family):
    """Whisper's encoder. It always hears 30 s, so the positions after the segment's end are left out."""

    def part_that_hears(self, network: Any) -> Any:
        return network.get_encoder()

    def window(self) -> float:
        return float(self.extractor.n_samples / self.rate)

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        made = self.extractor(list(segments), sampling_rate=self.rate, return_tensors="pt")
        return {"input_features": made["input_features"]}

    def music(self, num_samples: int, num_positions: int) -> torch.Tensor:
        frames = -(-num_samples // self.extractor.hop_length)
        return torch.arange(num_positions) < -(-frames // 2)  # the second convolution takes every other frame


class Clap(Family):
    """CLAP's audio tower. A short segment is repeated up to 10 s, so all positions hold music.

    Its extractor marks a random clip of every batch as longer than it is. No segment is.
    """

    def part_that_hears(self, network: Any) -> Any:
        return getattr(network, "audio_model", network)

    def window(self) -> float:
        return float(self.extractor.nb_max_samples / self.rate)

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        state = np.random.get_state()
        made = self.extractor(list(segments), sampling_rate=self.rate, return_tensors="pt")
        np.random.set_state(state)
        longer = torch.zeros((len(segments), 1), dtype=torch.bool)
        return {"input_features": made["input_features"], "is_longer": longer}

    def hidden(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        answer = self.tower(**inputs, output_hidden_states=True)
        layers = [*answer.hidden_states[:-1], answer.last_hidden_state]
        return [layer.flatten(2).transpose(1, 2) for layer in layers]


class Codec(Family):
    """EnCodec's and DAC's encoders: one layer, before the quantiser."""

    def part_that_hears(self, network: Any) -> Any:
        self.settings = network.config
        return network.encoder

    def window(self) -> float:
        return float(getattr(self.settings, "chunk_length_s", None) or np.inf)

    def prepare(self, segments: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        channels = int(getattr(self.extractor, "feature_size", 1))
        # A stereo model gets the same on both channels.
        given = [np.stack([samples] * channels) if channels > 1 else samples for samples in segments]
        made = self.extractor(given, sampling_rate=self.rate, return_tensors="pt")
        values = made["input_values"]
        if getattr(self.settings, "normalize", False):  # as EncodecModel does before its encoder
            scale = values.mean(1, keepdim=True).pow(2).mean(-1, keepdim=True).sqrt() + 1e-8
            values = values / scale
        return {"values": values}

    def hidden(self, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        return [self.tower(inputs["values"]).transpose(1, 2)]

    def music(self, num_samples: int, num_positions: int) -> torch.Tensor:
        hop = int(np.prod(getattr(self.settings, "upsampling_ratios", None) or [1]))
        return torch.arange(num_positions) < max(1, -(-num_samples // hop))


FAMILIES: dict[str, type[Family]] = {
    "wav2vec2": Family,
    "wav2vec2-conformer": Family,
    "hubert": Family,
    "wavlm": Family,
    "data2vec-audio": Family,
    "unispeech": Family,
    "unispeech-sat": Family,
    "wav2vec2-bert": MaskedFrames,
    "audio-spectrogram-transformer": Patches,
    "whisper": Whisper,
    "clap": Clap,
    "clap_audio_model": Clap,
    "encodec": Codec,
    "dac": Codec,
}
"""By transformers' name of the model's type."""


class Hearing:
    """A body of audio, ready for samples.

    Parameters
    ----------
    body : Published
    segment : float or "auto"
        s. Never more than the body's window.
    device : torch.device

    Raises
    ------
    GenreproError
        If the family is unknown, or a segment is longer than the body's window.
    """

    def __init__(self, body: Published, *, segment: float | str, device: torch.device) -> None:
        if body.model_type not in FAMILIES:
            raise GenreproError(
                f"{published.KEY}: {body.source} is of the family {body.model_type}, which has no entry in "
                f"embed/hearing.py: known are {', '.join(FAMILIES)}."
            )
        family = Maest if body.processor is None else FAMILIES[body.model_type]
        self.family = family(body)
        self.family.tower.to(device)
        self.device, self.rate = device, self.family.rate
        window = self.family.window()
        self.segment = min(window, LONGEST) if segment == "auto" else float(segment)
        if self.segment > window:
            raise GenreproError(
                f"pretrained.segment = {self.segment:g} s, but {body.source} hears {window:g} s at once: "
                "lower it."
            )
        self.parts = self.family.parts

    def cut(self, samples: np.ndarray) -> list[np.ndarray]:
        """Segments of a track's samples: side by side, all of equal length, overlapping a little."""
        starts, width = windows(len(samples), round(self.segment * self.rate))
        shortest = round(SHORTEST * self.rate)
        return [np.pad(samples[start : start + width], (0, max(0, shortest - width))) for start in starts]

    def __call__(self, segments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What each layer says of segments of equal length.

        Returns
        -------
        list of np.ndarray [shape=(num_segments, num_parts * size), dtype=float32]
        """
        inputs = {key: value.to(self.device) for key, value in self.family.prepare(segments).items()}
        skipped = self.family.tokens()
        found = []
        for layer in self.family.hidden(inputs):
            music = self.family.music(len(segments[0]), layer.shape[1] - skipped).to(self.device)
            positions = layer[:, skipped:][:, music].float()
            parts = [positions.mean(1), positions.std(1, correction=0)]
            if skipped:
                parts.append(layer[:, :skipped].float().mean(1))
            found.append(torch.cat(parts, dim=1).cpu().numpy())
        return found
