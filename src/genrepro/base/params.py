"""Read params.yaml into frozen dataclasses, one for each section, and check it before any work begins.

An unknown key, a wrong type or an impossible value ends the stage with one sentence that names the key.
The file is read with ruamel (YAML 1.2): DVC writes small numbers as ``1e-05``, which YAML 1.1 reads as text.
"""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genrepro.base.architectures import Ast, Cnn, Head, Lstm, Pretrained, Vit
from genrepro.base.data_sets import Composed, Folder, Hub, Synthetic
from genrepro.base.errors import GenreproError
from genrepro.base.sections import Section, build, read

DATASETS = (
    "synthetic",
    "composed",
    "gtzan",
    "gtzan_images",
    "fma_mini",
    "fma_small",
    "fma_medium",
    "fma_large",
    "folder",
    "web",
    "hub",
)
MODELS = ("vit", "ast", "cnn", "lstm", "pretrained")
FOLDED = ("artist", "official", "stratified")  # strategies that split.folds can part into folds
FINDINGS = (
    "missing",
    "undecodable",
    "corrupt",
    "declared",
    "silent",
    "short",
    "truncated",
    "clipped",
    "odd_sample_rate",
    "mono_in_stereo",
    "duplicate",
    "near_duplicate",
    "contradicting_label",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mel(Section):
    sample_rate: int
    """Hz. Audio is resampled to this rate."""
    n_fft: int
    """Samples in a Hann window."""
    hop_length: int
    """Samples between frames."""
    n_mels: int
    """Mel bands (Slaney's scale and normalisation, librosa's defaults)."""
    fmin: float
    """Lower edge of the lowest band in Hz."""
    fmax: float
    """Upper edge of the highest band in Hz."""
    top_db: float
    """dB. Levels further below the clip's maximum are raised to this distance."""
    png_per_genre: int | Literal["all"]
    """Tracks drawn as PNG for each genre, beside the contact sheets."""

    def __post_init__(self) -> None:
        for key in ("sample_rate", "n_fft", "hop_length", "n_mels", "top_db"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        self._check("fmin", holds=0 <= self.fmin < self.fmax, must="lie in 0 .. mel.fmax")
        self._check("fmax", holds=self.fmax <= self.sample_rate / 2, must="be at most mel.sample_rate / 2")
        if self.png_per_genre != "all":
            self._check("png_per_genre", holds=self.png_per_genre >= 0, must="be 'all' or at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments(Section):
    representation: Literal["log_mel", "mfcc"]
    """What a frame holds."""
    n_mfcc: int
    """Coefficients of an MFCC frame."""
    plan: Literal["random", "grid", "full"]
    """What an epoch takes of a training track: one random segment, a grid of them, or those that vote."""
    duration: float
    """Length in s of a segment that the model sees in training."""
    num_grid_segments: int
    """Evenly spaced segments of `duration`. Used in training with plan grid, and for frozen embeddings."""
    vote_duration: float
    """Length in s of a segment that the model sees when it votes, at most the whole track."""
    num_segments: int
    """Evenly spaced segments of a track that vote on it."""
    voting: Literal["mean", "majority"]
    """Average the segments' probabilities, or count their genres."""
    max_frame_rate: float
    """Hz. Whole groups of frames are averaged until the rate is at most this."""
    max_mels: int
    """Whole groups of bands are averaged until there are at most this many."""

    def __post_init__(self) -> None:
        for key in ("n_mfcc", "duration", "num_grid_segments", "vote_duration", "num_segments"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        for key in ("max_frame_rate", "max_mels"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit(Section):
    short_share: float
    """A clip shorter than this share of the data set's median duration is `short`."""
    silence_db: float
    """dB relative to full scale. A clip whose root mean square is lower is `silent`."""
    clipped_share: float
    """A clip with at least this share of its samples in runs at full scale is `clipped`."""
    min_similarity: float
    """Two aligned spectrograms at least this similar are `near_duplicate`. 1 finds next to none."""
    exclude: tuple[str, ...]
    """Findings that keep a track out of every split. Tracks without a spectrogram are always left out."""
    on_fault: Literal["exclude", "fail"]
    """What an excluding finding does: keep the track out, or end the stage."""

    def __post_init__(self) -> None:
        self._check("short_share", holds=0 <= self.short_share < 1, must="lie in 0 .. 1")
        self._check("silence_db", holds=self.silence_db < 0, must="be below 0")
        self._check("clipped_share", holds=0 < self.clipped_share <= 1, must="lie in 0 .. 1")
        self._check("min_similarity", holds=0 < self.min_similarity <= 1, must="lie in 0 .. 1")
        unknown = set(self.exclude) - set(FINDINGS)
        self._check("exclude", holds=not unknown, must=f"name only {', '.join(FINDINGS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Split(Section):
    strategy: Literal["artist", "official", "stratified", "random", "segment"]
    """How tracks are dealt out. `split.strategies` explains each strategy."""
    train: float
    """Share of tracks."""
    validation: float
    """Share of tracks."""
    test: float
    """Share of tracks."""
    folds: int
    """Parts of a cross-validation, each tested once; 0: one hold-out of the share `test`."""
    fold: int
    """Which of them is the test side, from 0."""
    pieces: int
    """Number of pieces into which strategy `segment` cuts a track."""
    train_share: float
    """Share of the training tracks that is kept, by whole artists. Validation and test do not change."""

    def __post_init__(self) -> None:
        for key in ("train", "validation", "test"):
            self._check(key, holds=0 < getattr(self, key) < 1, must="lie between 0 and 1")
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise GenreproError(
                f"params.yaml: split.train + split.validation + split.test = {total:g} must be 1."
            )
        self._check(
            "folds", holds=self.folds == 0 or self.folds >= 2, must="be 0 (one hold-out) or at least 2"
        )
        self._check("fold", holds=0 <= self.fold < max(1, self.folds), must="lie in 0 .. split.folds - 1")
        if self.folds and self.strategy not in FOLDED:
            raise GenreproError(
                f"params.yaml: split.folds = {self.folds} needs the strategy {' or '.join(FOLDED)}; "
                f"{self.strategy} has no folds."
            )
        self._check("pieces", holds=self.pieces >= 3, must="be at least 3")
        self._check("train_share", holds=0 < self.train_share <= 1, must="be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Train(Section):
    start: str
    """none, or a trained model whose weights the training begins with, as far as they fit: a folder, or the
    name of one of DVC's experiments. A folder of that name goes first."""
    objective: Literal["genre", "multi_task", "m2d"]
    """What is learned: genres, also everything else that `composed` knows of its tracks, or, without labels,
    masked patches from visible ones (`train.objectives`, `train.m2d`)."""
    optimizer: Literal["adamw", "schedulefree", "prodigy", "hypergradient", "hypergradient_stacked"]
    """What changes the weights. `train.choose` says what each of them refuses."""
    epochs: int
    """Passes over the training tracks. 0 keeps the model of ``start`` as it is."""
    batch_size: int
    """Segments in a step."""
    accumulate: int
    """Parts of a batch that go through the model one after the other. Their gradients add up to one step."""
    lr: float
    """Peak learning rate of AdamW."""
    weight_decay: float
    """AdamW's decoupled weight decay."""
    schedule: Literal["cosine", "one_cycle", "constant"]
    """How the learning rate changes after its warm-up."""
    warmup: float
    """Share of the steps over which the rate rises from 0."""
    layer_decay: float
    """Learning rate of a body's layer as a share of the next layer's rate."""
    clip_norm: float
    """Largest norm of the gradient. Larger gradients are scaled down. 0: no limit."""
    label_smoothing: float
    """Probability mass spread over all genres."""
    mixup: float
    """Parameter of mixup's Beta distribution. 0 turns mixup off."""
    num_time_masks: int
    """SpecAugment: masks over frames in a segment."""
    time_mask: float
    """SpecAugment: longest time mask, as a share of the segment."""
    num_frequency_masks: int
    """SpecAugment: masks over bands in a segment."""
    frequency_mask: float
    """SpecAugment: widest frequency mask, as a share of the bands."""
    filter_gain: float
    """FilterAugment: deviation of the gains of a random filter over the bands, as a share of that of the
    training frames. 0: no filter."""
    time_stretch: float
    """Largest random change of speed, as a share: 0.1 plays between 10 % slower and 10 % faster."""
    frequency_shift: float
    """Largest random shift along the bands, as a share of the bands: music in another key."""
    ema: float
    """Decay per step of the averaged weights that are validated and kept. 0 keeps the raw weights."""
    select: Literal["last", "validation_loss", "validation_accuracy"]
    """Which epoch's weights are kept: the last one's, or those with the best validation score."""
    patience: int
    """Training stops after this many epochs without a better one. 0: it never stops early. With select last,
    every new epoch counts as better, so it never stops early either."""
    compile: bool
    """Whether to torch.compile the network."""
    precision: Literal["32-true", "bf16-mixed"]
    """bf16-mixed: matrix products in bfloat16, weights and sums in float32."""

    def __post_init__(self) -> None:
        for key in ("batch_size", "accumulate", "lr"):
            self._check(key, holds=getattr(self, key) > 0, must="be above 0")
        as_it_is = self.epochs == 0 and self.start != "none" and self.objective == "genre"
        self._check(
            "epochs",
            holds=self.epochs > 0 or as_it_is,
            must="be above 0, or 0 to keep a train.start as it is, with the objective genre",
        )
        for key in (
            "weight_decay",
            "mixup",
            "num_time_masks",
            "num_frequency_masks",
            "filter_gain",
            "clip_norm",
            "patience",
        ):
            self._check(key, holds=getattr(self, key) >= 0, must="be at least 0")
        self._check("start", holds=bool(self.start), must="be none or name a folder")
        self._check("layer_decay", holds=0 < self.layer_decay <= 1, must="lie in 0 .. 1, above 0")
        shares = (
            "warmup",
            "label_smoothing",
            "time_mask",
            "frequency_mask",
            "time_stretch",
            "frequency_shift",
        )
        for key in (*shares, "ema"):
            self._check(key, holds=0 <= getattr(self, key) < 1, must="lie in 0 .. 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate(Section):
    confidence: float
    """Confidence level of the Wilson intervals."""
    calibration_bins: int
    """Equal-width bins of the expected calibration error."""
    temperature: Literal["none", "validation"]
    """Side of the split on which a softmax temperature is fitted, or none."""

    def __post_init__(self) -> None:
        self._check("confidence", holds=0 < self.confidence < 1, must="lie between 0 and 1")
        self._check("calibration_bins", holds=self.calibration_bins > 0, must="be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(Section):
    """All of params.yaml."""

    dataset: str
    source: str
    seed: int
    mel: Mel
    segments: Segments
    audit: Audit
    split: Split
    model: str
    train: Train
    evaluate: Evaluate
    vit: Vit
    ast: Ast
    cnn: Cnn
    lstm: Lstm
    pretrained: Pretrained
    head: Head
    synthetic: Synthetic
    composed: Composed
    folder: Folder
    hub: Hub

    def __post_init__(self) -> None:
        for key, known in (("dataset", DATASETS), ("model", MODELS)):
            if getattr(self, key) not in known:
                raise GenreproError(
                    f"params.yaml: {key} = {getattr(self, key)!r} is unknown; choose {' or '.join(known)}."
                )
        if self.seed < 0:
            raise GenreproError(f"params.yaml: seed = {self.seed} must be at least 0.")
        parts = re.match(r"[a-z]+://[^/?#]*@", self.source, re.IGNORECASE)
        if parts:  # its value is not repeated: messages end in logs
            raise GenreproError(
                "params.yaml: source holds a user or a password, which dvc.lock and MLflow would keep: "
                "write the address without it, and the password into ~/.netrc."
            )
        body = self.pretrained
        if self.model == "pretrained" and (body.weights == "none") == (body.embeddings == "none"):
            raise GenreproError(
                "params.yaml: model = pretrained needs one of pretrained.weights (a model on Hugging Face's "
                "hub, or a folder) and pretrained.embeddings (a file of them), and not both."
            )
        if self.train.objective != "genre":
            self._check_objective()

    def _check_objective(self) -> None:
        blocks = self.architecture().get("trainable_blocks", "all")
        if self.train.objective == "multi_task":
            rules = [
                (self.dataset == "composed", "learns tempo, key and more, which only `composed` knows",
                 "set dataset to composed"),
                (blocks != 0, "has nothing to learn in a frozen body", f"set {self.model}.trainable_blocks"),
                (self.model != "cnn" or not self.cnn.statistics, "is for one network",
                 "set cnn.statistics to 0"),
            ]  # fmt: skip
        else:
            rules = [
                (self.model in ("ast", "vit"), "masks a transformer's patches", "set model to ast or vit"),
                (blocks == "all", "trains the whole body", f"set {self.model}.trainable_blocks to all"),
                (self.model != "ast" or self.ast.stride >= self.ast.patch_size,
                 "would show masked patches in those that overlap them", "set ast.stride to ast.patch_size"),
                ("convolutions" not in (self.architecture().get("patches"), self.architecture().get("stem")),
                 "would show masked patches in their neighbours", "use patches and not convolutions"),
                (self.train.ema > 0, "needs an average of the encoder", "set train.ema above 0"),
            ]  # fmt: skip
        for holds, why, advice in rules:
            if not holds:
                name = self.train.objective
                raise GenreproError(f"params.yaml: train.objective = {name} {why}: {advice}.")

    def section(self, name: str) -> dict[str, Any]:
        """One section as plain values, for JSON and for MLflow."""
        return dataclasses.asdict(getattr(self, name))

    def architecture(self) -> dict[str, Any]:
        """The selected model's section. If the model has a body, the head's section is included."""
        section = self.section(self.model)
        return {**section, "head": self.section("head")} if "trainable_blocks" in section else section


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check ``path``. Raise GenreproError for the first value that is wrong."""
    return build(Params, read(path), name=str(path), prefix="")
