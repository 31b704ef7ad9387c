"""Claims about how sure an accuracy is: groups count, and interval and test never disagree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, permutation_test, t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from genrepro.evaluate.intervals import clustered, difference, sign_flip_test, unpaired, wilson


def grouped(*hits_of_groups: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Hits and groups of ``(right, tracks)`` pairs."""
    correct = [number < right for right, tracks in hits_of_groups for number in range(tracks)]
    group = [place for place, (_, tracks) in enumerate(hits_of_groups) for _ in range(tracks)]
    return np.array(correct), np.array(group)


def wilson_at(share: float, number: float, quantile: float) -> tuple[float, float]:
    """The shares from which ``share`` is ``quantile`` of their own deviations away, as Wilson defined it."""
    a, b, c = 1 + quantile**2 / number, -2 * share - quantile**2 / number, share**2
    low, high = sorted(np.roots([a, b, c]).real)
    return low, high


def test_wilsons_interval_is_statsmodels() -> None:
    for confidence in [0.8, 0.95, 0.99]:
        for num_correct, num_tracks in [(0, 5), (5, 5), (65, 99), (1, 1), (250, 290)]:
            expected = proportion_confint(num_correct, num_tracks, alpha=1 - confidence, method="wilson")
            assert wilson(num_correct, num_tracks, confidence=confidence) == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_the_published_vit_is_the_published_one() -> None:
    assert wilson(65, 99) == pytest.approx((0.559, 0.743), abs=5e-4)


def test_the_effective_number_follows_the_analysis_of_variance() -> None:
    groups = [(5, 5), (3, 5), (0, 4), (6, 7), (1, 1), (2, 6), (4, 4), (2, 2)]
    correct, group = grouped(*groups)
    size = np.array([tracks for _, tracks in groups])
    ratio = f_oneway(*(correct[group == place].astype(float) for place in range(len(groups)))).statistic
    usual = (size.sum() - (size**2).sum() / size.sum()) / (len(size) - 1)
    correlation = (ratio - 1) / (ratio - 1 + usual)
    effective = size.sum() / (1 + ((size**2).sum() / size.sum() - 1) * correlation)
    assert 0 < correlation < 1
    expected = wilson_at(correct.mean(), effective, t.ppf(0.975, len(groups) - 1))
    assert clustered(correct, group) == pytest.approx(expected, abs=1e-6)


def test_groups_that_are_all_right_or_all_wrong_count_as_one_track_each() -> None:
    correct, group = grouped(*[(5, 5)] * 12, *[(0, 5)] * 8)
    assert clustered(correct, group) == pytest.approx(wilson_at(0.6, 20, t.ppf(0.975, 19)), abs=1e-6)


def test_tracks_by_themselves_have_nearly_wilsons_interval() -> None:
    correct, group = grouped(*[(1, 1)] * 240, *[(0, 1)] * 60)
    assert clustered(correct, group) == pytest.approx(wilson(240, 300), abs=1e-3)


def test_of_one_group_or_none_nothing_is_known() -> None:
    assert clustered(*grouped((4, 5))) == (0.0, 1.0)
    assert clustered(*grouped()) == (0.0, 1.0)


def test_an_accuracy_of_one_is_no_surer_than_its_groups() -> None:
    low, high = clustered(*grouped(*[(5, 5)] * 16))
    assert high == 1.0 and low == pytest.approx(wilson_at(1.0, 16, t.ppf(0.975, 15))[0], abs=1e-6)


def test_of_single_tracks_the_test_is_mcnemars_exact_one() -> None:
    for gained, lost, rest in [(7, 3, 2), (2, 9, 0), (4, 4, 3), (5, 0, 6)]:  # all flips are tried
        change = np.repeat([1, -1, 0], [gained, lost, rest])
        reference = mcnemar([[rest, lost], [gained, 0]], exact=True).pvalue
        assert difference(change, np.arange(len(change))).p_value == pytest.approx(reference)
    for gained, lost, rest in [(12, 3, 45), (20, 9, 50)]:  # flips are drawn
        change = np.repeat([1, -1, 0], [gained, lost, rest])
        reference = mcnemar([[rest, lost], [gained, 0]], exact=True).pvalue
        assert difference(change, np.arange(len(change))).p_value == pytest.approx(reference, abs=0.01)


def test_the_test_is_scipys_permutation_of_signs() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    change = rng.choice([-1.0, 0.0, 1.0], len(group), p=[0.1, 0.6, 0.3])
    sums = np.bincount(group, weights=change)
    reference = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=2**13).pvalue
    assert difference(change, group).p_value == pytest.approx(reference)


