"""Stage audit: find what is wrong with the data.

In: catalog, levels and mel tables. Out: the findings of every track, clusters of tracks that hold the same
recording, and a page that shows the worst pairs. Read `faults` (the findings), `fingerprint` (landmarks and
sketch of a spectrogram), `duplicates` (tracks that share them), `page` (duplicates.html), `thumbnails` (its
spectrograms).
"""

from genrepro.audit.duplicates import Pair, near_duplicates
from genrepro.audit.faults import audit, findings, require_sound, summary
from genrepro.audit.page import write_pairs

__all__ = ["Pair", "audit", "findings", "near_duplicates", "require_sound", "summary", "write_pairs"]
