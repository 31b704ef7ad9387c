"""Serve a registered model over HTTP: MLflow's scoring server, bounded, with pinned arithmetic.

Address and port are checked before anything starts. All processes of the server end with this one.
"""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from genrepro.base import stores
from genrepro.base.errors import GenreproError
from genrepro.serve import allowed
from genrepro.serve.registry import Version

_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_ENDS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_MODEL = "__pyfunc_model_path__"  # mlflow.pyfunc.scoring_server._SERVER_MODEL_PATH, without importing it
_GRACE = 10.0  # s, for requests that are running when the server is stopped


def check_address(host: str, port: int) -> None:
    """Raise GenreproError if no server can listen on ``host`` and ``port``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise GenreproError(f"{host} is not an address of this machine: choose another --host.") from error
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":  # on Windows this would let two programs share a port
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
                probe.bind(address)
        except OSError as error:
            if error.errno in _NOT_HERE and len(found) > 1:  # localhost without IPv6: the server skips it too
                continue
            reason = (error.strerror or str(error)).lower()
            raise GenreproError(
                f"port {port} of {host} cannot be had ({reason}): choose another --port."
            ) from error


def command(*, host: str, port: int) -> list[str]:
    """The module and arguments that serve the model of `environment`: what `mlflow models serve` runs, with
    `front.bounded` before it."""
    front = str(Path(__file__).parent / "front")
    return ["uvicorn", "--app-dir", front, "--host", host, "--port", str(port), "bounded:app"]


def environment(version: Version, *, allow_paths: Path | None = None) -> dict[str, str]:
    """Environment of the server's process: the model, the store, and the folder that it may read."""
    told = {
        _MODEL: f"models:/{version.name}/{version.number}",
        "MLFLOW_TRACKING_URI": stores.address(),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    kept = {key: value for key, value in os.environ.items() if key != allowed.VARIABLE}
    return kept | told | ({allowed.VARIABLE: str(allow_paths)} if allow_paths else {})


def run(version: Version, *, host: str, port: int, allow_paths: Path | None = None) -> bool:
    """Serve until a signal. Returns False if the server ended by itself.

    The server and its children form a process group of their own, so that all of them end, and Ctrl-C does
    not reach them twice.
    """
    arguments = [sys.executable, "-m", *command(host=host, port=port)]
    told = environment(version, allow_paths=allow_paths)
    asked = False
    server: subprocess.Popen | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        if server is not None:
            _signal(server.pid, signal.SIGTERM)

    _adopt()
    before = {number: signal.signal(number, end) for number in _ENDS}
    try:
        server = subprocess.Popen(arguments, env=told, start_new_session=True)
        if asked:  # while it was being started
            _signal(server.pid, signal.SIGTERM)
        server.wait()
        _end_group(server.pid)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return asked


def _adopt() -> None:
    """Become the parent of orphaned descendants, to wait for them. Only Linux can do this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER of linux/prctl.h


def _end_group(group: int) -> None:
    """End a process group: ask, wait for at most `_GRACE`, then kill the rest."""
    _signal(group, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while _left(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(group, signal.SIGKILL)


def _left(group: int) -> bool:
    """Whether a process of the group still runs. Ended ones are reaped."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return _signal(group, 0)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group. Returns False if there is no process to receive it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS raises PermissionError for a zombie
        return False
    return True
