"""Stage features: the tensor that the trainable part of the model reads.

python -m stages.features        params: dataset, segments, model, <model>, train.precision
    -> data/<dataset>/features/

Log-mel or MFCC frames; of a model with a frozen body, the body's embeddings of every segment.
"""

from pathlib import Path

import pandas as pd

import stages
from genrepro import features, files, models, packing, params, schema
from genrepro.params import Params


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    catalog = schema.read(data / "catalog.parquet", schema.CATALOG, columns=["track_id", "genre"]).to_pandas()
    split = features.read_split(data / "split.csv")
    packed = packing.pack(
        files.require(data / "mel.parquet"),
        genre=catalog.set_index("track_id")["genre"],
        split=split,
        params=config.segments,
    )
    description = packed.description
    print(f"{description['num_bands']} bands at {description['frame_rate']:.1f} Hz")
    if models.frozen(config.architecture()):
        embed(packed, split, config, folder=data / "features")
    else:
        features.save(packed, data / "features")


def embed(packed: features.Features, split: pd.DataFrame, config: Params, *, folder: Path) -> None:
    """Store a frozen body's embeddings in place of what it reads."""
    from genrepro import devices, embeddings, numerics

    numerics.use_torch(0)
    model = models.with_frozen_body(
        config.model, config.architecture(), num_genres=len(packed.genres), inputs=packed.description
    )
    embedded = embeddings.embed(packed, split, model, fabric=devices.fabric(config.train.precision))
    features.save(embedded, folder, embeddings.INDEX)
    print(f"{len(embedded.frames)} segments as {model.embedding_size} numbers each")


if __name__ == "__main__":
    stages.run(main)
