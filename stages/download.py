"""Stage download: fetch the data set's raw files from its declared remotes or from `source`.

python -m stages.download        params: dataset, source, synthetic, composed, folder, hub
    -> data/<dataset>/raw/
"""

from pathlib import Path

import stages
from genrepro import datasets
from genrepro.base import params
from genrepro.base.files import replacing


def main() -> None:
    config = params.load()
    raw = Path("data", config.dataset, "raw")
    with replacing(raw) as partial:
        partial.mkdir()
        datasets.module(config.dataset).acquire(params=config, raw=partial)
    print(f"{raw}: {sum(path.is_file() for path in raw.rglob('*'))} files")


if __name__ == "__main__":
    stages.run(main)
