"""From a model to tracks: probabilities of segments, and their mean over a track's segments, its vote."""

from typing import Any

import numpy as np
import torch
from torch import nn

from genrepro.batches import EvenSegments


@torch.no_grad()
def segment_probabilities(model: nn.Module, segments: EvenSegments, fabric: Any = None) -> np.ndarray:
    """Softmax of every segment, in float64.

    Parameters
    ----------
    model : nn.Module
        On the segments' device; left in evaluation mode.
    segments : EvenSegments
    fabric : lightning_fabric.Fabric, optional
        Its precision is used.

    Returns
    -------
    np.ndarray [shape=(num_segments, num_genres), dtype=float64]
    """
    model.eval()
    parts = []
    for batch in segments:
        if fabric is None:
            logits = model(batch)
        else:
            with fabric.autocast():
                logits = model(batch)
        parts.append(logits.double().softmax(dim=1).cpu().numpy())
    return np.concatenate(parts)


def vote(probabilities: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Mean probability over the segments of each track.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(num_segments, num_genres)]
    track : np.ndarray [shape=(num_segments,)]
        Track of each segment, 0 .. num_tracks - 1, none without a segment.

    Returns
    -------
    np.ndarray [shape=(num_tracks, num_genres)]
    """
    total = np.zeros((track.max() + 1, probabilities.shape[1]))
    np.add.at(total, track, probabilities)
    return total / np.bincount(track)[:, None]
