"""Run programs in forks of a process that has their libraries loaded: a start takes 0.2 s instead of 1 to 4.

    python warm.py SOCKET ROOT PYTHON    loads the libraries, and forks for each program that `ask` asks for

Stages, `genrepro`, `dvc`, uvicorn and torchrun are such forks, and so is `python -c` of code that names
genrepro. Each has the folder, the environment, the standard streams and the exit code of its own. The
warm `python` is its `sys.executable`, so what it starts is warm too. Code of genrepro itself is not loaded
before the fork: a program imports that of its own checkout, as always. If `ask` is killed, so is its fork.
Anything else runs in a new Python, and so does what has a hash seed of its own or several workers.
"""

import marshal
import os
import socket
import sys

# What they import themselves, the lazily imported too.
LIBRARIES = """
    celery.app.amqp celery.app.control celery.apps.worker celery.backends.filesystem celery.bin.celery
    celery.contrib.abortable celery.events celery.fixups.django celery.worker.autoscale celery.worker.consumer
    dulwich.gc dulwich.line_ending dulwich.porcelain dulwich.stash dvc._debug dvc.cachemgr dvc.cli.parser
    dvc.dirs dvc.render.match dvc.repo.artifacts dvc.repo.datasets dvc.repo.experiments.executor.local
    dvc.repo.experiments.queue.celery dvc.repo.experiments.queue.tasks dvc.repo.experiments.queue.tempdir
    dvc.repo.experiments.show dvc.repo.index dvc.repo.metrics.diff dvc.repo.reproduce dvc.repo.trie
    dvc.ui.table dvc.utils.strictyaml dvc_data.index.push dvc_render dvc_task.proc.tasks dvc_task.worker
    hydra._internal.config_loader_impl hydra._internal.core_plugins.basic_sweeper
    hydra.core.override_parser.overrides_parser networkx pygit2 scmrepo.fs scmrepo.git scmrepo.git.lfs
    tabulate alembic.config mlflow mlflow.pyfunc.utils.environment mlflow.tracing.processor.otel
    mlflow.store.model_registry.sqlalchemy_workspace_store
    mlflow.store.tracking.sqlalchemy_workspace_store sqlalchemy.dialects.sqlite
    PIL.GifImagePlugin PIL.JpegImagePlugin av av.subtitles.stream librosa.feature librosa.filters
    matplotlib.backends.backend_agg matplotlib.pyplot narwhals._interchange.dataframe
    narwhals._pandas_like.namespace narwhals.stable.v2._namespace pandas pyarrow.acero pyarrow.dataset
    pyarrow.parquet ruamel.yaml safetensors.torch scipy.signal sklearn.linear_model sklearn.neighbors
    sklearn.pipeline soundfile torch.distributed.run torchvision transformers
    transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer
    transformers.models.wav2vec2.feature_extraction_wav2vec2
    transformers.models.wav2vec2.modeling_wav2vec2 typer.rich_utils wave
"""


def serve(path: str, root: str, python: str) -> None:
    """Load the libraries, and fork for each program that is asked for, until killed."""
    import gc
    import importlib
    import select
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
    forget_the_end()
    keep_code(root)
    gc.freeze()
    gc.enable()
    ended, wake = os.pipe()
    for descriptor in (ended, wake):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    asking: dict[socket.socket, int] = {}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            ready, _, _ = select.select([door, ended, *asking], [], [])
            if door in ready:
                connection, pid = begin(door, running)
                asking[connection] = pid
            if ended in ready:
                os.read(ended, 4096)
            for connection in asking.keys() & set(ready):
                os.kill(asking.pop(connection), signal.SIGKILL)  # nobody asks any longer
            for connection in answer(running):
                asking.pop(connection, None)


def forget_the_end() -> None:
    """Forks do not tidy up what this process has loaded: torch takes 0.1 s for it."""
    import atexit
    import weakref

    import torch._dynamo.utils

    atexit.unregister(torch._dynamo.utils.dump_compile_times)
    for finalizer in weakref.finalize._registry:
        finalizer.atexit = False


def keep_code(root: str) -> None:
    """Forks compile no module of genrepro whose bytes are those of this checkout's.

    Temporary clones hold no bytecode, and neither does any project where PYTHONDONTWRITEBYTECODE is set.
    """
    import glob
    from _imp import _fix_co_filename
    from importlib.machinery import SourceFileLoader

    kept = {}
    compiled = SourceFileLoader.source_to_code
    for name in (*glob.glob(f"{root}/src/**/*.py", recursive=True), *glob.glob(f"{root}/stages/*.py")):  # noqa: PTH207
        with open(name, "rb") as file:  # noqa: PTH123
            content = file.read()
        kept[content] = marshal.dumps(compile(content, name, "exec", dont_inherit=True))

    def source_to_code(self, data, path, *, _optimize=-1):  # type: ignore[no-untyped-def]
        if _optimize != -1 or bytes(data) not in kept:
            return compiled(self, data, path, _optimize=_optimize)
        code = marshal.loads(kept[bytes(data)])
        _fix_co_filename(code, path)
        return code

    SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign]


def begin(door: socket.socket, running: dict[int, socket.socket]) -> tuple[socket.socket, int]:
    """Run the next program that is asked for in a fork of this process; who asks, and the fork."""
    import signal

    connection, _ = door.accept()
    _, descriptors, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as sent:
        wanted = marshal.load(sent)
    pid = os.fork()
    if not pid:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (door, connection, *running.values()):
            other.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        run(**wanted)
    running[pid] = connection
    for descriptor in descriptors:
        os.close(descriptor)  # who reads its output waits for nobody else
    return connection, pid


def answer(running: dict[int, socket.socket]) -> list[socket.socket]:
    """Send the exit codes of all programs that have ended; who asked for them."""
    from contextlib import suppress

    answered = []
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        answered.append(running.pop(pid))
        with answered[-1] as connection, suppress(OSError):  # who asked may have been killed
            connection.sendall(bytes([os.waitstatus_to_exitcode(status) % 256]))
    return answered


def forget_the_hub(environment: dict[str, str]) -> None:
    """Import the hub's libraries anew if they are told something else: they read it at their import."""
    settings = {name for name in (*environment, *os.environ) if name.startswith(("HF_", "TRANSFORMERS_"))}
    if any(environment.get(name) != os.environ.get(name) for name in settings):
        for name in list(sys.modules):
            if name.split(".")[0] in ("accelerate", "huggingface_hub", "transformers"):
                del sys.modules[name]


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be `python` with these arguments in ``folder``."""
    import atexit
    import runpy
    import threading
    import traceback

    forget_the_hub(environment)
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
    serve(*sys.argv[1:])
