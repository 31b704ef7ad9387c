"""The process that records one run. `recorder` starts it and sends to its standard input.

    python -m genrepro.tracking

It ends with the stage, or after waiting for another one. It ignores Ctrl-C, which the stage handles.
"""

import json
import os
import signal
import socket
import threading
from queue import SimpleQueue
from typing import Any

from genrepro.tracking.recorder import WAITING
from genrepro.tracking.runs import Run

SECONDS = 20.0
"""How long it waits for the evaluation, which DVC starts after it has checked the model."""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection: socket.socket | None = socket.socket(fileno=0)
    while connection is not None and record(connection):
        connection = _next()
    os._exit(0)  # at once, because shutting MLflow down takes long


def record(connection: socket.socket) -> bool:
    """Record all calls of a stage. Returns whether to wait for another stage."""
    calls: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    threading.Thread(target=_read, args=[connection, calls], daemon=True).start()
    run, begun = Run(), False
    run.prepare()
    while (call := calls.get()) is not None:
        arguments = call["arguments"]
        if call["method"] == "close":
            run.close(arguments["status"])
            connection.sendall(f"{json.dumps(run.warning)}\n".encode())
            return arguments["wait"]
        begun = True
        getattr(run, call["method"])(**arguments)
    if begun:  # the stage was killed
        run.close("FAILED")
    return False


def _read(connection: socket.socket, calls: "SimpleQueue[dict[str, Any] | None]") -> None:
    """Read all calls at once, so that a stage never waits for a slow server."""
    with connection.makefile() as lines:
        for line in lines:
            calls.put(json.loads(line))
    calls.put(None)


def _next() -> socket.socket | None:
    """The connection of the next stage in this folder, or None if there is none in time."""
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.settimeout(SECONDS)
            WAITING.unlink(missing_ok=True)
            listening.bind(str(WAITING))
            listening.listen(1)
            connection, _ = listening.accept()
            connection.setblocking(True)
            return connection
    except OSError:  # no DVC here, or no stage came
        return None
    finally:
        WAITING.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