def test_a_group_that_moves_as_one_is_one_piece_of_evidence() -> None:
    change = np.repeat([1.0] * 3 + [0.0] * 17, 10)
    alone, together = difference(change, np.arange(200)), difference(change, np.repeat(np.arange(20), 10))
    assert alone.p_value == 1e-4  # the pair itself is one of 10 000
    assert together.p_value == pytest.approx(0.25, abs=0.02)  # three heads or three tails of three throws


CHANGES = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 1.0, 0.3]), st.integers(0, 14)), min_size=20, max_size=80
)


@given(changes=CHANGES)
@settings(max_examples=40, deadline=None)
def test_the_interval_holds_what_the_test_would_not_reject(changes: list[tuple[float, int]]) -> None:
    change, group = (np.array(column) for column in zip(*changes, strict=True))
    found = difference(change, group)
    assert found.low <= found.value + 1e-9 and found.value <= found.high + 1e-9
    assert found.includes_zero == (found.p_value > 0.05)
    for bound in (found.low, found.high):
        if math.isfinite(bound) and len(set(change)) > 1 and found.low < found.high:
            outward = 1e-6 if bound == found.high else -1e-6
            assert difference(change - bound - outward, group).p_value <= 0.05
            assert difference(change - bound + outward, group).p_value > 0.05


def test_too_few_groups_leave_the_difference_open() -> None:
    found = difference(np.array([1.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 2]))
    assert (found.low, found.high) == (-math.inf, math.inf) and found.p_value > 0.05


def test_swapping_the_runs_turns_the_difference_round() -> None:
    change, group = np.repeat([1.0, -1.0, 0.0], [12, 5, 43]), np.arange(60) // 3
    there, back = difference(change, group), difference(-change, group)
    assert (there.low, there.high, there.p_value) == (-back.high, -back.low, back.p_value)
    assert there.smallest == back.smallest


def test_the_smallest_difference_is_found_four_times_of_five() -> None:
    """Runs that differ by as much as a first pair's `smallest`, drawn anew."""
    rng = np.random.default_rng(0)
    group = np.arange(300) // 3

    def draw(shift: float) -> np.ndarray:
        return rng.choice([1.0, -1.0, 0.0], size=300, p=[0.1 + shift, 0.1, 0.8 - shift])

    smallest = difference(draw(0.0), group).smallest
    assert smallest is not None
    seen = np.mean([sign_flip_test(draw(smallest), group) <= 0.05 for _ in range(400)])
    assert 0.65 < seen < 0.95


def test_runs_that_agree_say_no_more_than_one_of_them() -> None:
    """The mean of equal runs is the run; that of runs that disagree varies less than a single one."""
    rng = np.random.default_rng(1)
    group = np.arange(200) // 4
    runs = rng.random((3, 200)) < np.repeat(rng.beta(2, 2, 50), 4)
    one, mean = clustered(runs[0], group), clustered(runs.mean(axis=0), group)
    assert clustered(np.mean([runs[0]] * 3, axis=0), group) == pytest.approx(one, abs=1e-6)
    assert mean[1] - mean[0] < one[1] - one[0]


def test_the_interval_of_a_mean_over_runs_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    group, covered = np.repeat(np.arange(40), 6), 0
    for _ in range(400):
        hits = rng.random((3, 240)) < np.repeat(rng.beta(1.2, 0.8, 40), 6)
        low, high = clustered(hits.mean(axis=0), group)
        covered += low <= 0.6 <= high
    assert 0.92 < covered / 400 < 0.98


def test_of_many_single_tracks_the_difference_of_two_test_sets_has_newcombes_interval() -> None:
    expected = confint_proportions_2indep(800, 1000, 600, 900, compare="diff", method="newcomb")
    first, second = grouped(*[(1, 1)] * 600, *[(0, 1)] * 300), grouped(*[(1, 1)] * 800, *[(0, 1)] * 200)
    found = unpaired(*first, *second)
    assert (found.low, found.high) == pytest.approx(expected, abs=2e-4)
    back = unpaired(*second, *first)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_two_test_sets_that_are_equally_hard_differ_in_one_of_twenty() -> None:
    """And as often as their interval excludes 0."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        sides = []
        for num_groups, num_tracks in [(40, 5), (60, 2)]:
            chance = np.repeat(rng.beta(1.4, 0.6, num_groups), num_tracks)
            sides += [rng.random(len(chance)) < chance, np.repeat(np.arange(num_groups), num_tracks)]
        found = unpaired(*sides)
        assert found.includes_zero == (found.p_value > 0.05)
        alarms += not found.includes_zero
    assert 0.02 < alarms / 300 < 0.08
