"""Stage train: from features to weights.

In: a features folder, the split, the section ``train``. Out: the weights of the kept epoch and its curves.
Read `fit` (the loop), `room` (batches that are large enough), `optimizer` (AdamW, rates, schedules),
`augment` (masks, stretch, mixup), `progress` (what changes while it runs), `resume` (how a killed training
goes on).
"""

from genrepro.train.fit import Fit, diverged, run
from genrepro.train.progress import Epoch

__all__ = ["Epoch", "Fit", "diverged", "run"]
