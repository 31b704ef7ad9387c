"""Stage render: log-mel spectrograms of all tracks, and pictures for people.

    python -m stages.render          params: dataset, mel
        -> data/<dataset>/mel.parquet, data/<dataset>/levels.parquet, data/<dataset>/png/

`GENREPRO_WORKERS` sets the number of processes; it cannot change a byte.
"""

from pathlib import Path

import stages
from genrepro import figures, params, render, schema
from genrepro.numerics import num_workers


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    catalog = schema.read(data / "catalog.parquet", schema.CATALOG)
    render.render(
        catalog,
        raw=data / "raw",
        params=config.mel,
        mel_path=data / "mel.parquet",
        levels_path=data / "levels.parquet",
        num_workers=num_workers(),
    )
    num_drawn = figures.draw_gallery(
        data / "mel.parquet", catalog, folder=data / "png", per_genre=config.mel.png_per_genre
    )
    print(f"{catalog.num_rows} tracks rendered, {num_drawn} drawn to {data / 'png'}")


if __name__ == "__main__":
    stages.run(main)
