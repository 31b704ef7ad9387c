"""A client of the MLflow store that `base.stores` names."""

import logging
import os
from typing import Any

from genrepro.base import stores
from genrepro.base.errors import GenreproError

_PATIENCE = {  # with MLflow's defaults, an unreachable server delays the stage by minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def connect() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``, for commands that need them.

    Raises
    ------
    GenreproError
        If the store cannot be opened.
    """
    try:
        return client()
    except Exception as error:  # SQLAlchemy's, the network's, the file system's
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise GenreproError(f"{stores.name()} cannot be opened: {reason}.") from error


def fit_seconds(weights_sha256: str) -> int | None:
    """How long a model's training took [s], by the hash of its weights. None if unknown."""
    if not weights_sha256 or ("MLFLOW_TRACKING_URI" not in os.environ and not stores.database().exists()):
        return None
    try:
        opened, experiment_id = client()
        wanted = f"tags.model_sha256 = '{weights_sha256}'"
        found = opened.search_runs([experiment_id], filter_string=wanted, max_results=1)
    except Exception:  # a figure for orientation is no reason to stop
        return None
    return (
        round(found[0].data.metrics["fit_seconds"])
        if found and "fit_seconds" in found[0].data.metrics
        else None
    )


def client() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.store.db import utils as databases

    databases.MAX_RETRY_COUNT = 1  # the default of ten attempts takes 102 s if the database cannot be opened
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a new store is not news
    # Two queued experiments must not both create the database (the client does) or the experiment.
    with FileLock(stores.database().with_suffix(".db.lock"), timeout=60):
        opened = MlflowClient(stores.address())
        experiment = opened.get_experiment_by_name("genrepro")
        if experiment is not None:
            stores.follow(experiment.artifact_location)
            return opened, experiment.experiment_id
        # Without this tag, MLflow's page opens on its tools for language models, not on the runs.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return opened, opened.create_experiment("genrepro", artifact_location=stores.artifacts(), tags=tags)
