"""Stage train: from features to weights.

In: a features folder, the split, the section ``train``. Out: the weights of the kept epoch and its curves.
Read `fit` (builds a model and fits it), `loop` (its epochs), `start` (weights of a trained model), `room`
(batches that are large enough), `objectives` (genre, multi-task, M2D), `m2d` (masked modelling duo), `probe`
(a head on what it learned), `optimizer` (AdamW, rates, schedules), `choose` (other optimisers),
`hypergradient` (a rate that learns), `augment` (shift, filter, masks, mixup), `parts` (of a batch),
`progress` (the state of a running training), `resume` (how a killed training goes on).
"""

from genrepro.train import start
from genrepro.train.fit import run
from genrepro.train.loop import Fit, diverged
from genrepro.train.progress import Epoch

__all__ = ["Epoch", "Fit", "diverged", "run", "start"]
