"""How often does an interval cover the truth, and how often does a test see what is not there?

    python benchmarks/intervals.py [REPLICATES]

Test sets are simulated whose tracks come in groups, as those of an artist do. A group's own accuracy is drawn
from a beta distribution with a given mean and intra-class correlation, its hits from that. Sizes are five for
each group, as in the default run, or uneven as in GTZAN: most artists once, a few up to 35 times. A pair of
runs has the same accuracy in truth; a group is easy or hard for both runs, or for each by itself.

A way is right where a nominal 95 % covers 93 to 97 %. A test is right where it calls 3 to 7 % of equal pairs
different.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import stages  # noqa: F401 - first, since it pins instruction sets and threads before numpy loads

import numpy as np
from scipy import stats

from genrepro.evaluate.intervals import clustered, sign_flip_test, wilson

NUM_GROUPS = (5, 10, 16, 30, 60, 124, 200)
SIZES = ("five each", "uneven")
CORRELATIONS = (0.1, 0.33, 0.7)
ACCURACIES = (0.5, 0.8, 0.95)
COMMON = (0.0, 0.5, 0.9)  # share of the groups that are as hard for one run as for the other
FEW = 0.01  # chance of a track to be gained, and to be lost, where two runs are nearly the same
RESAMPLES = 999
LARGEST = 35  # tracks of one artist, as GTZAN's Bob Marley


def sizes(kind: str, num_groups: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "five each":
        return np.full(num_groups, 5)
    return np.minimum(np.ceil(np.exp(rng.normal(0, 1.1, num_groups))), LARGEST).astype(int)


def chances(mean: float, correlation: float, number: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracies of groups, whose hits then have this intra-class correlation."""
    scale = (1 - correlation) / correlation
    return rng.beta(mean * scale, (1 - mean) * scale, number)


def accuracy_ways(size: np.ndarray, hits: np.ndarray, rng: np.random.Generator) -> Iterator[tuple]:
    """Name, low and high of every way."""
    tracks, share, num_groups = size.sum(), hits.sum() / size.sum(), len(size)
    group = np.repeat(np.arange(num_groups), size)
    correct = np.concatenate([np.arange(n) < k for n, k in zip(size, hits, strict=True)])
    yield "ours: Wilson, effective n, Student", *clustered(correct, group)
    yield "Wilson over tracks", *wilson(int(hits.sum()), int(tracks))
    rest = hits - share * size
    spread = math.sqrt(num_groups / (num_groups - 1) * (rest**2).sum()) / tracks
    half = stats.t.ppf(0.975, num_groups - 1) * spread
    yield "linearised, Student", share - half, share + half
    weights = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), RESAMPLES)
    drawn = (weights @ hits) / (weights @ size)
    yield "bootstrap of groups, percentile", *np.quantile(drawn, [0.025, 0.975])
    yield "bootstrap of groups, BCa", *bca(drawn, share, size, hits)
    signs = rng.choice(np.sqrt([0.5, 1, 1.5]), (RESAMPLES, num_groups)) * rng.choice(
        [-1, 1], (RESAMPLES, num_groups)
    )
    scale = np.sqrt((signs**2) @ rest**2)
    reach = np.quantile(np.abs(signs @ rest)[scale > 0] / scale[scale > 0], 0.95) if rest.any() else 0.0
    half = reach * math.sqrt((rest**2).sum()) / tracks
    yield "wild bootstrap (Webb)", share - half, share + half
    yield "beta-binomial, by moments", *beta_binomial(size, hits)


