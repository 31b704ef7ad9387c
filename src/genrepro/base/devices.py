"""Choose the device for training and evaluation: ``GENREPRO_ACCELERATOR``, or the best one available.

It is an environment variable because it describes the machine. Parameters describe the experiment.
"""

import atexit
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genrepro.base.errors import GenreproError
from genrepro.exact import numerics

if TYPE_CHECKING:
    import torch
    from torch import nn

_ACCELERATORS = ("auto", "cpu", "cuda", "mps")
NATIVE_GAIN = {"cnn": 1.25, "lstm": 1.4, "ast": 1.15, "vit": 1.5, "head": 1.4}
"""How much faster a training is unpinned on a CPU with AVX-512: docs/BENCHMARKS.md, and of the LSTM
docs/decisions/2026-11-26-the-everyday-loop.md."""
WORTH_SAYING = 1.2


@dataclass(frozen=True, kw_only=True)
class Compute:
    """The device and precision of this process, and its place among the processes that share the work."""

    device: "torch.device"
    precision: str
    """``32-true`` or ``bf16-mixed``: matrix products in bfloat16, weights and sums in float32."""
    rank: int = 0
    """Number of this process among those of `torchrun`."""
    num_processes: int = 1

    def autocast(self) -> AbstractContextManager:
        """A context that computes in this precision."""
        import torch

        if self.precision == "32-true":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def share(self, model: "nn.Module") -> "nn.Module":
        """Wrap ``model``, which is on the device, so that gradients are means over all processes."""
        from torch import nn

        if self.num_processes == 1:
            return model
        on_gpu = self.device.type == "cuda"
        if on_gpu:  # batch norm sees whole batches, as in one process
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model, device_ids=[self.device] if on_gpu else None)

    def sum(self, values: "torch.Tensor") -> "torch.Tensor":
        """Add the values of all processes. Each process gets the sum."""
        import torch

        if self.num_processes > 1:
            torch.distributed.all_reduce(values)
        return values


def compute(precision: str) -> Compute:
    """The device and precision of this process, which may be one of several of `torchrun`.

    Parameters
    ----------
    precision : str
        ``32-true`` or ``bf16-mixed``. A pinned CPU emulates bfloat16, and a warning says so.
    """
    import torch

    num_processes, own = int(os.environ.get("WORLD_SIZE", 1)), device()
    if num_processes > 1 and own.type == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
    if num_processes > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
        atexit.register(torch.distributed.destroy_process_group)
    if precision != "32-true" and own.type == "cpu" and numerics.pinned() and rank() == 0:
        print(  # 5 times slower for convolutions, 25 times for dense layers
            f"genrepro: train.precision = {precision}: pinned arithmetic emulates bfloat16 on a CPU, "
            "many times slower than 32-true; GENREPRO_NATIVE=1 lets it use its own, where it has one.",
            file=sys.stderr,
        )
    return Compute(device=own, precision=precision, rank=rank(), num_processes=num_processes)


def advise(what: str) -> None:
    """Say in one line if a training on this CPU would be faster with ``GENREPRO_NATIVE=1``.

    Parameters
    ----------
    what : str
        A model, or ``head`` if nothing else is trained.
    """
    import torch

    gain = NATIVE_GAIN.get(what, 1.0)
    wider = torch.cpu.get_capabilities().get("avx512_f", False)
    if gain < WORTH_SAYING or not wider or device().type != "cpu" or not numerics.pinned() or rank():
        return
    print(
        f"genrepro: this CPU trains about {gain:.2g} times as fast with GENREPRO_NATIVE=1; "
        "the weights then differ from other machines'."
    )


def rank() -> int:
    """Number of this process among those of `torchrun`, or 0 without it."""
    return int(os.environ.get("RANK", 0))


def device() -> "torch.device":
    """The chosen device."""
    import torch

    name = _accelerator()
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _accelerator() -> str:
    import torch

    name = os.environ.get("GENREPRO_ACCELERATOR", "auto")
    if name not in _ACCELERATORS:
        raise GenreproError(f"GENREPRO_ACCELERATOR = {name!r} must be one of {', '.join(_ACCELERATORS)}.")
    if (name == "cuda" and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    ):
        raise GenreproError(f"GENREPRO_ACCELERATOR = {name!r}, but torch sees no such device here.")
    return name
