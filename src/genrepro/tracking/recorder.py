"""Record in MLflow from a separate process, because importing MLflow takes longer than importing torch.

A stage sends each call as a line of JSON and goes on. At its end it waits until everything is recorded. If a
stage is killed, its lines end, and the recorder marks the run FAILED and ends. Under DVC, the recorder of a
training waits a while for the evaluation, which then does not start another. Such a training ends as soon as
its recorder has all calls and copies of all files; the evaluation waits for both.

``GENREPRO_TRACKING=off`` records nothing and starts no process.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrepro.base.params import Params

PATIENCE = 120.0
"""How long [s] a stage waits for its recorder at the end. MLflow gives up a server much sooner."""
WAITING = Path(".dvc", "tmp", "recorder")
"""Socket of a recorder that waits for the next stage. A relative path, as sockets need short names."""

_prepared: "Recorder | None" = None


class Recorder:
    """A process that records one run by the methods of `runs.Run`. No method fails. Only `close` waits."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket.socket | None = None
        if os.environ.get("GENREPRO_TRACKING") == "off":
            return
        self.connection = _waiting()
        if self.connection is None:
            self._start()

    def create(self, stage: str, config: "Params", description: dict[str, Any]) -> None:
        self._open("create", stage, config, description)

    def find(self, stage: str, config: "Params | None", description: dict[str, Any]) -> None:
        self._open("find", stage, config, description)

    def log_epoch(self, values: dict[str, float]) -> None:
        self._send("log_epoch", values=values, milliseconds=int(time.time() * 1000))

    def log_training(self, metrics: dict[str, float], *, seconds: float) -> None:
        from genrepro.tracking.runs import TRAINED

        if self.connection is None:
            return
        try:
            folder = _copies(TRAINED)
        except OSError as error:  # no room
            self._stop(error)
        else:
            self._send("log_training", metrics=metrics, seconds=seconds, folder=folder)

    def log_test(self, metrics: dict[str, float], *, genres: list[str]) -> None:
        self._send("log_test", metrics=metrics, genres=genres)

    def log_sweep(self, summary: dict[str, Any], *, model: Path) -> None:
        self._send("log_sweep", summary=summary, model=str(model))

    def log_sweep_figures(self, folder: Path) -> None:
        self._send("log_sweep_figures", folder=str(folder))

    def close(self, status: str, *, wait: bool = False) -> None:
        """Mark the run FINISHED or FAILED, and return when everything is recorded.

        Parameters
        ----------
        status : str
        wait : bool
            Whether the recorder waits for another stage of the same experiment. Then this returns at once,
            and that stage waits until everything is recorded.
        """
        self._send("close", status=status, wait=wait)
        if self.connection is None:
            return
        self.connection.settimeout(PATIENCE)
        try:
            with self.connection, self.connection.makefile() as answers:
                answer = answers.readline()
            warning = json.loads(answer) if answer else "its process has ended."
        except OSError:
            warning = f"its process does not answer in {PATIENCE:g} s."
        if warning:
            _warn(warning)

    def _start(self) -> None:
        source = str(Path(__file__).parents[2])  # the same code, also in a queued experiment's clone
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "genrepro.tracking"],
                    stdin=theirs.fileno(),
                    # It may outlive the stage, and readers of the stage's output must not wait for it.
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": path},
                )
            except OSError as error:  # no memory, no more processes
                ours.close()
                _warn(error)
            else:
                self.connection = ours

    def _open(self, how: str, stage: str, config: "Params | None", description: dict[str, Any]) -> None:
        from genrepro.tracking.runs import opening

        self._send(how, stage=stage, opening=opening(config, description))

    def _send(self, method: str, **arguments: Any) -> None:
        if self.connection is None:
            return
        line = json.dumps({"method": method, "arguments": arguments}, default=float)
        try:
            self.connection.sendall(f"{line}\n".encode())
        except OSError:
            self._stop("its process has ended.")

    def _stop(self, reason: object) -> None:
        """Record no more. What was recorded stays, in a run that is marked FAILED."""
        assert self.connection is not None
        self.connection.close()
        self.connection = None
        _warn(reason)


def prepare() -> None:
    """Start the recorder early, so that it imports MLflow while the stage imports torch.

    It ends with the stage if it is not used. Of several processes only the first records.
    """
    global _prepared
    if os.environ.get("RANK", "0") == "0":
        _prepared = Recorder()


@contextmanager
def start(stage: str, config: "Params", description: dict[str, Any]) -> Iterator[Recorder]:
    """Open an MLflow run for a block: FINISHED if the block succeeds, FAILED if it raises."""
    run = _take()
    run.create(stage, config, description)
    try:
        yield run
    except BaseException:
        run.close("FAILED")
        raise
    run.close("FINISHED", wait=stage == "train")


def log_evaluation(config: "Params", description: dict[str, Any], metrics: dict[str, float]) -> None:
    """Add test metrics to the run that trained this model.

    If there is no such run, or if it has test metrics already, a new run takes them.
    """
    run = _take()
    run.find("train", config, description)
    run.log_test(metrics, genres=description["genres"])
    run.close("FINISHED")


def log_sweep_figures(folder: Path, description: dict[str, Any]) -> None:
    """Add a sweep's figures to its run, if there is one."""
    run = _take()
    run.find("sweep", None, description)
    run.log_sweep_figures(folder)
    run.close("FINISHED")


def _take() -> Recorder:
    global _prepared
    taken, _prepared = _prepared or Recorder(), None
    return taken


def _copies(files: tuple[Path, ...]) -> str:
    """A new folder with copies of these files."""
    folder = tempfile.mkdtemp(prefix="genrepro-")
    for file in files:
        shutil.copyfile(file, Path(folder, file.name))
    return folder


def _waiting() -> socket.socket | None:
    """A connection to a recorder that waits in this folder, if one does."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(WAITING))
    except OSError:
        connection.close()
        return None
    return connection


def _warn(reason: object) -> None:
    print(f"genrepro: tracking stopped, the work goes on: {reason}", file=sys.stderr)
