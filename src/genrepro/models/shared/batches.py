"""Segments as batches, gathered on the device from rows of packed frames: no loader, no work per sample."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from genrepro.base.params import Train
from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import Spans, fixed_spans, segment_frames, spans


class Cutter:
    """Cuts segments out of packed frames, which stay on the device where they fit.

    Parameters
    ----------
    frames : np.ndarray [shape=(total_frames, num_bands), dtype=float16]
        Or embeddings, float32, one a row.
    device : torch.device
        Where batches appear.
    embedded : bool
        Whether the frames are embeddings.
    """

    def __init__(self, frames: np.ndarray, *, device: torch.device, embedded: bool = False) -> None:
        self.device, self.embedded = device, embedded
        # float16 halves what stays on the device; arithmetic begins in float32, after the cut.
        rows = torch.from_numpy(frames)
        self.frames = rows.to(device) if _fits(rows, device) else rows

    def cut(self, first: np.ndarray, length: np.ndarray, place: np.ndarray) -> torch.Tensor:
        """Segments of spans.

        Parameters
        ----------
        first, length : np.ndarray [shape=(batch,), dtype=int64]
            Each span's first row and number of rows.
        place : np.ndarray [shape=(batch, segment_frames)]
            Which rows of its span make each segment, counted from its first; past its end it is looped.

        Returns
        -------
        torch.Tensor [shape=(batch, 1, num_bands, segment_frames), dtype=float32]
            Of embeddings [shape=(batch, embedding_size)].
        """
        rows = first if self.embedded else first[:, None] + place.astype(np.int64) % length[:, None]
        segments = self.frames[torch.from_numpy(rows).to(self.frames.device)].to(self.device)
        return segments if self.embedded else segments.float().transpose(1, 2).unsqueeze(1)


class TrainingSegments:
    """Each epoch in a new order: of every track one segment, from a random place at a random pace, or all.

    A track that was dealt out in pieces gives a random one of them: an epoch then costs the same whatever the
    split, and strategies are compared after the same number of steps.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
        Sorted by track, as `segments.spans` gives them.
    segment_frames : int
        Length of a segment; no longer than the longest span.
    batch_size : int
        At most; batches of an epoch differ by one segment at most. Above 1 no batch has one segment: of an
        odd number of segments in pairs one batch has three.
    time_stretch : float
        Largest change of pace: with 0.1 a segment covers 0.9 to 1.1 times its length of music.
    rng : np.random.Generator
    every : bool
        Every span once an epoch, instead of one of each track.
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

    def __len__(self) -> int:
        num_segments = len(self.num_pieces)
        num_batches = -(-num_segments // self.batch_size)
        if self.batch_size > 1 and num_segments < 2 * num_batches:  # pairs and an odd one, which joins a pair
            num_batches = max(1, num_segments // 2)
        return num_batches

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Segments [shape=(batch, 1, num_bands, segment_frames)] and labels [shape=(batch,)]."""
        order = self.rng.permutation(len(self.num_pieces))
        # Batches are as equal as they can be: a last batch of one would break batch norm.
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
    """The same segments each time, for voting and embedding: every span as it is.

    A prediction depends on nothing but its own track: nothing is padded.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
        As `segments.fixed_spans` gives them.
    batch_size : int
        At most; a batch holds segments of one length.
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
        """[shape=(num_segments,)] Position of each segment in ``spans``, in the order in which they come."""
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
    """The training side's batches, as ``segments.plan`` says."""
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


def of_vote(
    packed: Features, split: pd.DataFrame, cutter: Cutter, *, side: str, role: str = "vote"
) -> FixedSegments:
    """The segments of a side that vote, or with ``role`` grid those as long as in training."""
    return FixedSegments(cutter, fixed_spans(packed, split, side=side, role=role))


def _fits(frames: torch.Tensor, device: torch.device) -> bool:
    """Whether half of the device's free memory holds them; what does not fit is cut on the CPU."""
    return device.type != "cuda" or 2 * frames.nbytes < torch.cuda.mem_get_info(device)[0]
