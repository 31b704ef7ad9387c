"""Stage source: what a local `source` holds, so that DVC notices a change.

python -m stages.source          params: dataset, source    -> data/<dataset>/source.json
"""

from pathlib import Path

import stages
from genrepro.base import files, params
from genrepro.download import listing


def main() -> None:
    config = params.load()
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


if __name__ == "__main__":
    stages.run(main)
