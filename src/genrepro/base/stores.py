"""Find the MLflow store and its artifacts, and correct its addresses after the repository was moved.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the user's repository, with its artifacts in
``mlartifacts/`` beside it. A relative path in the address starts at the user's repository, because a
temporary clone is deleted with every run in it.
"""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from genrepro.base.places import repository

# A relative path follows three slashes. After four slashes it is absolute. Without a path the database is in
# memory.
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
    """Path of the repository's own store."""
    return repository() / "mlflow.db"


def address() -> str:
    """Address of the store, in the form that MLflow reads."""
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
    """The store's name for messages. It is not the address, which may hold a password."""
    if address() != _sqlite(database()):
        return "the MLflow store that MLFLOW_TRACKING_URI names"
    return f"the MLflow store {database()}"


def artifacts() -> str | None:
    """Folder of an experiment's artifacts. None if a server or a folder of runs chooses it."""
    if urlsplit(address()).scheme.partition("+")[0] in ("http", "https", "file", "databricks", ""):
        return None
    return (repository() / "mlartifacts").as_uri()


def follow(location: str) -> bool:
    """Correct the addresses in the repository's own store after the repository was moved or copied.

    MLflow keeps absolute addresses. Those below ``location``, where the experiment was, are rewritten to the
    current folder. Returns whether anything had to be corrected.
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
    """The folder of an artifact's address. None if it is on a server."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if not parts.scheme else None


def _sqlite(path: Path) -> str:
    """The address of a database.

    SQLAlchemy ends a path at ``?`` and decodes ``%``, so both are encoded. MLflow does not decode: it would
    create a folder with the encoded name. It does not do so if the address names the driver (``+pysqlite``).
    """
    encoded = path.as_posix().replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{encoded}" if encoded == path.as_posix() else f"sqlite+pysqlite:///{encoded}"
