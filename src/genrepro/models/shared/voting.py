"""Predict tracks: probabilities of segments, and the vote of a track's segments."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from genrepro.base.devices import Compute
from genrepro.exact import dense
from genrepro.models.shared.batches import FixedSegments


@torch.no_grad()
def segment_probabilities(
    model: nn.Module, segments: FixedSegments, compute: Compute | None = None
) -> np.ndarray:
    """Class probabilities of every segment.

    Parameters
    ----------
    model : nn.Module
        On the segments' device. It is left in evaluation mode.
    segments : FixedSegments
    compute : devices.Compute, optional
        Sets the precision.

    Returns
    -------
    np.ndarray [shape=(num_segments, num_genres), dtype=float64]
    """
    model.eval()
    parts = []
    cutter = segments.cutter
    with (
        dense.arithmetic(cutter.device, embedded=cutter.embedded),
        nullcontext() if compute is None else compute.autocast(),
    ):
        for batch in segments:
            parts.append(model(batch).double().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)


def vote(probabilities: np.ndarray, track: np.ndarray, *, how: str = "mean") -> np.ndarray:
    """Combine the probabilities of each track's segments.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(num_segments, num_genres)]
    track : np.ndarray [shape=(num_segments,)]
        Track of each segment, 0 .. num_tracks - 1. Every track has a segment.
    how : str
        ``mean``: the mean probability. ``majority``: each segment votes for its genre. One more vote is
        divided by the mean probability, so that it breaks ties and no genre has 0.

    Returns
    -------
    np.ndarray [shape=(num_tracks, num_genres)]
        Each row sums to 1.
    """
    mean = _mean(probabilities, track)
    if how == "mean":
        return mean
    number = np.bincount(track)[:, None]
    votes = _mean(np.eye(probabilities.shape[1])[probabilities.argmax(1)], track) * number
    return (votes + mean) / (number + 1)


def _mean(values: np.ndarray, track: np.ndarray) -> np.ndarray:
    total = np.zeros((track.max() + 1, values.shape[1]))
    np.add.at(total, track, values)
    return total / np.bincount(track)[:, None]
