"""Stage sweep: from embeddings to a head for every cell of a grid.

In: a frozen body's embeddings and sweeps/params.yaml. Out: curves of every head, the winner and its selection
optimism. Read `grid` (the cells), `heads` (their training), `stack` (many heads at once on a GPU),
`snapshots` (the epochs and the head that validation chooses), `optimism` (the winner on the test tracks). A
cell gives the same result as its single experiment, so this package trains by `train`'s code and dvc.yaml
names both.
"""

from genrepro.sweep.grid import Cell, cells, load
from genrepro.sweep.heads import run, train_winner

__all__ = ["Cell", "cells", "load", "run", "train_winner"]
