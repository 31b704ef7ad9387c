"""Compare several runs of A and B, paired by seed: mean, spread, and two paired tests.

Two runs differ by the change that is tested and by chance in training. Several seeds show how large the
chance is. Student's t-test assumes normal differences. Wilcoxon's signed-rank test (Biometrics Bulletin 1945)
does not, but with fewer than six seeds its p value cannot fall below 5 %. If every seed draws its own split,
the test sets overlap and both p values are too small (Nadeau and Bengio, Machine Learning 2003).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genrepro.base.errors import GenreproError
from genrepro.compare.pairs import SIGNIFICANCE, groups_of, how_test_sets_differ
from genrepro.compare.revisions import Predictions
from genrepro.evaluate.intervals import CONFIDENCE, Difference, difference


@dataclass(frozen=True, kw_only=True)
class SeedComparison:
    """Runs of A and B over the same seeds, paired by position."""

    names_a: tuple[str, ...]
    names_b: tuple[str, ...]
    accuracy_a: np.ndarray
    accuracy_b: np.ndarray
    """[shape=(num_seeds,)]"""
    difference: float
    """Mean over seeds."""
    low: float
    high: float
    """Bounds of Student's 95 % interval over seeds."""
    t_p_value: float | None
    """Paired t-test. None if all differences are equal, because there is no spread."""
    wilcoxon_p_value: float
    test_sets: Literal["same", "drawn by seed", "different"]
    """One test set for all seeds, one for each seed that A and B share, or different ones for A and B."""
    over_groups: Difference | None
    """The same mean difference with an interval over groups of tracks, if there is one test set."""
    num_tracks: int | None

    @property
    def beyond_noise(self) -> bool:
        """Whether the p value of the t-test, or of Wilcoxon's test if there is none, is below 5 %."""
        judged = self.wilcoxon_p_value if self.t_p_value is None else self.t_p_value
        return judged < SIGNIFICANCE


def compare_seeds(a: Sequence[Predictions], b: Sequence[Predictions]) -> SeedComparison:
    """Compare several runs of ``b`` with as many of ``a``. The i-th runs of both have the same seed.

    If all seeds share one test set, the result also has the uncertainty over tracks. Otherwise only
    accuracies are compared.

    Raises
    ------
    GenreproError
        If the lists have different lengths or fewer than two runs, or if their genres differ.
    """
    from scipy.stats import t, ttest_rel, wilcoxon

    if len(a) != len(b) or len(a) < 2:
        raise GenreproError(
            f"{len(a)} and {len(b)} runs cannot be paired by seed: name the runs of A and of B in the same "
            "order of seeds, equally many and at least two, as in `genrepro compare a1,a2,a3 b1,b2,b3`."
        )
    for run in [*a, *b]:
        if run.genres != a[0].genres:
            raise GenreproError(
                f"{a[0].name} and {run.name} are about different genres: their accuracies cannot be compared."
            )
    accuracy_a = np.array([run.correct.mean() for run in a])
    accuracy_b = np.array([run.correct.mean() for run in b])
    # Rounded, so that rounding errors do not decide the ranks of equal differences.
    differences = np.round(accuracy_b - accuracy_a, 12)
    spread = len(set(differences)) > 1
    half = (
        t.ppf((1 + CONFIDENCE) / 2, len(a) - 1) * differences.std(ddof=1) / np.sqrt(len(a)) if spread else 0.0
    )
    paired = not any(how_test_sets_differ(*pair) for pair in zip(a, b, strict=True))
    same = paired and not any(how_test_sets_differ(a[0], run) for run in a)
    over_groups = None
    if same:
        change = np.mean([y.correct.astype(float) - x.correct for x, y in zip(a, b, strict=True)], axis=0)
        over_groups = difference(change, groups_of(a[0], b[0]))
    mean = float(differences.mean())
    return SeedComparison(
        names_a=tuple(run.name for run in a),
        names_b=tuple(run.name for run in b),
        accuracy_a=accuracy_a,
        accuracy_b=accuracy_b,
        difference=mean,
        low=mean - half,
        high=mean + half,
        t_p_value=float(ttest_rel(accuracy_b, accuracy_a).pvalue) if spread else None,
        wilcoxon_p_value=float(wilcoxon(differences).pvalue) if differences.any() else 1.0,
        test_sets="same" if same else "drawn by seed" if paired else "different",
        over_groups=over_groups,
        num_tracks=len(a[0].label) if same else None,
    )
