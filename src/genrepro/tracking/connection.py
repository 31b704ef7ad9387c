"""A client of the MLflow store that `base.stores` names."""

import logging
import os
from typing import Any

from genrepro.base import stores
from genrepro.base.errors import GenreproError

_PATIENCE = {  # without these an unreachable server holds a finished training for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def connect() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``, for commands that are nothing without them.

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


def client() -> tuple[Any, str]:
    """An MLflow client and the id of the experiment ``genrepro``."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.store.db import utils as databases

    databases.MAX_RETRY_COUNT = 1  # ten attempts at a database that cannot be opened last 102 s
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a new store is not news
    # Two queued experiments must not both create the database, which the client does, or the experiment.
    with FileLock(stores.database().with_suffix(".db.lock"), timeout=60):
        opened = MlflowClient(stores.address())
        experiment = opened.get_experiment_by_name("genrepro")
        if experiment is not None:
            stores.follow(experiment.artifact_location)
            return opened, experiment.experiment_id
        # Without it MLflow's page opens on what it offers for language models, and not on runs.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return opened, opened.create_experiment("genrepro", artifact_location=stores.artifacts(), tags=tags)
