"""Fix the instruction set and the number of threads, so that the same inputs give the same bytes.

Two things change the last bits of a result without a change of code. One is the instruction set that a
library picks at run time: NumPy, ATen, oneDNN, MKL and OpenBLAS each look at the processor. The other is the
number of threads that share a sum. `pin` fixes both to what every x86-64 processor since Haswell (2013) and
Zen (2017) has. `pin` must run before numpy or torch is imported, so this module imports neither.

Set ``GENREPRO_NATIVE=1`` to let every library choose for itself. That is faster on processors with wider
instructions, but the bytes are no longer the same. docs/ARCHITECTURE.md says what is guaranteed.
"""

import ctypes
import os
import sys

# Threads of one training or evaluation. It is a constant because sums depend on it; every machine has two.
NUM_THREADS = 2

_PINNED = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    # MKL has its own branch for each vendor; COMPATIBLE is the one that Intel and AMD share.
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
    # NumPy 2.4's names for everything above AVX2 and FMA3; a name that the processor lacks is ignored.
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
    ),
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # what torch's deterministic mode asks of cuBLAS
    # Parallel work is split over processes, one numerical thread each; torch's own count is set by use_torch.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # By default, waiting threads spin: two trainings on two processors then take six times as long as one.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Read by processes that start after `pin`; `_keep_memory` says why.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "67108864",
}
_MALLOPT = {
    "MALLOC_TRIM_THRESHOLD_": -1,
    "MALLOC_TOP_PAD_": -2,
    "MALLOC_MMAP_THRESHOLD_": -3,
}  # malloc.h's names


def pin() -> None:
    """Fix instruction sets and thread counts through the environment, before numpy and torch are imported.

    Existing values are replaced, because clusters often set OMP_NUM_THREADS for everybody.
    """
    if os.environ.get("GENREPRO_NATIVE") == "1":
        return
    os.environ.update(_PINNED)
    _keep_memory()


def pinned() -> bool:
    """Whether this process is pinned. Workers that another program started use it to check themselves."""
    return all(os.environ.get(name) == value for name, value in _PINNED.items())


def _keep_memory() -> None:
    """Let glibc keep the memory of large arrays, for speed only.

    By default glibc returns the memory of each large array to the system and requests new memory page by
    page. A training on two processors had 100 000 page faults a second, which took a sixth of its time.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for name, option in _MALLOPT.items():
            mallopt(option, int(_PINNED[name]))


def use_torch(seed: int) -> None:
    """Make torch deterministic: kernels, thread count and the global generator (weights, dropout)."""
    import torch

    if os.environ.get("GENREPRO_NATIVE") != "1":
        torch.set_num_threads(NUM_THREADS)
    # Does the same as use_deterministic_algorithms(True), which would also import the compiler (1.4 s).
    torch.set_deterministic_debug_mode("error")
    # The mode also fills every new tensor before use. That only helps debugging, so it is turned off.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(seed)


def num_workers() -> int:
    """Number of processes for parallel stages: ``GENREPRO_WORKERS``, or all processors we may use."""
    wanted = os.environ.get("GENREPRO_WORKERS", "")
    if wanted.isdecimal():
        return max(1, int(wanted))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


# For a shell that starts a cluster's workers: eval "$(python -m genrepro.exact.numerics)"
if __name__ == "__main__":
    print("\n".join(f"export {name}='{value}'" for name, value in _PINNED.items()))
