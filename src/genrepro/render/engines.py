"""Run parallel work in processes of this machine, or on a Dask or Ray cluster, through joblib.

A cluster must already be running. Its own environment variable says where it is.

    DASK_SCHEDULER_ADDRESS=tcp://host:8786 python -m stages.render --backend dask
    RAY_ADDRESS=host:6379 python -m stages.render --backend ray
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from genrepro.base.errors import GenreproError

_PATIENCE = 20  # s until a scheduler that does not answer counts as unreachable


def run(calls: Iterable[Any], *, backend: str, num_workers: int) -> Iterator[Any]:
    """Yield the results of joblib's ``delayed`` calls in their order, while later ones still run.

    Parameters
    ----------
    calls : iterable
        Read lazily: only a bounded number of calls is taken ahead of the results.
    backend : str
        A key of `BACKENDS`.
    num_workers : int
        Number of processes for ``loky``. A cluster uses all of its workers.

    Raises
    ------
    GenreproError
        If the engine is unknown, not installed or not reachable.
    """
    if backend not in BACKENDS:
        raise GenreproError(f"The backend {backend!r} is unknown: choose {', '.join(BACKENDS)}.")
    return _results(calls, BACKENDS[backend], num_workers)


def _results(calls: Iterable[Any], engine: Callable, num_workers: int) -> Iterator[Any]:
    from joblib import Parallel

    with engine(num_workers) as options:
        yield from Parallel(pre_dispatch="2*n_jobs", batch_size=1, **options)(calls)


@contextmanager
def _loky(num_workers: int) -> Iterator[dict[str, Any]]:
    yield {"n_jobs": num_workers, "return_as": "generator"}


@contextmanager
def _dask(_: int) -> Iterator[dict[str, Any]]:
    from joblib import parallel_config

    address = _address("DASK_SCHEDULER_ADDRESS", "tcp://host:8786")
    try:
        from distributed import Client
    except ImportError as error:
        raise GenreproError("The backend dask needs `pip install distributed`.") from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise GenreproError(f"No Dask scheduler answers at DASK_SCHEDULER_ADDRESS={address}.") from error
    with client:
        try:
            client.submit(_reach_worker).result(timeout=_PATIENCE)
        except TimeoutError as error:
            raise GenreproError(
                f"The Dask scheduler at {address} has no worker: `dask worker {address}`."
            ) from error
        except ImportError as error:
            raise GenreproError(f"The Dask workers of {address} lack this environment ({error}).") from error
        with parallel_config(backend="dask", client=client):
            yield {"n_jobs": -1, "return_as": "generator"}


@contextmanager
def _ray(_: int) -> Iterator[dict[str, Any]]:
    from joblib import parallel_config

    address = _address("RAY_ADDRESS", "host:6379")
    try:  # ray is not among this project's packages
        import ray  # type: ignore[import-not-found]
        from ray.util.joblib import register_ray  # type: ignore[import-not-found]
    except ImportError as error:
        raise GenreproError("The backend ray needs `pip install ray`.") from error
    try:
        ray.init(address=address, ignore_reinit_error=True)
    except ConnectionError as error:
        raise GenreproError(f"No Ray cluster answers at RAY_ADDRESS={address}.") from error
    register_ray()
    with parallel_config(backend="ray"):
        yield {"n_jobs": -1}  # joblib cannot return a generator from Ray, so all results come at the end


def _reach_worker() -> None:
    """Do nothing. Any worker with this package can run it, and an adaptive cluster starts a worker for it."""


def _address(variable: str, example: str) -> str:
    if not (address := os.environ.get(variable)):
        raise GenreproError(f"Say where the cluster is: export {variable}={example}.")
    return address


BACKENDS = {"loky": _loky, "dask": _dask, "ray": _ray}
