"""Where the MLflow store lies: its address, its artifacts, and what to do after its repository was moved.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the user's repository, with its artifacts in
``mlartifacts/`` beside it. A relative path in the address starts at the user's repository: an experiment in
a temporary clone must not leave its run there.
"""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from genrepro.base.places import repository

# A path after three slashes; after four it is absolute, and without one the database is in memory.
_RELATIVE = re.compile(r"sqlite(?:\+\w+)?:///([^/?:][^?]*)(\?.*)?")
# The columns in which MLflow keeps absolute addresses of artifacts.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def database() -> Path:
    """The repository's own store."""
    return repository() / "mlflow.db"


def address() -> str:
    """The store, as MLflow takes it."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if not named:
        return _sqlite(database())
    if found := _RELATIVE.fullmatch(named):
        return _sqlite(repository() / unquote(found[1])) + (found[2] or "")
    scheme = urlsplit(named).scheme
    if scheme == "file" and not named.startswith("file:/"):
        return (repository() / url2pathname(named.removeprefix("file:"))).as_uri()
    if not scheme and not named.startswith("databricks"):
        return (repository() / named).as_uri()
    return named


def name() -> str:
    """The store in a sentence; an address may hold a password."""
    if address() != _sqlite(database()):
        return "the MLflow store that MLFLOW_TRACKING_URI names"
    return f"the MLflow store {database()}"


def artifacts() -> str | None:
    """Where an experiment's artifacts go; None where a server or a folder of runs decides that itself."""
    if urlsplit(address()).scheme.partition("+")[0] in ("http", "https", "file", "databricks", ""):
        return None
    return (repository() / "mlartifacts").as_uri()


def follow(location: str) -> bool:
    """Mend the repository's own store after the repository was moved or copied; whether it was necessary.

    MLflow keeps absolute addresses. Those below ``location``, the experiment's own, are rewritten to the
    folder in which they lie now.
    """
    here = artifacts()
    ours = address() == _sqlite(database()) and location.endswith("/mlartifacts")
    if here is None or location == here or not ours:
        return False
    with closing(sqlite3.connect(database())) as connection, connection:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (here, len(location) + 1, len(location), location),
            )
    return True


def local(uri: str) -> Path | None:
    """The folder that an artifact's address names; None if it is on a server."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if not parts.scheme else None


def _sqlite(path: Path) -> str:
    """The address of a database.

    SQLAlchemy ends a path at ``?`` and decodes ``%``. MLflow decodes nothing: it would make a folder of the
    encoded name, unless the address names the driver, as SQLAlchemy allows.
    """
    encoded = path.as_posix().replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{encoded}" if encoded == path.as_posix() else f"sqlite+pysqlite:///{encoded}"
