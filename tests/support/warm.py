"""Run programs in forks of a process that has their libraries loaded: a start takes 0.2 s instead of 1 to 4.

    python warm.py serve SOCKET ROOT PYTHON    loads the libraries, and forks for each program asked for
    python warm.py ask SOCKET ...              what `python ...` means to a test's project: asks for it

Stages, `genrepro`, `dvc` and torchrun are such forks, and so is `python -c` of code that names genrepro.
Each has the folder, the environment, the standard streams and the exit code of a process of its own. The
warm `python` is its `sys.executable`, so what it starts is warm too. Code of genrepro itself is not loaded
before the fork: a program imports that of its own checkout, as always. Anything else runs in a new Python,
and so does everything with a hash seed of its own or with several workers.
"""

import json
import os
import socket
import sys

PROGRAMS = ("dvc", "genrepro", "genrepro.tracking", "torch.distributed.run")
# What they import themselves, the lazily imported too.
LIBRARIES = """
    celery.apps.worker celery.bin.celery celery.contrib.abortable dulwich.porcelain dvc._debug dvc.cli.parser
    dvc.repo.artifacts dvc.repo.datasets dvc.repo.experiments.executor.local dvc.repo.experiments.queue.tasks
    dvc.repo.index dvc.repo.reproduce dvc.utils.strictyaml dvc_render dvc_task.proc.tasks dvc_task.worker
    hydra._internal.config_loader_impl hydra.core.override_parser.overrides_parser networkx pygit2 scmrepo.git
    av librosa.feature librosa.filters matplotlib.backends.backend_agg matplotlib.pyplot mlflow pandas
    pyarrow.dataset pyarrow.parquet ruamel.yaml safetensors.torch scipy.signal sklearn.linear_model soundfile
    torch.distributed.run torchvision transformers typer.rich_utils
"""


def ask(path: str, arguments: list[str]) -> None:
    """Run a program in a fork, or else become Python."""
    first, *rest = arguments or [""]
    name = rest[0] if first == "-m" and rest else os.path.basename(first)  # noqa: PTH119
    ours = name in PROGRAMS or name.startswith("stages.") or (first == "-c" and "genrepro" in rest[0])
    unusual = {"PYTHONHASHSEED", "GENREPRO_NATIVE"} & os.environ.keys()
    if ours and not unusual and os.environ.get("GENREPRO_WORKERS") == "1":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            socket.send_fds(connection, [b"!"], [0, 1, 2])
            wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
            connection.sendall(f"{json.dumps(wanted)}\n".encode())
            os._exit(connection.recv(1)[0])
    os.execv(sys.executable, [sys.executable, *arguments])


def serve(path: str, root: str, python: str) -> None:
    """Load the libraries, and fork for each program that is asked for, until killed."""
    import gc
    import importlib
    import signal

    gc.disable()
    sys.path.insert(0, f"{root}/src")
    from genrepro.exact.numerics import pin

    pin()
    for name in LIBRARIES.split():
        importlib.import_module(name)

    sys.path.remove(f"{root}/src")
    for name in [name for name in sys.modules if name.split(".")[0] == "genrepro"]:
        del sys.modules[name]
    sys.executable = python
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
    """Run the program that is asked for in a fork of this one, and send its exit code."""
    _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
    wanted = json.loads(connection.makefile().readline())
    pid = os.fork()
    if not pid:
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        run(**wanted)
    for descriptor in descriptors:
        os.close(descriptor)  # who reads its output waits for nobody else
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(bytes([code % 256]))
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be `python` with these arguments in ``folder``."""
    import atexit
    import runpy
    import threading
    import traceback

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    given = [os.path.abspath(name) for name in environment.get("PYTHONPATH", "").split(":") if name]  # noqa: PTH100
    first, *rest = arguments
    code = 0
    try:
        if first == "-m":
            sys.argv, sys.path[:1] = rest, [folder, *given]
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        elif first == "-c":
            sys.argv, sys.path[:1] = ["-c", *rest[1:]], ["", *given]
            exec(rest[0], {"__name__": "__main__"})
        else:
            sys.argv, sys.path[:1] = arguments, [os.path.dirname(first), *given]  # noqa: PTH120
            runpy.run_path(first, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # as Python ends, but for taking the modules down one by one
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    {"ask": lambda path, *rest: ask(path, list(rest)), "serve": serve}[sys.argv[1]](*sys.argv[2:])
