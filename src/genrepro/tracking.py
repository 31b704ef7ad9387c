"""Track experiments in MLflow, one run each: training opens it, the evaluation of its model completes it.

The store is ``$MLFLOW_TRACKING_URI``, or SQLite at the repository's root. Queued experiments run in temporary
clones, where ``DVC_ROOT`` names that root. Evaluation finds the run by the hash of the model's weights. An
error here ends the tracking with a one-line warning. It never ends the stage that is tracked.
"""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.files import sha256
from genrepro.base.params import Params

_PATIENCE = {  # with MLflow's defaults, an unreachable server delays the stage by minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class Run:
    """An MLflow run. Once tracking has failed, its methods do nothing."""

    def __init__(self) -> None:
        self.client: Any = None
        self.run_id: str | None = None

    def log_epoch(self, values: dict[str, float]) -> None:
        """Log the losses and accuracies of one epoch, as one step."""

        def log() -> None:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            step = int(values["epoch"])
            metrics = [Metric(key, value, now, step) for key, value in values.items() if key != "epoch"]
            self.client.log_batch(self.run_id, metrics=metrics)

        self._attempt(log)

    def log_training(self, metrics: dict[str, float], *, seconds: float) -> None:
        """Log what the train stage wrote (metrics, model, learning curves) and how long the fit took [s]."""
        from genrepro.figures import training as figures

        def log() -> None:
            curves = Path("metrics", "curves.csv")
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder, "learning_curves.png")
                figures.learning_curves(
                    pd.read_csv(curves), best_epoch=int(metrics["best_epoch"]), path=picture
                )
                self.client.log_artifact(self.run_id, str(picture), "figures")
            for path in (Path("models", "model.safetensors"), Path("models", "model.json")):
                self.client.log_artifact(self.run_id, str(path), "model")
            self.client.log_artifact(self.run_id, str(curves), "metrics")
            weights = sha256(Path("models", "model.safetensors"))
            values = {f"best.{key}": value for key, value in metrics.items()} | {"fit_seconds": seconds}
            self._log_batch(values, {"model_sha256": weights})

        self._attempt(log)

    def log_test(self, metrics: dict[str, float], *, genres: list[str]) -> None:
        """Log what the evaluate stage wrote: metrics, tables and the confusion matrix."""
        from genrepro.figures import training as figures

        def log() -> None:
            predictions = Path("metrics", "predictions.csv")
            with tempfile.TemporaryDirectory() as folder:
                picture = Path(folder, "confusion_matrix.png")
                figures.confusion_matrix(pd.read_csv(predictions), genres=genres, path=picture)
                self.client.log_artifact(self.run_id, str(picture), "figures")
            for path in (predictions, Path("metrics", "per_genre.csv"), Path("metrics", "test.json")):
                self.client.log_artifact(self.run_id, str(path), "metrics")
            self._log_batch({f"test.{key}": value for key, value in metrics.items()}, {"stage": "evaluate"})

        self._attempt(log)

    def log_sweep(self, summary: dict[str, Any], *, model: Path) -> None:
        """Log what the sweep stage wrote: tables, and the winners as metrics.

        A sweep is one run. Hundreds of runs of a second each would hide all others.
        """

        def log() -> None:
            for path in (Path("metrics", "sweep.json"), *sorted(Path("metrics", "sweep").glob("c*.*"))):
                self.client.log_artifact(self.run_id, str(path), "metrics")
            values = {
                f"{key}.{name}" if isinstance(value, dict) else key: float(number)
                for key, value in summary.items()
                for name, number in (value.items() if isinstance(value, dict) else [("", value)])
            }
            self._log_batch(values, {"model_sha256": sha256(model / "model.safetensors")})

        self._attempt(log)

    def log_sweep_figures(self, folder: Path) -> None:
        """Log the sweep's pictures and the tables that DVC plots."""

        def log() -> None:
            self.client.log_artifacts(self.run_id, str(folder / "figures"), "figures")
            for path in sorted(folder.glob("by_*.csv")):
                self.client.log_artifact(self.run_id, str(path), "metrics")

        self._attempt(log)

    def open(self, make: Callable[[], tuple[Any, str]]) -> None:
        """Begin or find the run. ``make`` returns a client and the run's id."""

        def begin() -> None:
            self.client, self.run_id = make()

        self._attempt(begin, always=True)

    def close(self, status: str) -> None:
        """Mark the run FINISHED or FAILED."""
        self._attempt(lambda: self.client.set_terminated(self.run_id, status=status))

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
            reason = " ".join(str(error).split())[:200]
            print(
                f"genrepro: tracking stopped, the work goes on: {type(error).__name__}: {reason}",
                file=sys.stderr,
            )


