"""Stage split: from identity and findings to the fixed hold-out.

In: genre, artist, official split and duplicate cluster of each track. Out: its side of the hold-out, and the
proof that nothing crosses. Read `strategies` (five ways to deal), `proof` (the leak check), `thinning`
(nested training sets for a learning curve).
"""

from genrepro.split.proof import leaks
from genrepro.split.strategies import assign

__all__ = ["assign", "leaks"]
