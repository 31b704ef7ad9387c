"""Write one MLflow run: training opens it, the evaluation of the same model completes it.

A run is found again by the hash of its model's weights. An error ends tracking with a warning, and never the
stage that is tracked.
"""

import csv
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genrepro.base import process
from genrepro.base.errors import GenreproError
from genrepro.base.files import sha256
from genrepro.base.sections import flat
from genrepro.tracking import connection

if TYPE_CHECKING:
    from genrepro.base.params import Params


TRAINED = tuple(map(Path, ("models/model.safetensors", "models/model.json", "metrics/curves.csv")))
"""What the train stage writes. DVC moves it while copies of it are recorded."""
_OURS = ("MLFLOW_", "DVC_")


class Run:
    """An MLflow run. Once tracking has failed, its methods do nothing."""

    def __init__(self) -> None:
        self.client: Any = None
        self.run_id: str | None = None
        self.warning: str | None = None

    def prepare(self) -> None:
        """Import what the other methods use, before there is anything to record."""

        def load() -> None:
            with process.importing():
                import matplotlib.figure  # noqa: F401
                import mlflow.store.db.utils  # noqa: F401

        self._attempt(load, always=True)

    def create(self, stage: str, opening: dict[str, Any]) -> None:
        """Begin a run of ``stage``. See `opening` for ``opening``."""
        _set(opening["environment"])
        self._attempt(lambda: self._create(stage, opening), always=True)

    def find(self, stage: str, opening: dict[str, Any]) -> None:
        """Go on with the newest run of ``stage`` that made the weights of ``opening``.

        Without one, an evaluation begins a run of its own.
        """
        _set(opening["environment"])

        def find() -> None:
            client, experiment_id = connection.client()
            weights = opening["weights_sha256"]
            found = client.search_runs(
                [experiment_id],
                filter_string=f"tags.model_sha256 = '{weights}' and tags.stage = '{stage}'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
            if found:
                self.client, self.run_id = client, found[0].info.run_id
            elif stage == "train":
                self._create("evaluate", opening)
                client.set_tag(self.run_id, "model_sha256", weights)
            else:
                raise GenreproError(f"no run of this {stage} is in the store.")

        self._attempt(find, always=True)

    def log_epoch(self, values: dict[str, float], *, milliseconds: int) -> None:
        """Log the losses and accuracies of one epoch, and when it ended."""

        def log() -> None:
            from mlflow.entities import Metric

            step = int(values["epoch"])
            metrics = [
                Metric(key, value, milliseconds, step) for key, value in values.items() if key != "epoch"
            ]
            self.client.log_batch(self.run_id, metrics=metrics)

        self._attempt(log)

    def log_training(self, metrics: dict[str, float], *, seconds: float, folder: str) -> None:
        """Log what the train stage wrote (metrics, model, learning curves) and how long the fit took [s].

        ``folder`` holds copies of the stage's files, and is removed.
        """
        from genrepro.figures import training as figures

        weights, description, curves = (Path(folder, path.name) for path in TRAINED)

        def log() -> None:
            picture = Path(folder, "learning_curves.png")
            epochs = {key: list(map(float, values)) for key, values in _columns(curves).items()}
            figures.learning_curves(epochs, best_epoch=int(metrics["best_epoch"]), path=picture)
            for path, place in (
                (picture, "figures"),
                (weights, "model"),
                (description, "model"),
                (curves, "metrics"),
            ):
                self.client.log_artifact(self.run_id, str(path), place)
            values = {f"best.{key}": value for key, value in metrics.items()} | {"fit_seconds": seconds}
            self._log_batch(values, {"model_sha256": sha256(weights)})

        self._attempt(log)
        shutil.rmtree(folder, ignore_errors=True)

    def log_test(self, metrics: dict[str, float], *, genres: list[str]) -> None:
        """Log what the evaluate stage wrote: metrics, tables and the confusion matrix."""
        from genrepro.figures import training as figures

        def log() -> None:
            predictions = Path("metrics", "predictions.csv")
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder, "confusion_matrix.png")
                figures.confusion_matrix(_columns(predictions), genres=genres, path=picture)
                self.client.log_artifact(self.run_id, str(picture), "figures")
            for path in (predictions, Path("metrics", "per_genre.csv"), Path("metrics", "test.json")):
                self.client.log_artifact(self.run_id, str(path), "metrics")
            self._log_batch({f"test.{key}": value for key, value in metrics.items()}, {"stage": "evaluate"})

        self._attempt(log)

    def log_sweep(self, summary: dict[str, Any], *, model: str) -> None:
        """Log what the sweep stage wrote: tables, and the winners as metrics.

        A sweep is one run. Hundreds of runs of a second each would hide all others.
        """

        def log() -> None:
            for path in (Path("metrics", "sweep.json"), *sorted(Path("metrics", "sweep").glob("c*.*"))):
                self.client.log_artifact(self.run_id, str(path), "metrics")
            self._log_batch(flat(summary), {"model_sha256": sha256(Path(model, "model.safetensors"))})

        self._attempt(log)

    def log_sweep_figures(self, folder: str) -> None:
        """Log the sweep's pictures and the tables that DVC plots."""

        def log() -> None:
            self.client.log_artifacts(self.run_id, str(Path(folder, "figures")), "figures")
            for path in sorted(Path(folder).glob("by_*.csv")):
                self.client.log_artifact(self.run_id, str(path), "metrics")

        self._attempt(log)

    def close(self, status: str) -> None:
        """Mark the run FINISHED or FAILED."""
        self._attempt(lambda: self.client.set_terminated(self.run_id, status=status))

    def _create(self, stage: str, opening: dict[str, Any]) -> None:
        from mlflow.entities import Param

        client, experiment_id = connection.client()
        experiment = os.environ.get("DVC_EXP_NAME", "")
        tags = {
            "stage": stage,
            "dvc_experiment": experiment or "workspace",
            **opening["data"],  # the hashes of the data that trained it
        }
        run = client.create_run(
            experiment_id,
            start_time=opening["milliseconds"],
            run_name=experiment or opening["name"],
            tags=tags,
        )
        params = [Param(key, value) for key, value in opening["params"].items()]
        client.log_batch(run.info.run_id, params=params)
        self.client, self.run_id = client, run.info.run_id

    def _log_batch(self, metrics: dict[str, float], tags: dict[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            metrics=[Metric(key, float(value), now, 0) for key, value in metrics.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    def _attempt(self, action: Callable[[], object], *, always: bool = False) -> None:
        if self.client is None and not always:
            return
        try:
            action()
        except Exception as error:  # tracking must never stop the stage
            self.client = None
            self.warning = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def opening(config: "Params | None", description: dict[str, Any]) -> dict[str, Any]:
    """The values that a run begins with: parameters, hashes of the data and, if known, of the weights.

    Parameters
    ----------
    config : Params, optional
        None if no run may begin.
    description : dict
        model.json.
    """
    sections = {} if config is None else asdict(config)
    return {
        # Another stage, with another environment, may have started the recorder.
        "environment": {key: value for key, value in os.environ.items() if key.startswith(_OURS)},
        "milliseconds": int(time.time() * 1000),
        "name": "" if config is None else f"{config.dataset}-{config.model}-{config.split.strategy}",
        "params": {key: str(value) for key, value in flat(sections).items()},
        "data": description["data"],
        "weights_sha256": description.get("weights_sha256"),
    }


def _set(environment: dict[str, str]) -> None:
    for key in [key for key in os.environ if key.startswith(_OURS)]:
        del os.environ[key]
    os.environ.update(environment)


def _columns(path: Path) -> dict[str, list[str]]:
    """A CSV file by column, as text, without importing pandas."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {key: [row[number] for row in rows] for number, key in enumerate(header)}
