"""Claims about runs over seeds: paired by seed, and careful about test sets that are not the same."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW
from support.runs import pattern, run, table

from genrepro.base.errors import GenreproError
from genrepro.compare.pairs import compare
from genrepro.compare.revisions import Predictions, parse
from genrepro.compare.seeds import compare_seeds

NUM_TRACKS = 60


def runs(*num_correct: int, seed: int = 0) -> list[Predictions]:
    """Runs of one test set, each right on as many tracks, drawn by chance."""
    rng = np.random.default_rng(seed)
    return [
        run(rng.permutation(np.arange(NUM_TRACKS) < number).tolist(), name=f"run{at}")
        for at, number in enumerate(num_correct)
    ]


A, B = runs(40, 42, 45, 39, 41, seed=1), runs(44, 45, 46, 45, 42, seed=2)
DIFFERENCES = np.array([4, 3, 1, 6, 1]) / NUM_TRACKS


def test_mean_interval_and_t_test_are_statsmodels() -> None:
    found, reference = compare_seeds(A, B), DescrStatsW(DIFFERENCES)
    assert found.difference == pytest.approx(reference.mean)
    assert (found.low, found.high) == pytest.approx(reference.tconfint_mean())
    assert found.t_p_value == pytest.approx(reference.ttest_mean()[1])


def test_wilcoxon_counts_the_signs_that_chance_could_have_given() -> None:
    a, b = runs(40, 41, 42, 43, 44, 45), runs(41, 45, 40, 48, 51, 51)
    differences = np.array([1, 4, -2, 5, 7, 6])
    ranks = np.array([1, 3, 2, 4, 6, 5])
    seen = abs((ranks * np.sign(differences)).sum())
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    expected = (abs(signs @ ranks) >= seen).mean()
    assert compare_seeds(a, b).wilcoxon_p_value == pytest.approx(expected)


def test_seeds_are_paired_in_order() -> None:
    assert compare_seeds(A, B).t_p_value != compare_seeds(A, B[::-1]).t_p_value


def test_equal_runs_differ_by_nothing() -> None:
    found = compare_seeds(A, A)
    assert (found.low, found.difference, found.high) == (0, 0, 0)
    assert (found.t_p_value, found.wilcoxon_p_value, found.beyond_noise) == (None, 1, False)


def test_equal_differences_leave_the_judgement_to_wilcoxon(subtests: pytest.Subtests) -> None:
    for num_seeds, beyond_noise in [(2, False), (5, False), (6, True)]:
        with subtests.test(num_seeds=num_seeds):
            found = compare_seeds(runs(*range(30, 30 + num_seeds)), runs(*range(31, 31 + num_seeds)))
            assert found.t_p_value is None
            assert found.wilcoxon_p_value == pytest.approx(2 ** (1 - num_seeds))
            assert found.beyond_noise is beyond_noise


def test_one_test_set_gives_the_uncertainty_over_groups_too() -> None:
    found = compare_seeds(A, B)
    assert (found.test_sets, found.num_tracks) == ("same", NUM_TRACKS)
    assert found.over_groups is not None
    assert found.over_groups.value == pytest.approx(DIFFERENCES.mean())
    # The same run twice adds no track: its interval is that of one pair.
    right_a, right_b = pattern(both=30, gained=12, lost=5, neither=13)
    one = compare(run(right_a), run(right_b)).accuracy
    assert compare_seeds([run(right_a)] * 2, [run(right_b)] * 2).over_groups == one


def elsewhere(right: list[bool], draw: int) -> Predictions:
    names = [f"draw{draw}.{number}" for number in range(len(right))]
    return parse(table(right, track_id=names).to_csv(index=False).encode(), name="run")


def test_splits_drawn_by_seed_leave_accuracies_alone() -> None:
    right_a, right_b = pattern(both=30, gained=12, lost=5, neither=13)
    found = compare_seeds(
        [elsewhere(right_a, seed) for seed in (0, 1)], [elsewhere(right_b, s) for s in (0, 1)]
    )
    assert (found.test_sets, found.over_groups, found.num_tracks) == ("drawn by seed", None, None)
    found = compare_seeds(
        [elsewhere(right_a, seed) for seed in (0, 1)], [elsewhere(right_b, s) for s in (0, 2)]
    )
    assert (found.test_sets, found.over_groups) == ("different", None)
    assert found.accuracy_b.tolist() == [42 / 60, 42 / 60]


def test_what_cannot_be_paired_is_refused() -> None:
    for num_a, num_b in [(3, 2), (1, 2), (1, 1)]:
        with pytest.raises(GenreproError, match=f"^{num_a} and {num_b} runs cannot be paired by seed"):
            compare_seeds(A[:num_a], B[:num_b])


def test_other_genres_are_refused() -> None:
    other = run([True] * 8, soul=0.0)
    with pytest.raises(GenreproError, match="about different genres"):
        compare_seeds(A[:2], [B[0], other])
