"""Stage sweep: a head for each cell of a grid of learning rates, weight decays and seeds, on embeddings.

python -m stages.sweep           params: dataset, seed, train, model, <model>, head; sweep
    -> metrics/sweep.json, metrics/sweep/{cells,by_lr,by_weight_decay}.csv, curves.parquet, figures/

`GENREPRO_WORKERS` heads at once on a CPU, as many as fit on a GPU. A killed sweep goes on where it was.
"""

import shutil
from pathlib import Path

import pyarrow as pa

import stages
from genrepro import checkpoint, features, files, grid, params, schema, snapshots, sweep


def main() -> None:
    config = params.load()
    cells = grid.cells(grid.load(), config)
    data = Path("data", config.dataset)
    packed = features.load(data / "features")
    split = features.read_split(data / "split.csv")
    leaky = files.read_json(Path("metrics", "split.json"))["leaky"]
    description = checkpoint.describe(
        model=config.model,
        section=config.architecture(),
        features=packed.description,
        split_sha256=files.sha256(data / "split.csv"),
    )
    unfinished = data / "sweep.partial"
    curves = sweep.run(packed, split, config, description, cells, folder=unfinished)
    num_tracks = split.loc[split["split"] == "test", "track_id"].nunique()
    table = snapshots.table(curves)
    summary = snapshots.summary(
        table, num_tracks=num_tracks, leaky=leaky, confidence=config.evaluate.confidence
    )
    folder = Path("metrics", "sweep")
    files.write_csv(
        folder / "cells.csv", list(table.columns), table.astype(object).where(table.notna(), None).to_numpy()
    )
    files.write_parquet(
        folder / "curves.parquet",
        [pa.Table.from_pandas(curves[schema.SWEEP.names], schema=schema.SWEEP, preserve_index=False)],
        schema.SWEEP,
    )
    files.write_json(Path("metrics", "sweep.json"), summary)
    shutil.rmtree(unfinished)


if __name__ == "__main__":
    stages.run(main)
