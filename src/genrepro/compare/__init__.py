"""Is B better than A, or is it noise? Two runs, or several seeds of each, answered in words.

In: metrics/predictions.csv of revisions. Out: differences with intervals, and a sentence.
Read `revisions` (what a commit or experiment predicted), `pairs` (two runs over the same tracks), `seeds`
(several of each), `verdict` (the words), `commands` (`genrepro compare`).
"""

from genrepro.compare.pairs import Comparison, compare
from genrepro.compare.revisions import Predictions, read
from genrepro.compare.seeds import compare_seeds
from genrepro.compare.verdict import markdown, report, seed_report, text

__all__ = [
    "Comparison",
    "Predictions",
    "compare",
    "compare_seeds",
    "markdown",
    "read",
    "report",
    "seed_report",
    "text",
]
