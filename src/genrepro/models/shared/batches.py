"""Make batches of segments, gathered on the device from rows of packed frames, without a data loader."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from genrepro.base.params import Train
from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import Spans, fixed_spans, segment_frames, spans


class Cutter:
    """Cut segments out of packed frames, which are kept on the device if they fit.

    Parameters
    ----------
    frames : np.ndarray [shape=(total_frames, num_bands), dtype=float16]
        Or embeddings, float32, one in each row.
    device : torch.device
        Device of the batches.
    embedded : bool
        Whether the frames are embeddings.
    """

    def __init__(self, frames: np.ndarray, *, device: torch.device, embedded: bool = False) -> None:
        self.device, self.embedded = device, embedded
        # float16 takes half the memory on the device. Segments become float32 when they are cut.
        rows = torch.from_numpy(frames)
        self.frames = rows.to(device) if _fits(rows, device) else rows

    def cut(self, first: np.ndarray, length: np.ndarray, place: np.ndarray) -> torch.Tensor:
        """Cut one segment out of each span.

        Parameters
        ----------
        first, length : np.ndarray [shape=(batch,), dtype=int64]
            Each span's first row and number of rows.
        place : np.ndarray [shape=(batch, segment_frames)]
            The rows of each segment, counted from its span's first. Beyond its end the span is repeated.

        Returns
        -------
        torch.Tensor [shape=(batch, 1, num_bands, segment_frames), dtype=float32]
            For embeddings [shape=(batch, embedding_size)].
        """
        rows = first if self.embedded else first[:, None] + place.astype(np.int64) % length[:, None]
        segments = self.frames[torch.from_numpy(rows).to(self.frames.device)].to(self.device)
        return segments if self.embedded else segments.float().transpose(1, 2).unsqueeze(1)


class TrainingSegments:
    """Training segments in a new order each epoch: a random one of every track, or all of them.

    A random segment has a random place and pace. A track that the split cuts into pieces gives a segment of
    one random piece. So an epoch has as many steps for every split strategy, and strategies can be compared.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
        Sorted by track, as from `segments.spans`.
    segment_frames : int
        Length of a segment, at most that of the longest span.
    batch_size : int
        Largest size. Batches of an epoch differ by one segment at most. If it is above 1, no batch has a
        single segment: with 2 and an odd number of segments, one batch has three.
    time_stretch : float
        Largest change of pace. With 0.1 a segment covers 0.9 to 1.1 times its length of music.
    rng : np.random.Generator
    every : bool
        Give every span once an epoch, instead of one span of each track.
    """

    def __init__(
        self,
        cutter: Cutter,
        spans: Spans,
        *,
        segment_frames: int,
        batch_size: int,
        time_stretch: float,
        rng: np.random.Generator,
        every: bool = False,
    ) -> None:
        self.cutter, self.spans, self.rng = cutter, spans, rng
        self.segment_frames = min(segment_frames, int(spans.num_frames.max()))
        self.batch_size, self.time_stretch = batch_size, time_stretch
        track = np.arange(len(spans.track)) if every else spans.track
        self.num_pieces = np.bincount(track)
        self.first_piece = np.searchsorted(track, np.arange(len(self.num_pieces)))

    def relabel(self, label: np.ndarray) -> None:
        """Give every span another label [shape=(num_spans,), dtype=int64], such as its track."""
        self.spans = dataclasses.replace(self.spans, label=label)

    def __len__(self) -> int:
        num_segments = len(self.num_pieces)
        num_batches = -(-num_segments // self.batch_size)
        if self.batch_size > 1 and num_segments < 2 * num_batches:  # pairs and an odd one, which joins a pair
            num_batches = max(1, num_segments // 2)
        return num_batches

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Segments [shape=(batch, 1, num_bands, segment_frames)] and labels [shape=(batch,)]."""
        order = self.rng.permutation(len(self.num_pieces))
        # Batches have equal sizes, or differ by one: a last batch of one segment would break batch norm.
        for tracks in np.array_split(order, len(self)):
            chosen = self.first_piece[tracks]
            if self.num_pieces.max() > 1:
                chosen = chosen + self.rng.integers(0, self.num_pieces[tracks])
            length = self.spans.num_frames[chosen]
            pace = 1 + self.time_stretch * self.rng.uniform(-1, 1, len(chosen))
            room = np.maximum(length - 1 - (self.segment_frames - 1) * pace, 0)
            start = self.rng.uniform(0, 1, len(chosen)) * room
            place = np.rint(start[:, None] + np.arange(self.segment_frames) * pace[:, None])
            segments = self.cutter.cut(self.spans.first_frame[chosen], length, place)
            yield segments, torch.from_numpy(self.spans.label[chosen]).to(self.cutter.device)


