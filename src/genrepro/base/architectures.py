"""The models' own sections of params.yaml, one a model, and the head that follows a body.

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
    """Last blocks that are trained; 0: the body is frozen."""
    colours: Literal["magma", "grey"]
    """Of the picture that the body sees."""

    def __post_init__(self) -> None:
        self._check("weights", holds=bool(self.weights), must="be imagenet, none or a path")
        fits = self.weights != "imagenet" or self.size == "base"
        self._check("weights", holds=fits, must=f"be none or a path, or vit.size base instead of {self.size}")
        if self.trainable_blocks != "all":
            self._check("trainable_blocks", holds=0 <= self.trainable_blocks <= 12, must="lie in 0 .. 12")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ast(Section):
    weights: str
    """``none`` (random), ``audioset`` or a folder in transformers' format."""
    trainable_blocks: int | Literal["all"]
    """Last layers that are trained; 0: the body is frozen."""
    patch_size: int
    """Bands and frames in a patch."""
    stride: int
    """Bands and frames from one patch to the next."""
    hidden_size: int
    """Width of the transformer."""
    num_layers: int
    """Of the transformer."""
    num_heads: int
    """Of its attention; they share hidden_size evenly."""
    intermediate_size: int
    """Units inside a layer."""
    dropout: float
    """Of attention and of every layer's outputs."""

    def __post_init__(self) -> None:
        self._check("weights", holds=bool(self.weights), must="be none, audioset or a folder")
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
    """Output channels of the convolution blocks, five in the AST report."""
    dropout: float
    """Before the dense layer."""
    statistics: int
    """Hidden units of a second network, over the timbre and rhythm of log-mel segments; 0: none."""

    def __post_init__(self) -> None:
        self._check("statistics", holds=self.statistics >= 0, must="be at least 0")
        self._check("channels", holds=len(self.channels) > 0 and min(self.channels) > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lstm(Section):
    hidden: int
    """Units of each direction."""
    num_layers: int
    """Stacked, each of both directions."""
    dropout: float
    """Between layers and before the dense layer."""
    pooling: Literal["mean_max", "last"]
    """What the dense layer reads: mean and maximum over time, or the state each direction ends in."""

    def __post_init__(self) -> None:
        for key in ("hidden", "num_layers"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Head(Section):
    kind: Literal["report", "mlp"]
    """The model's own report's, or one that the four keys below describe."""
    depth: int
    """Hidden layers of an mlp; 0: a linear probe."""
    width: int
    """Units in each."""
    activation: Literal["relu", "gelu"]
    """After each."""
    dropout: float
    """After each activation."""

    def __post_init__(self) -> None:
        self._check("depth", holds=self.depth >= 0, must="be at least 0")
        self._check("width", holds=self.width > 0, must="be above 0")
        self._check("dropout", holds=0 <= self.dropout < 1, must="lie in 0 .. 1")
