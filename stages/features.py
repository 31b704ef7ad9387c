"""Stage features: the tensor that the trainable part of the model reads.

python -m stages.features        params: dataset, segments            -> data/<dataset>/features/
"""

from pathlib import Path

import stages
from genrepro import features, files, params, schema


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    catalog = schema.read(data / "catalog.parquet", schema.CATALOG, columns=["track_id", "genre"]).to_pandas()
    description = features.build(
        files.require(data / "mel.parquet"),
        genre=catalog.set_index("track_id")["genre"],
        split=features.read_split(data / "split.csv"),
        params=config.segments,
        folder=data / "features",
    )
    print(f"{description['num_bands']} bands at {description['frame_rate']:.1f} Hz")


if __name__ == "__main__":
    stages.run(main)