def bca(drawn: np.ndarray, share: float, size: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Efron's bias-corrected and accelerated interval, groups left out one by one."""
    below = np.clip((drawn < share).mean() + (drawn == share).mean() / 2, 1e-3, 1 - 1e-3)
    bias = stats.norm.ppf(below)
    without = (hits.sum() - hits) / (size.sum() - size)
    away = without.mean() - without
    cubes = (away**2).sum() ** 1.5
    push = (away**3).sum() / (6 * cubes) if cubes else 0.0
    tails = bias + stats.norm.ppf([0.025, 0.975])
    return np.quantile(drawn, stats.norm.cdf(bias + tails / (1 - push * tails)))


def beta_binomial(size: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """Quantiles of the mean's beta distribution, its variance that of a beta-binomial by moments."""
    tracks, share, num_groups = size.sum(), hits.sum() / size.sum(), len(size)
    variance = num_groups / (num_groups - 1) * ((hits - share * size) ** 2).sum() / tracks**2
    if not variance:
        return share, share
    number = share * (1 - share) / variance - 1
    low, high = stats.beta.ppf([0.025, 0.975], share * number, (1 - share) * number)
    return float(low), float(high)


def pair_tests(
    size: np.ndarray, gained: np.ndarray, lost: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple]:
    """Name and p value of every test."""
    change = gained - lost
    group = np.repeat(np.arange(len(size)), size)
    of_tracks = np.concatenate(
        [
            np.repeat([1, -1, 0], [up, down, n - up - down])
            for n, up, down in zip(size, gained, lost, strict=True)
        ]
    )
    yield "ours: sign flips of groups", sign_flip_test(of_tracks, group)
    moved = int(gained.sum() + lost.sum())
    yield "McNemar over tracks", stats.binomtest(int(gained.sum()), moved).pvalue if moved else 1.0
    squares = (change**2).sum()
    clusters = float(stats.chi2.sf(change.sum() ** 2 / squares, 1)) if squares else 1.0
    yield "clustered McNemar (Durkalski)", clusters
    rest = change - change.sum() / size.sum() * size
    spread = len(size) / (len(size) - 1) * (rest**2).sum()
    yield "Obuchowski", float(stats.chi2.sf(change.sum() ** 2 / spread, 1)) if spread else 1.0
    tracks = rng.multinomial(size.sum(), np.full(size.sum(), 1 / size.sum()), RESAMPLES) @ of_tracks
    low, high = np.quantile(tracks, [0.025, 0.975])
    yield "bootstrap of tracks", 0.0 if low > 0 or high < 0 else 1.0


def simulate(replicates: int) -> tuple[dict, dict]:
    """Coverage by way, sizes, correlation, accuracy and number of groups; false alarms by test likewise."""
    covered: dict = defaultdict(float)
    alarms: dict = defaultdict(float)
    for kind in SIZES:
        for correlation in CORRELATIONS:
            for number in NUM_GROUPS:
                rng = np.random.default_rng([len(kind), round(100 * correlation), number])
                for _ in range(replicates):
                    size = sizes(kind, number, rng)
                    for accuracy in ACCURACIES:
                        hits = rng.binomial(size, chances(accuracy, correlation, number, rng))
                        for name, low, high in accuracy_ways(size, hits, rng):
                            hit = low <= accuracy <= high
                            covered[name, kind, correlation, accuracy, number] += hit / replicates
                    for common in COMMON:
                        both = chances(0.7, correlation, number, rng)
                        first, second = (
                            np.where(
                                rng.random(number) < common, both, chances(0.7, correlation, number, rng)
                            )
                            for _ in range(2)
                        )
                        gained = rng.binomial(size, (1 - first) * second)
                        lost = rng.binomial(size - gained, first * (1 - second) / (1 - (1 - first) * second))
                        for name, p_value in pair_tests(size, gained, lost, rng):
                            alarms[name, kind, correlation, common, number] += (p_value <= 0.05) / replicates
                    gained, lost = rng.multinomial(size, [FEW, FEW, 1 - 2 * FEW]).T[:2]
                    for name, p_value in pair_tests(size, gained, lost, rng):
                        alarms[name, kind, correlation, "few", number] += (p_value <= 0.05) / replicates
    return covered, alarms


def table(title: str, found: dict, right: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Print lowest, mean and highest share by number of groups; what share is right from ten up."""
    print(f"\n{title}: lowest / mean / highest over sizes, correlations {CORRELATIONS} and settings")
    print(f"{'':36}" + "".join(f"{number:>17}" for number in NUM_GROUPS) + "   right, from 10")
    summary = {}
    for name in dict.fromkeys(key[0] for key in found):
        cells, all_cells = [], []
        for number in NUM_GROUPS:
            values = [value for key, value in found.items() if key[0] == name and key[-1] == number]
            cells.append(f"{min(values):.2f}/{np.mean(values):.3f}/{max(values):.2f}")
            all_cells += values if number >= 10 else []
        share = float(np.mean([right[0] <= value <= right[1] for value in all_cells]))
        summary[name] = {"mean": round(float(np.mean(all_cells)), 4), "right": round(share, 3)}
        print(f"{name:36}" + "".join(f"{cell:>17}" for cell in cells) + f"   {share:.2f}")
    return summary


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    covered, alarms = simulate(replicates)
    coverage = table("Coverage of a 95 % interval of an accuracy", covered, (0.93, 0.97))
    false_alarms = table("False alarms of a 5 % test of equal runs", alarms, (0.03, 0.07))
    print(json.dumps({"replicates": replicates, "coverage": coverage, "false_alarms": false_alarms}))


if __name__ == "__main__":
    main()
