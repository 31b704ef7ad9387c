"""Segments as batches, gathered on the device from rows of packed frames: no loader, no work per sample."""

from collections.abc import Iterator

import numpy as np
import torch

from genrepro.features import Spans


class Cutter:
    """Cuts segments out of packed frames.

    Parameters
    ----------
    frames : np.ndarray [shape=(total_frames, num_bands), dtype=float16]
    device : torch.device
        Where the frames stay and batches appear.
    """

    def __init__(self, frames: np.ndarray, *, device: torch.device) -> None:
        # float16 halves what stays on the device; arithmetic begins in float32, after the cut.
        self.frames = torch.from_numpy(frames).to(device)
        self.device = device

    def cut(self, first: torch.Tensor, length: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Segments of spans.

        Parameters
        ----------
        first, length : torch.Tensor [shape=(batch,), dtype=int64]
            Each span's first row and number of rows.
        place : torch.Tensor [shape=(batch, segment_frames), dtype=int64]
            Which rows of its span make each segment, counted from its first; past its end it is looped.

        Returns
        -------
        torch.Tensor [shape=(batch, 1, num_bands, segment_frames), dtype=float32]
        """
        rows = first[:, None] + place % length[:, None]
        return self.frames[rows].float().transpose(1, 2).unsqueeze(1)

    def indices(self, values: np.ndarray) -> torch.Tensor:
        """Whole numbers on the device."""
        return torch.tensor(values, dtype=torch.int64, device=self.device)


class RandomCrops:
    """Each epoch: every track once, in a new order, a segment from a random place of it at a random pace.

    A track that was dealt out in pieces gives a random one of them: an epoch then costs the same whatever the
    split, and strategies are compared after the same number of steps.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
        Sorted by track, as `features.spans` gives them.
    segment_frames : int
        Length of a segment; no longer than the longest span.
    batch_size : int
        At most; batches of an epoch differ by one segment at most.
    time_stretch : float
        Largest change of pace: with 0.1 a segment covers 0.9 to 1.1 times its length of music.
    rng : np.random.Generator
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
    ) -> None:
        self.cutter, self.spans, self.rng = cutter, spans, rng
        self.segment_frames = min(segment_frames, int(spans.num_frames.max()))
        self.batch_size, self.time_stretch = batch_size, time_stretch
        self.num_pieces = np.bincount(spans.track)
        self.first_piece = np.searchsorted(spans.track, np.arange(len(self.num_pieces)))

    def __len__(self) -> int:
        return -(-len(self.num_pieces) // self.batch_size)

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
            indices = self.cutter.indices
            segments = self.cutter.cut(
                indices(self.spans.first_frame[chosen]), indices(length), indices(place)
            )
            yield segments, indices(self.spans.label[chosen])


class EvenSegments:
    """The same evenly spaced segments of every span each time, for voting; overlapping where they must.

    A span shorter than a segment votes whole, as it is: a prediction depends on nothing but its own track.

    Parameters
    ----------
    cutter : Cutter
    spans : Spans
    segment_frames : int
        Length of a segment.
    num_segments : int
        Of each span; a span with no room for so many different ones gives fewer.
    batch_size : int
        At most; a batch holds segments of one length.
    """

    def __init__(
        self, cutter: Cutter, spans: Spans, *, segment_frames: int, num_segments: int, batch_size: int = 64
    ) -> None:
        self.cutter, self.batch_size = cutter, batch_size
        widths = np.minimum(spans.num_frames, segment_frames)
        self.groups: list[tuple[torch.Tensor, ...]] = []
        voters: list[np.ndarray] = []
        for width in np.unique(widths):
            members = np.flatnonzero(widths == width)
            starts = [
                np.unique(np.rint(np.linspace(0, spans.num_frames[member] - width, num_segments)))
                for member in members
            ]
            span = np.repeat(members, [len(start) for start in starts])
            place = np.concatenate(starts)[:, None] + np.arange(width)
            columns = (spans.first_frame[span], spans.num_frames[span], place)
            self.groups.append(tuple(cutter.indices(column) for column in columns))
            voters.append(span)
        order = np.concatenate(voters)
        self.track = spans.track[order]
        """[shape=(num_segments,)] Position of each segment's track in ``spans.track_ids``."""
        self.label = spans.label[order]
        """[shape=(num_segments,)]"""

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Segments [shape=(batch, 1, num_bands, width)], in the order of ``track``."""
        for group in self.groups:
            for batch in zip(*(column.split(self.batch_size) for column in group), strict=True):
                yield self.cutter.cut(*batch)
