"""Choose the device for training and evaluation: ``GENREPRO_ACCELERATOR``, or the best one available.

It is an environment variable because it describes the machine. Parameters describe the experiment.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from genrepro.base.errors import GenreproError
from genrepro.exact import numerics

if TYPE_CHECKING:
    import torch

_ACCELERATORS = ("auto", "cpu", "cuda", "mps")


def fabric(precision: str) -> Any:
    """Lightning Fabric on one device, or on one for each process of `torchrun`.

    Parameters
    ----------
    precision : str
        Fabric's name: ``32-true`` or ``bf16-mixed``. A pinned CPU emulates bfloat16, and a warning says so.
    """
    try:
        lightning = import_module("lightning_fabric")
    except ImportError:  # GPU images often have the whole lightning package instead
        lightning = import_module("lightning.fabric")
    settings: dict[str, Any] = {"accelerator": _accelerator(), "precision": cast(Any, precision)}
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        started = lightning.Fabric(devices=1, **settings)
    else:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        started = lightning.Fabric(strategy="ddp", devices=local, num_nodes=world // local, **settings)
        started.launch()
    if precision != "32-true" and started.device.type == "cpu" and numerics.pinned() and rank() == 0:
        print(  # 5 times slower for convolutions, 25 times for dense layers
            f"genrepro: train.precision = {precision}: pinned arithmetic emulates bfloat16 on a CPU, "
            "many times slower than 32-true; GENREPRO_NATIVE=1 lets it use its own, where it has one.",
            file=sys.stderr,
        )
    return started


def rank() -> int:
    """Number of this process among those of `torchrun`, or 0 without it."""
    return int(os.environ.get("RANK", 0))


def device() -> "torch.device":
    """The same device, for work that does not need Fabric."""
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