@contextmanager
def start(stage: str, config: Params, description: dict[str, Any]) -> Iterator[Run]:
    """Open an MLflow run for a block: FINISHED if the block succeeds, FAILED if it raises."""
    run = Run()
    run.open(lambda: _create(stage, config, description))
    try:
        yield run
    except BaseException:
        run.close("FAILED")
        raise
    run.close("FINISHED")


def log_evaluation(config: Params, description: dict[str, Any], metrics: dict[str, float]) -> None:
    """Add test metrics to the newest run that trained this model, or to a new run if there is none."""
    run = Run()

    def find() -> tuple[Any, str]:
        client, experiment_id = _client()
        weights = description["weights_sha256"]
        found = _newest(client, experiment_id, weights, stage="train")
        if found is not None:
            return client, found
        client, run_id = _create("evaluate", config, description)
        client.set_tag(run_id, "model_sha256", weights)
        return client, run_id

    run.open(find)
    run.log_test(metrics, genres=description["genres"])
    run.close("FINISHED")


def log_sweep_figures(folder: Path, description: dict[str, Any]) -> None:
    """Add a sweep's figures to its run, if there is one."""
    run = Run()

    def find() -> tuple[Any, str]:
        client, experiment_id = _client()
        found = _newest(client, experiment_id, description["weights_sha256"], stage="sweep")
        if found is None:
            raise GenreproError("no run of this sweep is in the store.")
        return client, found

    run.open(find)
    run.log_sweep_figures(folder)


def root() -> Path:
    """The user's repository, also for a queued experiment in its temporary clone."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def store() -> str:
    """The address of the MLflow store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def store_name() -> str:
    """The store's name for a message. The address may contain a password, so it is not shown."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return "the MLflow store that MLFLOW_TRACKING_URI names"
    return f"the MLflow store {root() / 'mlflow.db'}"


def connect() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``, for commands that need them.

    Raises
    ------
    GenreproError
        If the store cannot be opened.
    """
    try:
        return _client()
    except Exception as error:  # SQLAlchemy's, the network's, the file system's
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise GenreproError(f"{store_name()} cannot be opened: {reason}.") from error


def _client() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.store.db import utils as databases

    databases.MAX_RETRY_COUNT = 1  # the default of ten attempts takes 102 s if the database cannot be opened
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # do not report each step of creating a store
    named = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    # Two queued experiments must not both create the database (the client does) or the experiment.
    with FileLock(root() / "mlflow.db.lock", timeout=60):
        client = MlflowClient(store())
        experiment = client.get_experiment_by_name("genrepro")
        if experiment is not None:
            return client, experiment.experiment_id
        location = None if named else (root() / "mlartifacts").as_uri()
        # Without this tag, MLflow's page opens on its tools for language models, not on the runs.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return client, client.create_experiment("genrepro", artifact_location=location, tags=tags)


def _newest(client: Any, experiment_id: str, weights: str, *, stage: str) -> str | None:
    """Id of the newest run of a stage that made these weights."""
    found = client.search_runs(
        [experiment_id],
        filter_string=f"tags.model_sha256 = '{weights}' and tags.stage = '{stage}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return found[0].info.run_id if found else None


def _create(stage: str, config: Params, description: dict[str, Any]) -> tuple[Any, str]:
    from mlflow.entities import Param

    client, experiment_id = _client()
    experiment = os.environ.get("DVC_EXP_NAME", "")
    tags = {
        "stage": stage,
        "dvc_experiment": experiment or "workspace",
        **description["data"],  # the hashes of the data that trained it
    }
    run = client.create_run(
        experiment_id,
        run_name=experiment or f"{config.dataset}-{config.model}-{config.split.strategy}",
        tags=tags,
    )
    flat = {
        f"{section}.{key}" if isinstance(values, dict) else section: value
        for section, values in asdict(config).items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
    client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in flat.items()])
    return client, run.info.run_id
