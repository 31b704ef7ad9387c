"""Rank a group's experiments, and say how far each is behind the best one on the same tracks.

Experiments of one data set and one split are ranked together. The difference to the best is paired by tracks
and has an interval over groups, as in `genrepro compare`. The p values of one ranking are corrected together
(Holm, as in `answers`). The best is best on test tracks, so its own accuracy is a little too good.
"""

from collections.abc import Mapping, Sequence

from genrepro.experiments import hits, rows
from genrepro.experiments.answers import holm
from genrepro.experiments.definitions import Experiment
from genrepro.experiments.measured import Measured


def table(chosen: Sequence[Experiment], found: Mapping[str, Measured]) -> list[str]:
    """`rows.experiments` in the order of accuracy, with the column ``against the best``."""
    blocks: dict[tuple[str, str, int, str], list[Measured]] = {}
    for of in (found[of.name] for of in chosen if of.name in found):
        params = of.experiment.params
        key = (params.dataset, params.split.strategy, params.split.folds, of.leaky)
        blocks.setdefault(key, []).append(of)
    order: list[Experiment] = []
    against: dict[str, str] = {}
    for block in blocks.values():
        ranked = sorted(block, key=lambda of: -of.accuracy)
        order += [of.experiment for of in ranked]
        against |= _against_the_best(ranked)
    return rows.experiments(order, found, against=against)


def _against_the_best(ranked: Sequence[Measured]) -> dict[str, str]:
    """Difference, interval and corrected p value of each, by name. Without kept hits there are none."""
    known = [of for of in ranked if of.hits and len(of.hits) == len(of.runs)]
    if not known or known[0] is not ranked[0]:
        return {}
    best, *others = known
    differences = [hits.compare_pools(best.hits, of.hits) for of in others]
    corrected = holm([change.p_value for change, _ in differences])
    said = {best.experiment.name: "the best"}
    for of, (change, paired), p_value in zip(others, differences, corrected, strict=True):
        said[of.experiment.name] = (
            f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), p {rows.p_value(p_value)}"
            + ("" if paired else ", not paired")
        )
    return said
