"""Augment training segments, a whole batch at once. NumPy draws the numbers, so all devices see the same.

SpecAugment's masks: Park et al., Interspeech 2019. Random filter: FilterAugment, Nam et al., ICASSP 2022, by
straight lines. Mixup: Zhang et al., ICLR 2018.
"""

import numpy as np
import torch

from genrepro.base.params import Train

NUM_GAINS = 6  # of the random filter, evenly over the bands; straight lines between them


def augment(segments: torch.Tensor, *, params: Train, rng: np.random.Generator) -> torch.Tensor:
    """Shift along the bands, filter at random, then mask frames and bands with 0, the training mean.

    Parameters
    ----------
    segments : torch.Tensor [shape=(batch, 1, num_bands, num_frames)]
    params : Train
    rng : np.random.Generator

    Returns
    -------
    torch.Tensor [shape=(batch, 1, num_bands, num_frames)]
    """
    batch, _, num_bands, num_frames = segments.shape
    if limit := round(params.frequency_shift * num_bands):
        shift = rng.integers(-limit, limit + 1, batch)
        # The gap at the edge is filled with copies of the outermost band.
        source = np.clip(np.arange(num_bands) - shift[:, None], 0, num_bands - 1)
        rows = torch.from_numpy(source).to(segments.device)[:, None, :, None]
        segments = segments.gather(2, rows.expand(-1, 1, -1, num_frames))
    if params.filter_gain:
        gains = rng.normal(0, params.filter_gain, (batch, NUM_GAINS))
        places = np.linspace(0, NUM_GAINS - 1, num_bands)
        curves = np.array([np.interp(places, np.arange(NUM_GAINS), drawn) for drawn in gains])
        segments = segments + torch.from_numpy(curves).to(segments)[:, None, :, None]
    keep = np.ones((batch, 1, num_bands, num_frames), dtype=bool)
    for count, longest, size, axis in (
        (params.num_time_masks, params.time_mask, num_frames, 3),
        (params.num_frequency_masks, params.frequency_mask, num_bands, 2),
    ):
        for _ in range(count):
            keep &= ~_mask(batch, size, round(longest * size), axis, rng)
    if not keep.all():
        segments = segments * torch.from_numpy(keep).to(segments.device)
    return segments


def mixup(
    segments: torch.Tensor, labels: torch.Tensor, *, params: Train, num_genres: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each segment, or embedding, with another of its batch, and their labels in the same proportion.

    Returns
    -------
    segments : torch.Tensor [shape=(batch, ...)]
    targets : torch.Tensor [shape=(batch, num_genres)]
        Probabilities, one-hot where ``params.mixup`` is 0.
    """
    return mix(segments, torch.nn.functional.one_hot(labels, num_genres).float(), params=params, rng=rng)


def mix(
    segments: torch.Tensor, targets: torch.Tensor, *, params: Train, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup of segments and of targets that are probabilities already [shape=(batch, num_targets)]."""
    if not params.mixup:
        return segments, targets
    drawn = rng.beta(params.mixup, params.mixup, len(segments)).astype(np.float32)
    # The first of a pair keeps the larger weight, so that its genre is the one that accuracy counts.
    weight = torch.from_numpy(np.maximum(drawn, 1 - drawn)).to(segments.device)
    partner = torch.from_numpy(rng.permutation(len(segments))).to(segments.device)
    share = weight.view(-1, *[1] * (segments.ndim - 1))
    mixed = segments * share + segments[partner] * (1 - share)
    return mixed, targets * weight[:, None] + targets[partner] * (1 - weight[:, None])


def _mask(batch: int, size: int, longest: int, axis: int, rng: np.random.Generator) -> np.ndarray:
    """True inside one random stretch of at most ``longest`` positions along ``axis``, for each segment."""
    length = rng.integers(0, longest + 1, batch)
    first = rng.integers(0, size - length + 1)
    place = np.arange(size)
    covered = (place >= first[:, None]) & (place < (first + length)[:, None])
    return covered[:, None, None, :] if axis == 3 else covered[:, None, :, None]
