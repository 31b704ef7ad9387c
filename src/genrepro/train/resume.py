"""A killed training's last state: one safetensors file that only the very same training takes up again.

The same means: model, recipe, seed and data (by the hashes in model.json), device, number of processes,
release of torch, and the text of this package. Anything else begins anew.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrepro.base.files import replacing

if TYPE_CHECKING:
    import torch

# The state is written at most so often [s]: short trainings cost less to repeat than to keep.
INTERVAL = 1.0
# And in at most this share of the time: that of a large model is a gigabyte.
SHARE = 0.05


class Resume:
    """Keeps and finds the state of one training.

    Parameters
    ----------
    path : Path
        Of the file; ``.safetensors``.
    identity : dict
        What makes a training this one, as plain values.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.identity = digest(identity)
        self.due = time.monotonic() + INTERVAL

    def keep(self, tensors: "Callable[[], dict[str, torch.Tensor]]", values: dict[str, Any]) -> None:
        """Write the state, unless the last one was written too recently; never half of it."""
        if (start := time.monotonic()) < self.due:
            return
        from safetensors.torch import save_file

        metadata = {"identity": self.identity, "values": json.dumps(values)}
        with replacing(self.path) as partial:
            kept = {name: value.detach().cpu().contiguous() for name, value in tensors().items()}
            save_file(kept, partial, metadata=metadata)
        end = time.monotonic()
        self.due = end + max(INTERVAL, (end - start) / SHARE)

    def load(self) -> "tuple[dict[str, torch.Tensor], dict[str, Any]] | None":
        """The state, or None if there is none of this training."""
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("identity") != self.identity:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iterable
        except SafetensorError:  # not a file of ours
            return None
        return tensors, json.loads(metadata["values"])

    def done(self) -> None:
        """The training has ended: forget its state."""
        self.path.unlink(missing_ok=True)


def digest(identity: dict[str, Any]) -> str:
    """A hash of plain values, torch's release and the text of this package."""
    import torch

    found = hashlib.sha256(json.dumps({**identity, "torch": torch.__version__}, sort_keys=True).encode())
    package = Path(__file__).parents[1]  # all of genrepro
    for source in sorted(package.rglob("*.py")):
        found.update(source.relative_to(package).as_posix().encode() + source.read_bytes())
    return found.hexdigest()
