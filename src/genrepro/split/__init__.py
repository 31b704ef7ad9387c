"""Stage split: deal tracks out to train, validation and test.

In: genre, artist, official split and duplicate cluster of each track. Out: the side of each track, and the
proof that nothing leaks between sides. Read `strategies` (the ways to deal tracks out), `folds` (a
cross-validation), `proof` (the leak check, the balance of genres), `thinning` (nested training sets for a
learning curve).
"""

from genrepro.split.proof import leaks
from genrepro.split.strategies import assign

__all__ = ["assign", "leaks"]
