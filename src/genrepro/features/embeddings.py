"""Embed all segments with a frozen body, once, for training, evaluation and sweeps.

A frozen body gives the same numbers for a segment in every epoch of every experiment, and running it again
was most of the cost of published sweeps. So this embeds every segment that will be needed, on all sides of
the split: the grid of training segments (``segments.num_grid_segments`` of ``segments.duration``) and the
segments that vote. This changes the augmentation of a frozen body: a random segment is one of the grid,
SpecAugment, stretch and shift do nothing, and mixup mixes embeddings.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import Spans, cut, spans

if TYPE_CHECKING:
    from genrepro.base.devices import Compute
    from genrepro.models.shared.body import BodyAndHead

ROLES = ("grid", "vote")
BATCH_SIZE = 16  # segments, larger batches are not faster on a CPU


def embed(packed: Features, split: pd.DataFrame, model: "BodyAndHead", *, compute: "Compute") -> Features:
    """Replace the spectrograms by the embeddings of all fixed segments.

    Parameters
    ----------
    packed : Features
        Spectrograms.
    split : DataFrame
        split.csv.
    model : BodyAndHead
        A model with a frozen body that has its final weights.
    compute : devices.Compute

    Returns
    -------
    Features
        Equal segments are embedded once. The description also has ``body``: ``embedding_size``,
        ``num_parameters`` and the ``sha256`` of its weights.
    """
    tables = [_table(packed, split, role) for role in ROLES]
    index = pd.concat(tables, ignore_index=True)
    place, row = np.unique(index[["first_frame", "num_frames"]].to_numpy(), axis=0, return_inverse=True)
    number = np.arange(len(place))
    distinct = Spans(
        first_frame=place[:, 0], num_frames=place[:, 1], label=number, track=number, track_ids=[]
    )
    index = index.assign(first_frame=row.reshape(-1), num_frames=1)
    order = ["track_id", "segment", "role", "first_frame"]
    description = {
        **packed.description,
        "body": {
            "embedding_size": model.embedding_size,
            "num_parameters": sum(parameter.numel() for parameter in model.body.parameters()),
            "sha256": model.body_sha256(),
        },
    }
    return replace(
        packed,
        frames=run(packed.frames, distinct, model, compute=compute),
        index=index.sort_values(order, ignore_index=True),
        description=description,
    )


def run(frames: np.ndarray, distinct: Spans, model: "BodyAndHead", *, compute: "Compute") -> np.ndarray:
    """The embedding of every span [shape=(num_spans, embedding_size), dtype=float32]."""
    import torch

    from genrepro.exact import dense
    from genrepro.models.shared.batches import Cutter, FixedSegments

    device = compute.device
    model = model.to(device).eval()
    segments = FixedSegments(Cutter(frames, device=device), distinct, batch_size=BATCH_SIZE)
    embedded = np.empty((len(distinct.track), model.embedding_size), np.float32)
    done = 0
    with (
        torch.inference_mode(),
        dense.arithmetic(device),
        tqdm(total=len(embedded), desc="embed", disable=None) as progress,
    ):
        for batch in segments:
            with compute.autocast():
                values = model.embed(batch)
            embedded[segments.span[done : done + len(batch)]] = values.float().cpu().numpy()
            done += len(batch)
            progress.update(len(batch))
    return embedded


def _table(packed: Features, split: pd.DataFrame, role: str) -> pd.DataFrame:
    """The segments of one role on every side, as rows of `inputs.EMBEDDED` placed in the spectrograms."""
    parts = []
    for side in ("train", "validation", "test"):
        whole = spans(packed.index, split, side=side, genres=packed.genres)
        chosen = split[split["split"] == side]
        piece = chosen["segment"].to_numpy() if "segment" in split else np.full(len(chosen), None)
        # Spans are in the order of split.csv, so a span's number finds its row there.
        numbered = cut(replace(whole, label=np.arange(len(whole.label))), packed.description, role=role)
        parts.append(
            pd.DataFrame(
                {
                    "track_id": chosen["track_id"].to_numpy()[numbered.label],
                    "genre": np.array(packed.genres)[whole.label[numbered.label]],
                    "segment": pd.array(piece[numbered.label], dtype="Int64"),
                    "role": role,
                    "first_frame": numbered.first_frame,
                    "num_frames": numbered.num_frames,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
