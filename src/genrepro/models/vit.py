"""torchvision's Vision Transformer on spectrograms as pictures, as in the ViT report.

Dosovitskiy et al., ICLR 2021. The smaller sizes are those of DeiT (Touvron et al., ICML 2021). The body is
`torchvision.models.VisionTransformer` without its head, so that its state dict is torchvision's own. A
segment becomes a picture of 224 x 224 pixels, or of ``image_size``. Its embedding is the class token after
the last layer norm.

For a body from scratch, ``stem: convolutions`` makes the tokens by torchvision's convolutional stem (Xiao et
al., NeurIPS 2021), and ``image_size`` may be smaller.

**The picture** is drawn by `shared.drawing`, resized to 224 x 224 (bilinear, antialiased) and normalised with
ImageNet's mean and deviation.

**GTZAN's pictures.** The report cut the middle 218 x 348 pixels out of Kaggle's 288 x 432. The spectrogram is
in rows 35-252 and columns 54-389, so this cut contains all of it (218 bands x 336 frames) and 12 columns of
the white frame on its left. Segments of pictures get these 12 white columns. They then differ from the
report's input in two ways. The file blends the outermost ring of the spectrogram with the frame, and here
this ring repeats its neighbours. And pixels stay real numbers while they are resized, whereas PIL rounds them
twice. In the four real pictures that were compared, the difference was less than one of 255 levels. (The
report does not say whether it resized PIL's pictures or tensors. With today's torchvision both are
antialiased.) The report used whole clips at full resolution: ``segments.duration`` and ``vote_duration`` 30,
``max_frame_rate`` 12 and ``max_mels`` 218.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genrepro.models.shared import weights
from genrepro.models.shared.body import BodyAndHead, head, report_head
from genrepro.models.shared.drawing import Drawing

SIZES: dict[str, dict[str, int]] = {
    "base": {"hidden_dim": 768, "num_heads": 12, "mlp_dim": 3072},
    "small": {"hidden_dim": 384, "num_heads": 6, "mlp_dim": 1536},
    "tiny": {"hidden_dim": 192, "num_heads": 3, "mlp_dim": 768},
}
NUM_BLOCKS = 12  # of every size
PATCH_SIZE = 16  # pixels
WHITE_COLUMNS = 12  # of the white frame, left of the spectrogram in the report's cut
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # red, green, blue


def build(config: Mapping[str, Any], *, num_genres: int, inputs: Mapping[str, Any]) -> "Vit":
    """Build the network with random weights. `Vit.load` loads pretrained ones into its body.

    Parameters
    ----------
    config : mapping
        The section ``vit`` of params.yaml, with ``head``.
    num_genres : int
        Outputs.
    inputs : mapping
        From features.json or model.json: ``mean`` and ``std`` [dB], ``mel.top_db``, ``mel.kind`` and
        ``pooling.frames``. They convert a segment's values back to decibels.
    """
    from torchvision.models import VisionTransformer

    size, pixels = SIZES[config["size"]], config["image_size"]
    body = VisionTransformer(
        image_size=pixels,
        patch_size=PATCH_SIZE,
        num_layers=NUM_BLOCKS,
        num_classes=1,
        conv_stem_configs=_stem(size["hidden_dim"]) if config["stem"] == "convolutions" else None,
        **size,
    )
    body.heads = nn.Identity()
    return Vit(
        body,
        build_head(config, num_genres=num_genres),
        picture=Drawing(
            inputs,
            size=(pixels, pixels),
            centre=IMAGENET_MEAN,
            spread=IMAGENET_STD,
            colours=config["colours"],
            white_columns=round(WHITE_COLUMNS / inputs["pooling"]["frames"])
            if inputs["mel"]["kind"] == "picture"
            else 0,
        ),
        config=config,
    )


def _stem(hidden_size: int) -> list[Any]:
    """Four convolutions of stride 2, each twice as wide as the one before (Xiao et al., NeurIPS 2021)."""
    from torchvision.models.vision_transformer import ConvStemConfig

    return [ConvStemConfig(hidden_size // share, kernel_size=3, stride=2) for share in (8, 4, 2, 1)]


def build_head(config: Mapping[str, Any], *, num_genres: int, inputs: Any = None) -> nn.Module:
    """Build the report's head, or another kind. ``inputs`` is not needed."""
    size = SIZES[config["size"]]["hidden_dim"]
    return head(
        config["head"], num_inputs=size, num_genres=num_genres, report=lambda: report_head(size, num_genres)
    )


class Vit(BodyAndHead):
    """Map segments to logits, by way of the picture that the module describes."""

    def __init__(self, body: Any, head: nn.Module, *, picture: nn.Module, config: Mapping[str, Any]) -> None:
        super().__init__(
            body,
            head,
            blocks=list(body.encoder.layers),
            norm=body.encoder.ln,
            embedding_size=body.hidden_dim,
            trainable_blocks=config["trainable_blocks"],
        )
        self.picture = picture
        self.weights = config["weights"]

    def prepare(self, segments: torch.Tensor) -> torch.Tensor:
        """Pictures of segments.

        Parameters
        ----------
        segments : torch.Tensor [shape=(batch, 1, num_bands, num_frames)]

        Returns
        -------
        torch.Tensor [shape=(batch, 3, image_size, image_size)]
        """
        return self.picture(segments)

    def patch_grid(self, segments: torch.Tensor) -> tuple[int, int]:
        """Patches of a segment's picture, from top to bottom and from left to right."""
        body: Any = self.body
        return body.image_size // PATCH_SIZE, body.image_size // PATCH_SIZE

    def tokens(self, segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the first block reads, each with its position: the class token, then the patches.

        Returns
        -------
        torch.Tensor [shape=(batch, 1, hidden_dim)]
        torch.Tensor [shape=(batch, num_patches, hidden_dim)]
            Row by row of `patch_grid`.
        """
        body: Any = self.body
        positions = body.encoder.pos_embedding
        patches = body._process_input(self.prepare(segments)) + positions[:, 1:]
        return (body.class_token + positions[:, :1]).expand(len(patches), -1, -1), patches

    def load(self) -> None:
        """Load the weights that ``vit.weights`` names into the body. With ``none`` it keeps its random ones.

        ImageNet's head in the file is not loaded.

        Raises
        ------
        GenreproError
            If the weights cannot be downloaded or read, or have another architecture or size.
        """
        key = "vit.weights"
        if self.weights == "none":
            return
        if self.weights == "imagenet":
            from torchvision.models import ViT_B_16_Weights

            state, source = weights.download(ViT_B_16_Weights.IMAGENET1K_V1, key=key), "the download"
        else:
            state, source = weights.read(Path(self.weights), key=key), self.weights
        state = {name: value for name, value in state.items() if not name.startswith("heads.")}
        weights.load(self.body, state, source=source, key=key)
