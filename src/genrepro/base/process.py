"""How a process of genrepro ends when all is well."""

import atexit
import os
import sys


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
