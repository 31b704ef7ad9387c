"""Stage source: what a local `source` holds and what `train.start` names, so that DVC notices a change.

python -m stages.source          params: dataset, source, train.start
    -> data/<dataset>/source.json, models/start.json
"""

from pathlib import Path
from typing import Any

import stages
from genrepro.base import files, params, starts
from genrepro.download import listing


def main() -> None:
    config = params.load()
    list_source(config)
    list_start(config)


def list_source(config: params.Params) -> None:
    path = Path("data", config.dataset, "source.json")
    last = files.read_json(path) if path.is_file() else None
    found = listing.of_source(config.source)
    if found is None and last is not None:
        if last["num_files"]:
            print(f"source = {config.source!r} is not on this machine: its last listing stands")
        return
    found = found or listing.NOTHING
    if found != last:
        files.write_json(path, found)
        print(f"{path}: {found['num_files']} files, {found['num_bytes'] / 1e6:.1f} MB")


def list_start(config: params.Params) -> None:
    last = files.read_json(starts.LISTING) if starts.LISTING.is_file() else None
    found = start(config.train.start)
    if found is None and last is not None:
        if last["model_sha256"]:
            print(f"train.start = {config.train.start!r} is not on this machine: its last listing stands")
        return
    if (found := found or starts.NOTHING) != last:
        files.write_json(starts.LISTING, found)


def start(name: str) -> dict[str, Any] | None:
    """The listing of what ``train.start`` names. None if that is not on this machine."""
    if name == "none":
        return starts.NOTHING
    found = starts.given(name)
    if found is None:
        from genrepro.experiments import bring

        found = bring.model(name)
    return None if found is None else starts.listing(found)


if __name__ == "__main__":
    stages.run(main)
