"""Track experiments in MLflow, one run each: training opens it, the evaluation of its model completes it.

In: the outputs of stages. Out: runs in MLflow's store. An error here never ends the stage that is tracked.
Read `connection` (opens the store), `runs` (the contents of a run), `recorder` (the process beside a stage
that records its run).
"""

from genrepro.tracking.connection import connect, fit_seconds
from genrepro.tracking.recorder import Recorder, log_evaluation, log_sweep_figures, prepare, start

__all__ = [
    "Recorder",
    "connect",
    "fit_seconds",
    "log_evaluation",
    "log_sweep_figures",
    "prepare",
    "start",
]
