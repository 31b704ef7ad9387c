"""transformers' Audio Spectrogram Transformer: Gong, Chung and Glass, Interspeech 2021.

Overlapping patches of the spectrogram, a transformer, a layer norm and one dense layer. The defaults are the
AST report's: 12 layers of 768 with 6 heads and 1536 inner units, dropout 0.1, from scratch. The features
stage does the report's downscaling by 4 in both axes: ``segments.max_mels`` 32 of 128 bands,
``max_frame_rate`` 12 of 43 Hz.

**Other patches** (``patches``), for a body from scratch. ``frames``: all bands of a few frames, as the
paper's patches of 128 x 2, which were better there without pretraining. ``convolutions``: a stem in place of
the one layer, after Xiao et al., "Early Convolutions Help Transformers See Better", NeurIPS 2021.

**AudioSet's weights** (``weights: audioset``) belong to another configuration, 12 heads and 3072 inner units,
and to another spectrogram: 16 kHz, windows of 25 ms every 10 ms, 128 bands from 20 Hz. The nearest settings
of this pipeline are ``mel.sample_rate`` 16000, ``n_fft`` 512, ``hop_length`` 160, ``fmin`` 20, ``fmax`` 8000,
and segments at full resolution (``max_frame_rate`` 100, ``max_mels`` 128, 10 s). The spectrograms still
differ. Kaldi's filter bank has HTK's mel scale without area normalisation, pre-emphasis of 0.97, a window of
400 samples in 512, and the natural logarithm of absolute power. Ours has Slaney's scale, a window of 512, and
decibels below the clip's maximum. Unit and level can be converted: ``ln(power) = ln(10) / 10 x dB + c``,
where ``c`` depends on the clip's maximum, which is lost. AudioSet's normalisation is ``(ln(power) + 4.268) /
(2 x 4.569)``. Here the scale is the same, and ``c`` puts the mean of the training frames at AudioSet's mean,
0. A body that is tuned adapts to the other differences, and a frozen one does not: on real clips the two
spectrograms have a correlation of 0.3. ``model: pretrained`` reads the extractor's own.

**Other lengths and bands.** If the grid of patches is smaller than that of the position embeddings, its
middle is cut out. If it is larger, they are interpolated linearly. Both as in the original code
(github.com/YuanGongND/ast). So a model that was trained on 10 s can vote on 30 s.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional as F

from genrepro.base.errors import GenreproError
from genrepro.models.shared import weights
from genrepro.models.shared.body import BodyAndHead, head
from genrepro.models.shared.segments import segment_frames

AUDIOSET = "MIT/ast-finetuned-audioset-10-10-0.4593"  # on the Hugging Face hub
AUDIOSET_STD = 4.5689974  # of ln(power), as in transformers' ASTFeatureExtractor, which divides by twice this

_POSITIONS = "embeddings.position_embeddings"
_NUM_TOKENS = 2  # class and distillation, before the patches
# transformers' names of the keys of the section `ast`.
_KEYS = {
    "patch_size": "patch_size",
    "frequency_stride": "stride",
    "time_stride": "stride",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "intermediate_size",
}
# Names of the same tensors: in published checkpoints and older releases of transformers, then in newer ones.
_RENAMED = (
    ("encoder.layer.", "layers."),
    (".attention.attention.query.", ".attention.q_proj."),
    (".attention.attention.key.", ".attention.k_proj."),
    (".attention.attention.value.", ".attention.v_proj."),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)


def build(config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]) -> "Ast":
    """Build the network with random weights. `Ast.load` loads pretrained ones into its body.

    Parameters
    ----------
    config : mapping
        The section ``ast`` of params.yaml, with ``head``.
    num_genres : int
        Number of outputs.
    inputs : mapping
        From features.json or model.json: ``num_bands``, ``frame_rate`` [Hz] and ``segments.duration`` [s]
        give the grid of patches, ``std`` [dB] the unit of AudioSet's normalisation.

    Raises
    ------
    GenreproError
        If a patch is larger than a segment.
    """
    from transformers import ASTConfig, ASTForAudioClassification

    num_bands, num_frames = inputs["num_bands"], segment_frames(dict(inputs))
    kind, size = config["patches"], config["patch_size"]
    if size > (num_frames if kind == "frames" else min(num_bands, num_frames)):
        raise GenreproError(
            f"ast.patch_size = {config['patch_size']} does not fit into segments of {num_bands} bands x "
            f"{num_frames} frames: lower it, or raise segments.max_mels, max_frame_rate or duration."
        )
    settings = {
        **{theirs: config[ours] for theirs, ours in _KEYS.items()},
        "hidden_dropout_prob": config["dropout"],
        "attention_probs_dropout_prob": config["dropout"],
        "num_mel_bins": num_bands,
        "max_length": num_frames,
        "num_labels": num_genres,
    }
    if kind == "frames":  # one row of patches; `_all_bands` makes them higher
        settings["frequency_stride"] = settings["num_mel_bins"] = max(num_bands, size)
    elif kind == "convolutions":  # they pad, so that the last patch may be cut off
        settings["num_mel_bins"] = -(-num_bands // size) * size
        settings["max_length"] = -(-num_frames // size) * size
    if config["weights"] != "none" and inputs["segments"]["representation"] == "mfcc":
        raise GenreproError(
            f"ast.weights = {config['weights']!r} reads log-mel spectrograms: "
            "set segments.representation to log_mel, or ast.weights to none."
        )
    network: Any = ASTForAudioClassification(ASTConfig(**settings))
    parts = network.audio_spectrogram_transformer.embeddings.patch_embeddings
    if kind == "frames":
        parts.projection = _all_bands(parts.projection, num_bands)
    elif kind == "convolutions":
        parts.projection = _stem(config["hidden_size"], num_layers=int(math.log2(size)))
    if config["head"]["kind"] != "report":
        network.classifier = build_head(config, num_genres=num_genres)
    # Only pretrained weights need AudioSet's unit. The deviation of MFCC is a list, one for each coefficient.
    std = 0.0 if config["weights"] == "none" else inputs["std"]
    return Ast(network, config=config, std=std)


def build_head(config: Mapping[str, Any], *, num_genres: int, inputs: Any = None) -> torch.nn.Module:
    """Build transformers' own head (a layer norm and one dense layer, initialised as there), or another kind.

    ``inputs`` is not needed.
    """
    size = config["hidden_size"]
    return head(
        config["head"], num_inputs=size, num_genres=num_genres, report=lambda: _head(size, num_genres)
    )


class Ast(BodyAndHead):
    """Map segments to logits with ``body`` and ``head`` of `transformers.ASTForAudioClassification`."""

    def __init__(self, network: Any, *, config: Mapping[str, Any], std: float) -> None:
        body = network.audio_spectrogram_transformer
        super().__init__(
            body,
            network.classifier,
            blocks=list(body.layers if hasattr(body, "layers") else body.encoder.layer),
            norm=body.layernorm,
            embedding_size=config["hidden_size"],
            trainable_blocks=config["trainable_blocks"],
        )
        self.config = dict(config)
        self.grid = self._grid(body.config.num_mel_bins, body.config.max_length)
        # Rescale from this data's standard deviation [dB] to AudioSet's normalisation, in ln(power).
        self.scale = 1.0 if config["weights"] == "none" else std * math.log(10) / 10 / (2 * AUDIOSET_STD)

    def prepare(self, segments: torch.Tensor) -> torch.Tensor:
        """The input of transformers' network [shape=(batch, num_frames, num_bands)].

        A segment shorter than a patch is padded with 0, the training mean.
        """
        frames = segments.squeeze(1).transpose(1, 2) * self.scale
        return F.pad(frames, (0, 0, 0, max(0, self.config["patch_size"] - frames.shape[1])))

    def encode(self, prepared: torch.Tensor) -> torch.Tensor:
        """Embeddings: the mean of class and distillation token after the last layer norm."""
        grid = self._grid(prepared.shape[2], prepared.shape[1])
        if grid == self.grid:
            return self.body(prepared).pooler_output
        positions = _refit(self.body.get_parameter(_POSITIONS), self.grid, grid)
        return torch.func.functional_call(self.body, {_POSITIONS: positions}, (prepared,)).pooler_output

    def patch_grid(self, segments: torch.Tensor) -> tuple[int, int]:
        """Patches of a segment along the bands and along the frames."""
        return self._grid(segments.shape[2], max(segments.shape[3], self.config["patch_size"]))

    def _grid(self, num_bands: int, num_frames: int) -> tuple[int, int]:
        size = self.config["patch_size"]
        if self.config["patches"] == "convolutions":
            return -(-num_bands // size), -(-num_frames // size)
        rows, columns = _grid(self.body.config, num_bands, num_frames)
        return (1 if self.config["patches"] == "frames" else rows), columns

    def tokens(self, segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the first layer reads, each with its position: class and distillation token, then patches.

        Returns
        -------
        torch.Tensor [shape=(batch, 2, hidden_size)]
        torch.Tensor [shape=(batch, num_patches, hidden_size)]
            Row by row of `patch_grid`.
        """
        parts: Any = self.body.embeddings
        positions = _refit(self.body.get_parameter(_POSITIONS), self.grid, self.patch_grid(segments))
        special = torch.cat([parts.cls_token, parts.distillation_token], dim=1) + positions[:, :_NUM_TOKENS]
        patches = parts.patch_embeddings(self.prepare(segments)) + positions[:, _NUM_TOKENS:]
        return parts.dropout(special.expand(len(patches), -1, -1)), parts.dropout(patches)

    def load(self) -> None:
        """Load the weights that ``ast.weights`` names into the body. With ``none`` it keeps its random ones.

        A head that comes with them is not loaded.

        Raises
        ------
        GenreproError
            If the weights cannot be downloaded or read, or have another configuration than the section.
        """
        from transformers import ASTModel

        if self.config["weights"] == "none":
            return
        key = "ast.weights"
        source = AUDIOSET if self.config["weights"] == "audioset" else self.config["weights"]
        if self.config["weights"] != "audioset":
            source = weights.folder(source, key=key)
        expected = {theirs: (f"ast.{ours}", self.config[ours]) for theirs, ours in _KEYS.items()}
        given = weights.pretrained(ASTModel, source, expected=expected, key=key)
        state = given.state_dict()
        old = _grid(given.config, given.config.num_mel_bins, given.config.max_length)
        state[_POSITIONS] = _refit(state[_POSITIONS], old, self.grid)
        weights.load(self.body, state, source=source, key=key)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Accept the tensor names of other releases of transformers too."""
        modern = any(name.startswith("layers.") for name, _ in self.body.named_parameters())
        for name in [name for name in state_dict if name.startswith(prefix + "body.")]:
            renamed = name
            for old, new in _RENAMED:
                renamed = renamed.replace(old, new) if modern else renamed.replace(new, old)
            state_dict[renamed] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _head(size: int, num_genres: int) -> torch.nn.Module:
    from transformers import ASTConfig
    from transformers.models.audio_spectrogram_transformer import modeling_audio_spectrogram_transformer

    settings: Any = ASTConfig(hidden_size=size, num_labels=num_genres)  # type: ignore[call-arg]
    made: Any = modeling_audio_spectrogram_transformer.ASTMLPHead(settings)
    torch.nn.init.normal_(made.dense.weight, std=settings.initializer_range)
    torch.nn.init.zeros_(made.dense.bias)
    return made


def _all_bands(square: Any, num_bands: int) -> torch.nn.Module:
    """Patches of all bands, as wide as the square ones (the paper's 128 x 2)."""
    made: Any = torch.nn.Conv2d(
        1, square.out_channels, (num_bands, square.kernel_size[1]), stride=(num_bands, square.stride[1])
    )
    torch.nn.init.trunc_normal_(made.weight, std=made.weight[0].numel() ** -0.5)
    torch.nn.init.zeros_(made.bias)
    return made


def _stem(hidden_size: int, *, num_layers: int) -> torch.nn.Module:
    """Convolutions of stride 2, each twice as wide as the one before (Xiao et al., NeurIPS 2021)."""
    from torchvision.ops import Conv2dNormActivation

    widths = [1] + [max(1, hidden_size >> (num_layers - 1 - layer)) for layer in range(num_layers)]
    return torch.nn.Sequential(
        *(Conv2dNormActivation(*pair, stride=2) for pair in itertools.pairwise(widths)),
        torch.nn.Conv2d(hidden_size, hidden_size, 1),
    )


def _grid(config: Any, num_bands: int, num_frames: int) -> tuple[int, int]:
    """Number of patches along the bands and along the frames."""
    return (
        (num_bands - config.patch_size) // config.frequency_stride + 1,
        (num_frames - config.patch_size) // config.time_stride + 1,
    )


def _refit(positions: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Fit position embeddings [shape=(1, 2 + patches, size)] to another grid of patches."""
    tokens, patches = positions[:, :_NUM_TOKENS], positions[:, _NUM_TOKENS:]
    patches = patches.reshape(*old, -1)
    for axis in (0, 1):
        patches = _refit_axis(patches, axis, new[axis])
    return torch.cat([tokens, patches.reshape(1, new[0] * new[1], -1)], dim=1)


def _refit_axis(patches: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    old = patches.shape[axis]
    if size <= old:
        return patches.narrow(axis, old // 2 - size // 2, size)
    # A matrix product has a deterministic gradient on every device. F.interpolate does not.
    identity = torch.eye(old, device=patches.device)[None]
    mix = F.interpolate(identity, size=size, mode="linear", align_corners=False)[0].to(patches.dtype)
    return torch.tensordot(patches.movedim(axis, -1), mix, dims=1).movedim(-1, axis)
