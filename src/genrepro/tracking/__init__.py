"""One MLflow run for one experiment: training opens it, the evaluation of the same model completes it.

In: what stages have written. Out: runs in MLflow's store. Whatever goes wrong here never ends the work.
Read `connection` (how the store is opened), `runs` (what a run holds), `recorder` (the process
beside a stage that records it).
"""

from genrepro.tracking.connection import connect
from genrepro.tracking.recorder import Recorder, log_evaluation, log_sweep_figures, prepare, start

__all__ = [
    "Recorder",
    "connect",
    "log_evaluation",
    "log_sweep_figures",
    "prepare",
    "start",
]
