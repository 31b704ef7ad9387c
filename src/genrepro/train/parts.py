"""Cut a batch into parts, so that a large model trains in the memory of a part.

The gradients of the parts' losses add up to that of the batch, if each loss is weighted by its part's share
of the segments. Only batch norm sees parts instead of the batch, and dropout draws its units anew for each.
"""

from collections.abc import Iterator

import torch


def parts(
    batch: tuple[torch.Tensor, ...], *, number: int
) -> Iterator[tuple[float, tuple[torch.Tensor, ...]]]:
    """The share and the tensors of each part.

    Parameters
    ----------
    batch : tuple of torch.Tensor [shape=(num_segments, ...)]
    number : int
        Of parts, of equal size or one segment more. A smaller batch has fewer, so that none is empty.
    """
    number = min(number, len(batch[0]))
    for part in zip(*(tensor.tensor_split(number) for tensor in batch), strict=True):
        yield len(part[0]) / len(batch[0]), part
