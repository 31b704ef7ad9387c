"""How a process of genrepro begins and ends."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import within this block without garbage collection, which takes a sixth of torch's import.

    What has been imported stays until the process ends, so later collections skip it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def leave() -> None:
    """End this process with exit code 0, at once if torch is in it.

    Python takes modules down one by one: for torch, a fifth of the time that its import took. Functions that
    were registered for the end are called, and what was printed is written out.
    """
    if "torch" not in sys.modules:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
