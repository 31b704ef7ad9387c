"""Stage render: compute log-mel spectrograms of all tracks, and draw some of them for people.

    python -m stages.render          params: dataset, mel
        -> data/<dataset>/mel.parquet, data/<dataset>/levels.parquet, data/<dataset>/png/

`GENREPRO_WORKERS` sets the number of processes; `--backend` or `GENREPRO_BACKEND` runs them on a cluster
(dask, ray) that `DASK_SCHEDULER_ADDRESS` or `RAY_ADDRESS` names. Neither changes the bytes of the result.
After a kill, the next run continues: finished tracks are kept in data/<dataset>/mel.partial/.
"""

import argparse
import os
from pathlib import Path

import stages
from genrepro import render
from genrepro.base import params, tables
from genrepro.exact.numerics import num_workers


def main() -> None:
    parser = argparse.ArgumentParser(description="Log-mel spectrograms of all tracks.")
    parser.add_argument("--backend", default=os.environ.get("GENREPRO_BACKEND") or "loky")
    backend = parser.parse_args().backend
    config = params.load()
    data = Path("data", config.dataset)
    catalog = tables.read(data / "catalog.parquet", tables.CATALOG)
    num_resumed = render.render(
        catalog,
        raw=data / "raw",
        params=config.mel,
        mel_path=data / "mel.parquet",
        levels_path=data / "levels.parquet",
        num_workers=num_workers(),
        backend=backend,
    )
    num_drawn = render.draw_gallery(
        data / "mel.parquet", catalog, folder=data / "png", per_genre=config.mel.png_per_genre
    )
    if num_resumed:
        print(f"resumed: {num_resumed} of {catalog.num_rows} tracks were already rendered")
    print(f"{catalog.num_rows} tracks rendered, {num_drawn} drawn to {data / 'png'}")


if __name__ == "__main__":
    stages.run(main)
