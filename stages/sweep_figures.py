"""Stage sweep_figures: draw a sweep, as tables for DVC's plots and as pictures.

python -m stages.sweep_figures   params: dataset, split.strategy, model; sweep.report of sweeps/params.yaml
    -> metrics/sweep/by_lr.csv, metrics/sweep/by_weight_decay.csv, metrics/sweep/figures/
"""

from pathlib import Path

import pandas as pd

import stages
from genrepro import tracking
from genrepro.base import files, params, places, tables
from genrepro.figures import averages, epochs
from genrepro.sweep import grid


def main() -> None:
    config = params.load()
    report = grid.load().report
    log = None if report == "none" else averages.read_log(places.find(report))
    folder = Path("metrics", "sweep")
    curves = tables.read(folder / "curves.parquet", tables.SWEEP).to_pandas()
    types = {"seed": "int64", "lr": "float64", "weight_decay": "float64"}
    cells = pd.read_csv(files.require(folder / "cells.csv"), dtype=types)
    split = files.read_json(Path("metrics", "split.json"))
    sizes = " / ".join(str(split[f"num_{side}"]) for side in ("train", "validation", "test"))
    for by in ("lr", "weight_decay"):
        table = averages.by_epoch(curves, by=by)
        files.write_csv(folder / f"by_{by}.csv", list(table.columns), table.to_numpy())
    weights = config.architecture().get("weights")  # those of the frozen body
    model = f"{config.model}, weights {weights}"
    about = f"{model}, on {config.dataset}, split {config.split.strategy}, {sizes} tracks."
    with files.replacing(folder / "figures") as partial:
        epochs.draw(curves, cells, folder=partial, log=log, about=about)
    tracking.log_sweep_figures(folder, files.read_json(Path("models", "sweep", "model.json")))


if __name__ == "__main__":
    stages.run(main)
