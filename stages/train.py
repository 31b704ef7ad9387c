"""Stage train: fit the model and keep the weights of one epoch, the last or the best by validation.

    python -m stages.train           params: dataset, seed, train, model, <model>, head
        -> models/model.safetensors, models/model.json, metrics/train.json, metrics/curves.csv

`GENREPRO_ACCELERATOR` (auto, cpu, cuda, mps) chooses the device. For several devices:
`torchrun --nproc-per-node 2 -m stages.train`. A killed training goes on where it stopped.
"""

import time
from dataclasses import asdict, astuple, fields
from functools import partial
from pathlib import Path

import stages
from genrepro import tracking
from genrepro.base import process


def main() -> None:
    tracking.prepare()  # MLflow is imported while all this is
    with process.importing():
        from genrepro import train
        from genrepro.base import devices, files, params, tables
        from genrepro.base.errors import GenreproError
        from genrepro.exact import numerics, streams
        from genrepro.models.shared import checkpoint, inputs

    config = params.load()
    data = Path("data", config.dataset)
    packed = inputs.load(data / "features")
    split = tables.read_split(data / "split.csv")
    numerics.use_torch(streams.integer(config.seed, "train.torch"))
    description = checkpoint.describe(
        model=config.model,
        section=config.architecture(),
        features=packed.description,
        split_sha256=files.sha256(data / "split.csv"),
    )
    described = {} if config.train.objective == "genre" else {"objective": config.train.objective}
    labels = tables.read(data / "labels.parquet", tables.LABELS).to_pandas()
    begin = train.start.read(config.train.start)
    description = train.start.described(description | described, begin)
    unfinished = Path("models", "unfinished.safetensors")
    devices.advise("head" if packed.embedded else config.model)
    fit = partial(
        train.run, packed, split, config, description, unfinished=unfinished, begin=begin, labels=labels
    )
    if devices.rank():  # one of several processes, and not the one that writes
        fit()
        return
    with tracking.start("train", config, description) as run:
        start = time.perf_counter()
        fitted, num_parameters = fit(on_epoch=lambda epoch: run.log_epoch(asdict(epoch)))
        seconds = time.perf_counter() - start
        if train.diverged(fitted):
            lr = f"train.lr = {config.train.lr:g}"
            raise GenreproError(f"train: the loss is no longer a number; lower {lr}.")
        checkpoint.save(Path("models"), fitted.state, description)
        files.write_csv(
            Path("metrics", "curves.csv"),
            [field.name for field in fields(train.Epoch)],
            [[epoch.epoch, *map(files.rounded, astuple(epoch)[1:])] for epoch in fitted.curves],
        )
        metrics = fitted.metrics() | num_parameters
        files.write_json(Path("metrics", "train.json"), metrics)
        run.log_training(metrics, seconds=seconds)
    kept = f"epoch {metrics['best_epoch']} kept: validation accuracy {metrics['validation_accuracy']:.3f}"
    print(f"fitted in {seconds:.1f} s; {kept}")


if __name__ == "__main__":
    stages.run(main)
