"""Compare two runs, or several seeds of each: is B better than A, or is it noise?

In: metrics/predictions.csv of revisions. Out: differences with intervals, and a sentence.
Read `revisions` (the predictions of a commit or experiment), `pairs` (two runs on the same tracks), `seeds`
(several runs of each), `verdict` (the report), `commands` (`genrepro compare`).
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
