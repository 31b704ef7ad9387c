"""The process that records one run: `recorder` starts it, and talks to it through its standard input.

    python -m genrepro.tracking

It ends when the stage does, or when it has waited for another. Ctrl-C is for the stage to handle.
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
"""That it waits: DVC looks at the model, then starts the evaluation."""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection: socket.socket | None = socket.socket(fileno=0)
    while connection is not None and record(connection):
        connection = _next()
    os._exit(0)  # at once: MLflow takes long to be taken down, too


def record(connection: socket.socket) -> bool:
    """Record what comes until it ends; whether to wait for more."""
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
    """Take all that comes at once, so that a stage never waits while a server is slow."""
    with connection.makefile() as lines:
        for line in lines:
            calls.put(json.loads(line))
    calls.put(None)


def _next() -> socket.socket | None:
    """The connection of the next stage in this folder, or None if none comes."""
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.settimeout(SECONDS)
            WAITING.unlink(missing_ok=True)
            listening.bind(str(WAITING))
            listening.listen(1)
            connection, _ = listening.accept()
            connection.setblocking(True)
            return connection
    except OSError:  # no DVC here, or nobody came
        return None
    finally:
        WAITING.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
