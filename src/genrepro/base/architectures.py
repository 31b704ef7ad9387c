"""The sections of params.yaml that describe models: one for each model, and one for the head.

`params` holds the other sections and reads the file.
"""

from dataclasses import dataclass
from typing import Literal

from genrepro.base.sections import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class Vit(Section):
    size: Literal["base", "small", "tiny"]
    """768, 384 or 192 wide."""
    weights: str
    """``imagenet``, ``none`` (random) or a file in torchvision's format."""
    trainable_blocks: int | Literal["all"]
    """Number of blocks that are trained, counted from the last. 0 freezes the body."""
    stem: Literal["patch", "convolutions"]
    """What makes tokens of pixels."""
    image_size: int
    """Height and width of the picture in pixels."""
    colours: Literal["magma", "grey"]
    """Colours of the picture that the body sees."""

    def __post_init__(self) -> None:
        self._check("weights", holds=bool(self.weights), must="be imagenet, none or a path")
        fits = self.weights != "imagenet" or self.size == "base"
        self._check("weights", holds=fits, must=f"be none or a path, or vit.size base instead of {self.size}")
        if self.trainable_blocks != "all":
            self._check("trainable_blocks", holds=0 <= self.trainable_blocks <= 12, must="lie in 0 .. 12")
        self._check(
            "image_size", holds=self.image_size > 0 and self.image_size % 16 == 0, must="be a multiple of 16"
        )
        fits = self.weights != "imagenet" or (self.stem, self.image_size) == ("patch", 224)
        self._check("weights", holds=fits, must="be none or a path, or vit.stem patch and vit.image_size 224")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ast(Section):
    weights: str
    """``none`` (random), ``audioset`` or a folder in transformers' format."""
    trainable_blocks: int | Literal["all"]
    """Number of layers that are trained, counted from the last. 0 freezes the body."""
    patches: Literal["square", "frames", "convolutions"]
    """What makes tokens of a spectrogram: squares, or all bands of ``patch_size`` frames, or convolutions of
    stride 2, one for each factor of 2 in ``patch_size``."""
    patch_size: int
    """Width of a patch in frames. Squares and convolutions: its height in bands too."""
    stride: int
    """Step from one patch to the next, in bands and in frames."""
    hidden_size: int
    """Width of the transformer."""
    num_layers: int
    """Layers of the transformer."""
    num_heads: int
    """Attention heads. They must divide hidden_size evenly."""
    intermediate_size: int
    """Units inside a layer."""
    dropout: float
    """Dropout in attention and after every layer."""

    def __post_init__(self) -> None:
        self._check("weights", holds=bool(self.weights), must="be none, audioset or a folder")
        fits = self.weights == "none" or self.patches == "square"
        self._check("weights", holds=fits, must="be none, or ast.patches square")
        fits = self.patches != "convolutions" or (
            self.patch_size.bit_count() == 1 < self.patch_size == self.stride
        )
        self._check(
            "patch_size",
            holds=fits,
            must="be a power of 2, above 1, and equal to ast.stride for convolutions",
        )
        for key in ("patch_size", "stride", "hidden_size", "num_layers", "num_heads", "intermediate_size"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        divides = self.hidden_size % self.num_heads == 0
        self._check("num_heads", holds=divides, must=f"divide ast.hidden_size = {self.hidden_size}")
        if self.trainable_blocks != "all":
            fits = 0 <= self.trainable_blocks <= self.num_layers
            self._check("trainable_blocks", holds=fits, must="lie in 0 .. ast.num_layers")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cnn(Section):
    channels: tuple[int, ...]
    """Output channels of the convolution blocks. The AST report has five blocks."""
    dropout: float
    """Dropout before the dense layer."""
    statistics: int
    """Hidden units of a second network on timbre and rhythm statistics of log-mel segments. 0: none."""

    def __post_init__(self) -> None:
        self._check("statistics", holds=self.statistics >= 0, must="be at least 0")
        self._check("channels", holds=len(self.channels) > 0 and min(self.channels) > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lstm(Section):
    hidden: int
    """Units of each direction."""
    num_layers: int
    """Number of stacked bidirectional layers."""
    dropout: float
    """Dropout between layers and before the dense layer."""
    pooling: Literal["mean_max", "last"]
    """Input of the dense layer: mean and maximum over time, or the last state of each direction."""

    def __post_init__(self) -> None:
        for key in ("hidden", "num_layers"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretrained(Section):
    weights: str
    """A model on Hugging Face's hub (``owner/name``), a folder in its format, or ``none``."""
    revision: str
    """Commit, tag or branch of the model on the hub."""
    embeddings: str
    """A Parquet or npz file of embeddings that others made, instead of a body, or ``none``."""
    trained_on: tuple[str, ...]
    """Data sets whose labels the body has seen. A result on one of them is leaky."""
    segment: float | Literal["auto"]
    """Length in s of what the body gets at once."""
    storage: Literal["float32", "float16"]
    """Numbers in the kept embeddings."""
    layer: int | Literal["last", "mean", "all", "weighted"]
    """The layer that the head reads, counted from 0, the input of the first block. ``mean``: that of all;
    ``all``: one after the other; ``weighted``: a learnt mean."""
    pooling: Literal["mean", "mean_std", "cls", "cls_mean"]
    """What is kept of a layer's positions: their mean, also their deviation, and the class token."""
    per: Literal["segment", "track"]
    """What the head reads: every segment, or the mean of a track's segments."""
    trainable_blocks: int | Literal["all", "lora"]
    """0: frozen. Of a body of pictures also the last k blocks, all, or low-rank updates of all."""
    checkpointing: bool
    """Whether trained blocks are computed again for the gradient, which takes less memory."""

    def __post_init__(self) -> None:
        for key in ("weights", "revision", "embeddings"):
            self._check(key, holds=bool(getattr(self, key)), must="not be empty")
        if self.segment != "auto":
            self._check("segment", holds=self.segment > 0, must="be above 0")
        for key in ("layer", "trainable_blocks"):
            if isinstance(value := getattr(self, key), int):
                self._check(key, holds=value >= 0, must="be at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Head(Section):
    kind: Literal["report", "mlp", "linear"]
    """``report``: the head of the model's own report. ``mlp``: a head described by the four keys below.
    ``linear``: one dense layer on standardised embeddings."""
    depth: int
    """Hidden layers of an mlp. 0 is a linear probe."""
    width: int
    """Units in each hidden layer."""
    activation: Literal["relu", "gelu"]
    """Activation after each hidden layer."""
    dropout: float
    """Dropout after each activation."""

    def __post_init__(self) -> None:
        self._check("depth", holds=self.depth >= 0, must="be at least 0")
        self._check("width", holds=self.width > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")
