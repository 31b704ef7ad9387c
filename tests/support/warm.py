"""Run stages in forks of a process that has their libraries loaded: a start takes 0.1 s instead of 2 to 4.

    python warm.py serve SOCKET ROOT    loads the libraries, then forks for every stage that is asked for
    python warm.py ask SOCKET ...       what `python` means to a test's project: asks for `-m stages.<stage>`

Code of genrepro itself is not loaded before the fork: a stage imports that of its own checkout, as always.
Anything but a plain stage with one worker runs in a new Python: a killed stage, a hash seed of its own.
"""

import json
import os
import socket
import sys


def ask(path: str, arguments: list[str]) -> None:
    """Run a stage in a fork, or else become Python."""
    plain = len(arguments) == 2 and arguments[0] == "-m" and arguments[1].startswith("stages.")
    unusual = {"PYTHONHASHSEED", "GENREPRO_NATIVE"} & os.environ.keys()
    if plain and not unusual and os.environ.get("GENREPRO_WORKERS") == "1":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            socket.send_fds(connection, [b"!"], [0, 1, 2])
            wanted = {"module": arguments[1], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
            connection.sendall(f"{json.dumps(wanted)}\n".encode())
            os._exit(connection.recv(1)[0])
    os.execv(sys.executable, [sys.executable, *arguments])


def serve(path: str, root: str) -> None:
    """Load what stages load, and fork for each that is asked for, until killed."""
    import gc
    import signal

    gc.disable()
    sys.path.insert(0, f"{root}/src")
    from genrepro.exact.numerics import pin

    pin()
    import librosa.feature  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torchvision  # noqa: F401
    import transformers  # noqa: F401

    sys.path.remove(f"{root}/src")
    for name in [name for name in sys.modules if name.split(".")[0] == "genrepro"]:
        del sys.modules[name]
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            connection, _ = door.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                door.close()
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Run the stage that is asked for in a fork of this one, and send its exit code."""
    _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
    wanted = json.loads(connection.makefile().readline())
    pid = os.fork()
    if not pid:
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        run(**wanted)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(bytes([code % 256]))
    os._exit(0)


def run(module: str, folder: str, environment: dict[str, str]) -> None:
    """Be `python -m module` in ``folder``."""
    import runpy
    import traceback

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv, sys.path[0] = [module], folder
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    {"ask": lambda path, *rest: ask(path, list(rest)), "serve": serve}[sys.argv[1]](*sys.argv[2:])
