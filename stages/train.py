"""Stage train: fit the model and keep one epoch of it, the last or the best by validation.

    python -m stages.train           params: seed, train, model, <model>
        -> models/model.safetensors, models/model.json, metrics/train.json, metrics/curves.csv

`GENREPRO_ACCELERATOR` (auto, cpu, cuda, mps) chooses the device.
"""

import time
from dataclasses import asdict, fields
from pathlib import Path

import stages
from genrepro import checkpoint, features, files, numerics, params, streams, tracking, training
from genrepro.errors import GenreproError


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    packed = features.load(data / "features")
    split = features.read_split(data / "split.csv")
    numerics.use_torch(streams.integer(config.seed, "train.torch"))
    description = checkpoint.describe(
        model=config.model,
        section=config.section(config.model),
        features=packed.description,
        split_sha256=files.sha256(data / "split.csv"),
    )
    with tracking.start("train", config, description) as run:
        start = time.perf_counter()
        fitted, num_parameters = training.run(
            packed, split, config, description, on_epoch=lambda epoch: run.log_epoch(asdict(epoch))
        )
        seconds = time.perf_counter() - start
        if training.diverged(fitted):
            raise GenreproError(
                f"train: the loss is no longer a number; lower train.lr = {config.train.lr:g}."
            )
        checkpoint.save(Path("models"), fitted.state, description)
        files.write_csv(
            Path("metrics", "curves.csv"),
            [field.name for field in fields(training.Epoch)],
            [_row(epoch) for epoch in fitted.curves],
        )
        scores = asdict(fitted.best)
        metrics = {
            "best_epoch": scores["epoch"],
            **{
                key: files.rounded(scores[key])
                for key in ("train_loss", "validation_loss", "validation_accuracy")
            },
            **num_parameters,
        }
        files.write_json(Path("metrics", "train.json"), metrics)
        run.log_training(metrics, seconds=seconds)
    accuracy = metrics["validation_accuracy"]
    print(
        f"fitted in {seconds:.1f} s; epoch {metrics['best_epoch']} kept: validation accuracy {accuracy:.3f}"
    )


def _row(epoch: training.Epoch) -> list[float]:
    number, *values = asdict(epoch).values()
    return [number, *map(files.rounded, values)]


if __name__ == "__main__":
    stages.run(main)
