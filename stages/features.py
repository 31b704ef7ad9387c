"""Stage features: prepare the input of the trainable part of the model.

    python -m stages.features        params: dataset, segments, model, <model>, train.precision
        -> data/<dataset>/features/

Log-mel or MFCC frames. With a frozen body, its embeddings of every segment; `pretrained` has kept them
already.
"""

from pathlib import Path

import pandas as pd

import stages
from genrepro import features, models
from genrepro.base import files, params, tables
from genrepro.base.params import Params
from genrepro.models.shared import inputs


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    catalog = tables.read(data / "catalog.parquet", tables.CATALOG, columns=["track_id", "genre", "artist"])
    tracks = catalog.to_pandas().set_index("track_id")
    split = tables.read_split(data / "split.csv")
    genre = tracks["genre"]
    if config.model == "pretrained" and models.frozen(config.architecture()):
        chosen = features.choose(
            data / "embeddings.parquet", genre=genre, artist=tracks["artist"], split=split, config=config
        )
        inputs.save(chosen, data / "features", inputs.EMBEDDED)
        print(f"{len(chosen.frames)} embeddings of {chosen.frames.shape[1]} numbers")
        return
    packed = features.pack(
        files.require(data / "mel.parquet"),
        genre=genre,
        split=split,
        params=config.segments,
    )
    description = packed.description
    print(f"{description['num_bands']} bands at {description['frame_rate']:.1f} Hz")
    if models.frozen(config.architecture()):
        embed(packed, split, config, folder=data / "features")
    else:
        inputs.save(packed, data / "features")


def embed(packed: inputs.Features, split: pd.DataFrame, config: Params, *, folder: Path) -> None:
    """Store a frozen body's embeddings in place of the spectrograms."""
    from genrepro.base import devices
    from genrepro.exact import numerics

    numerics.use_torch(0)
    model = models.with_frozen_body(
        config.model, config.architecture(), num_genres=len(packed.genres), inputs=packed.description
    )
    embedded = features.embed(packed, split, model, compute=devices.compute(config.train.precision))
    inputs.save(embedded, folder, inputs.EMBEDDED)
    print(f"{len(embedded.frames)} segments as {model.embedding_size} numbers each")


if __name__ == "__main__":
    stages.run(main)
