"""Keep the last state of a killed training in one safetensors file, for the same training to go on from.

A training is the same if its model, recipe, seed, data (by the hashes in model.json), device, number of
processes, release of torch and the text of this package are. Any other training starts from the beginning.
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

# Least time [s] between two writes: a short training is cheaper to repeat than to keep.
INTERVAL = 1.0
# Largest share of the time spent on writing: the state of a large model is a gigabyte.
SHARE = 0.05


class Resume:
    """Keeps and finds the state of one training.

    Parameters
    ----------
    path : Path
        The file, ``.safetensors``.
    identity : dict
        What tells this training from others, as plain values.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.identity = digest(identity)
        self.due = time.monotonic() + INTERVAL

    def keep(self, tensors: "Callable[[], dict[str, torch.Tensor]]", values: dict[str, Any]) -> None:
        """Write the state atomically, unless the last write is too recent."""
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
        """The state, or None if the file has none of this training."""
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("identity") != self.identity:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not iterable
        except SafetensorError:  # another kind of file
            return None
        return tensors, json.loads(metadata["values"])

    def done(self) -> None:
        """Delete the state of a training that has ended."""
        self.path.unlink(missing_ok=True)


def digest(identity: dict[str, Any]) -> str:
    """A hash of plain values, torch's release and the text of this package."""
    import torch

    found = hashlib.sha256(json.dumps({**identity, "torch": torch.__version__}, sort_keys=True).encode())
    package = Path(__file__).parents[1]  # all of genrepro
    for source in sorted(package.rglob("*.py")):
        found.update(source.relative_to(package).as_posix().encode() + source.read_bytes())
    return found.hexdigest()
