"""The process that records one run. `recorder` starts it and sends to its standard input.

    python -m genrepro.tracking

It ends with the stage, or after waiting for another one. It ignores Ctrl-C, which the stage handles.
"""

import json
import os
import signal
import socket
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from genrepro.tracking.recorder import WAITING
from genrepro.tracking.runs import Run

SECONDS = 20.0
"""How long it waits for the evaluation, which DVC starts after it has checked the model."""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    stage: Stage | None = Stage(socket.socket(fileno=0))
    untold = None
    while stage is not None:
        untold = record(stage, untold)
        stage = stage.next()
    os._exit(0)  # at once, because shutting MLflow down takes long


class Stage:
    """A stage at the other end of a connection. A thread reads its calls, so no stage waits for a server.

    A stage whose recorder shall wait for another one is let go as soon as its last call is here. So recording
    a training overlaps with the start of its evaluation.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.run = connection, Run()
        self.calls: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.answered = False
        self.said: str | None = None
        self._door: socket.socket | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def answer(self, warning: str | None) -> None:
        """Let the stage go on, with what went wrong."""
        self.answered, self.said = True, warning
        with suppress(OSError):  # it has been killed
            self.connection.sendall(f"{json.dumps(warning)}\n".encode())

    def next(self) -> "Stage | None":
        """The next stage in this folder. None if it is not to wait, or if no stage comes in time."""
        if self._door is None:
            return None
        try:
            with self._door as door:
                connection, _ = door.accept()
                connection.setblocking(True)
                return Stage(connection)
        except OSError:  # no stage came
            return None
        finally:
            WAITING.unlink(missing_ok=True)

    def _read(self) -> None:
        with self.connection.makefile() as lines:
            for line in lines:
                call = json.loads(line)
                if call["method"] == "close" and call["arguments"]["wait"]:
                    self._door = _door()
                    if self._door is not None:
                        self.answer(self.run.warning)
                self.calls.put(call)
        self.calls.put(None)


def record(stage: Stage, untold: str | None) -> str | None:
    """Record all calls of a stage.

    Parameters
    ----------
    stage : Stage
    untold : str or None
        What went wrong with the stage before, after that one had gone on. This one says it.

    Returns
    -------
    str or None
        The same of this stage.
    """
    run, begun = stage.run, False
    run.prepare()
    while (call := stage.calls.get()) is not None:
        arguments = call["arguments"]
        if call["method"] == "close":
            run.close(arguments["status"])
            if not stage.answered:
                stage.answer(run.warning or untold)
                return None
            return untold if stage.said == run.warning else run.warning
        begun = True
        getattr(run, call["method"])(**arguments)
    if begun:  # the stage was killed
        run.close("FAILED")
    return None


def _door() -> socket.socket | None:
    """A socket for the next stage in this folder. None if DVC does not run here."""
    door = socket.socket(socket.AF_UNIX)
    try:
        WAITING.unlink(missing_ok=True)
        door.settimeout(SECONDS)
        door.bind(str(WAITING))
        door.listen(1)
    except OSError:
        door.close()
        return None
    return door


if __name__ == "__main__":
    main()
