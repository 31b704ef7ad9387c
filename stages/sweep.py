"""Stage sweep: train a head for each cell of a grid of learning rates, weight decays and seeds.

    python -m stages.sweep           params: dataset, seed, train, model, <model>, head; sweep.lr, ...
        -> metrics/sweep.json, metrics/sweep/ (cells.csv, predictions.csv, curves.parquet), models/sweep/

`GENREPRO_WORKERS` heads train at once on a CPU, and as many as fit on a GPU. A killed sweep goes on where it
stopped.
"""

import dataclasses
import shutil
from pathlib import Path

import stages
from genrepro import models, tracking
from genrepro.base import files, params, tables
from genrepro.exact import identity
from genrepro.models.shared import checkpoint, inputs
from genrepro.serve import registry
from genrepro.sweep import grid, heads, optimism, snapshots
from genrepro.sweep.grid import Cell


def main() -> None:
    config = params.load()
    cells = grid.cells(grid.load(), config)
    data = Path("data", config.dataset)
    packed = inputs.load(data / "features")
    split = tables.read_split(data / "split.csv")
    description = checkpoint.describe(
        model=config.model,
        section=config.architecture(),
        features=packed.description,
        split_sha256=files.sha256(data / "split.csv"),
    )
    leaky = files.read_json(Path("metrics", "split.json"))["leaky"]
    leaky = int(leaky or models.has_seen(config.architecture(), config.dataset))
    tracks = tables.read(data / "catalog.parquet", tables.CATALOG, columns=["track_id", "artist"])
    clusters = tables.read(data / "audit.parquet", tables.AUDIT, columns=["track_id", "duplicate_group"])
    group = identity.group_names(
        tracks.to_pandas().merge(clusters.to_pandas(), on="track_id", validate="one_to_one")
    )
    with tracking.start("sweep", config, description) as run:
        unfinished = data / "sweep.partial"
        curves = heads.run(packed, split, config, description, cells, folder=unfinished)
        table = snapshots.table(curves)
        tested = heads.tested_tracks(packed, split, group=group)
        predictions = snapshots.predictions(curves, table, tested, genres=packed.genres)
        summary = optimism.summary(table, predictions, leaky=leaky, confidence=config.evaluate.confidence)
        # Train the winner again, because the sweep keeps no weights. The result is the same.
        best = snapshots.winner(table, "loss")
        cell = Cell(seed=int(best["seed"]), lr=float(best["lr"]), weight_decay=float(best["weight_decay"]))
        alone = cell.params(config)
        alone = dataclasses.replace(alone, train=dataclasses.replace(alone.train, select="validation_loss"))
        heads.train_winner(packed, split, alone, description, folder=Path("models", "sweep"))
        snapshots.write(Path("metrics"), table, curves, predictions, summary | description["data"])
        shutil.rmtree(unfinished)
        run.log_sweep(summary, model=Path("models", "sweep"))
    registry.offer(Path("models", "sweep"), name="genrepro-sweep")
    for by in ("loss", "accuracy"):
        print(f"best by {by}: " + ", ".join(f"{key} {value}" for key, value in summary[f"by_{by}"].items()))


if __name__ == "__main__":
    stages.run(main)