class FixedSegments:
    """Fixed segments for voting and embedding: every span is one segment.

    Nothing is padded, so a prediction depends on its own track only.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
        As from `segments.fixed_spans`.
    batch_size : int
        Largest size. All segments of a batch have the same length.
    """

    def __init__(self, cutter: Cutter, spans: Spans, *, batch_size: int = 64) -> None:
        self.cutter, self.spans = cutter, spans
        order = np.argsort(spans.num_frames, kind="stable")
        widths, counts = np.unique(spans.num_frames, return_counts=True)
        groups = zip(widths, np.split(order, np.cumsum(counts)[:-1]), strict=True)
        self.batches = [
            (members[first : first + batch_size], width)
            for width, members in groups
            for first in range(0, len(members), batch_size)
        ]
        self.span = order
        """[shape=(num_segments,)] Position in ``spans`` of each segment, in the order of iteration."""
        self.track = spans.track[order]
        """[shape=(num_segments,)] Position of each segment's track in ``spans.track_ids``."""
        self.label = spans.label[order]
        """[shape=(num_segments,)]"""

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Segments [shape=(batch, 1, num_bands, width)], in the order of ``track``."""
        for members, width in self.batches:
            place = np.broadcast_to(np.arange(width), (len(members), width))
            yield self.cutter.cut(self.spans.first_frame[members], self.spans.num_frames[members], place)


def of_training(
    packed: Features, split: pd.DataFrame, cutter: Cutter, *, params: Train, rng: np.random.Generator
) -> TrainingSegments:
    """The batches of the training side, as ``segments.plan`` asks."""
    plan = packed.description["segments"]["plan"]
    random = plan == "random" and not packed.embedded
    if random:
        chosen = spans(packed.index, split, side="train", genres=packed.genres)
    else:
        chosen = fixed_spans(packed, split, side="train", role="vote" if plan == "full" else "grid")
    return TrainingSegments(
        cutter,
        chosen,
        segment_frames=segment_frames(packed.description, "vote_duration" if plan == "full" else "duration"),
        batch_size=params.batch_size,
        time_stretch=params.time_stretch if random else 0.0,
        rng=rng,
        every=plan != "random",
    )


def training_rows(packed: Features, split: pd.DataFrame) -> np.ndarray:
    """The embeddings of the training side that `of_training` takes [shape=(num_segments, embedding_size)]."""
    role = "vote" if packed.description["segments"]["plan"] == "full" else "grid"
    return packed.frames[fixed_spans(packed, split, side="train", role=role).first_frame]


def of_vote(
    packed: Features, split: pd.DataFrame, cutter: Cutter, *, side: str, role: str = "vote"
) -> FixedSegments:
    """The segments of a side that vote. With ``role`` grid, segments as long as in training."""
    return FixedSegments(cutter, fixed_spans(packed, split, side=side, role=role))


def of_probe(packed: Features, split: pd.DataFrame, cutter: Cutter, *, at_most: int) -> FixedSegments:
    """Segments of the training side that would vote: all, or evenly spaced ones of them."""
    spans = fixed_spans(packed, split, side="train", role="vote")
    chosen = np.unique(np.linspace(0, len(spans.label) - 1, at_most).round().astype(np.int64))
    arrays = {name: getattr(spans, name)[chosen] for name in ("first_frame", "num_frames", "label", "track")}
    return FixedSegments(cutter, dataclasses.replace(spans, **arrays))


def _fits(frames: torch.Tensor, device: torch.device) -> bool:
    """Whether frames fit into half of the device's free memory. Otherwise segments are cut on the CPU."""
    return device.type != "cuda" or 2 * frames.nbytes < torch.cuda.mem_get_info(device)[0]
