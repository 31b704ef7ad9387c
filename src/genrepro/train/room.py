"""Check that batches are large enough for the processes that share them and for the model's batch norm."""

import copy

import torch
from torch import nn

from genrepro.base.errors import GenreproError
from genrepro.models.shared import batches


def require_room(
    model: nn.Module,
    training: batches.TrainingSegments,
    voters: batches.FixedSegments,
    *,
    batch_size: int,
    num_processes: int,
    num_parts: int,
) -> None:
    """Raise GenreproError if a process gets no segment of a batch, or a part of one and has batch norm."""
    smallest = len(training.num_pieces) // len(training) // num_processes
    if not smallest:
        raise GenreproError(f"train.batch_size = {batch_size} is too small for {num_processes} processes.")
    if smallest < 2 * num_parts and not _takes_one(
        model, next(iter(voters))[:1], width=training.segment_frames
    ):
        raise GenreproError(
            f"train.batch_size = {batch_size} gives batches of one segment, of which the model's batch norm "
            f"(cnn.statistics) has no deviation: set it to {2 * num_processes * num_parts} or more, "
            "with at least two training tracks."
        )


def _takes_one(model: nn.Module, segment: torch.Tensor, *, width: int) -> bool:
    """Whether the model can train on one segment: batch norm needs more than one value a channel."""
    copied = copy.deepcopy(model).to(segment.device).train()
    with torch.no_grad(), torch.random.fork_rng():
        try:
            copied(segment[..., :width] if segment.ndim == 4 else segment)
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
    return True
