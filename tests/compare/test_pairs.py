"""Claims about two runs: numbers are those of other libraries, and noise is called noise."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import log_loss
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from support.runs import GENRES, content, pattern, run, table

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.compare import pairs, revisions
from genrepro.compare.pairs import Comparison, compare

ROOT = Path(__file__).parents[2]
CASES = [
    {"both": 40, "gained": 12, "lost": 3, "neither": 5},
    {"both": 20, "gained": 2, "lost": 9, "neither": 30},
    {"both": 60, "gained": 5, "lost": 0, "neither": 14},
    {"both": 30, "gained": 4, "lost": 4, "neither": 2},
    {"both": 10, "gained": 0, "lost": 0, "neither": 3},
]


def compared(*, confidence_b: float = 0.7, **counts: int) -> Comparison:
    right_a, right_b = pattern(**counts)
    return compare(run(right_a, name="a"), run(right_b, name="b", confidence=confidence_b))


@pytest.mark.parametrize("counts", CASES)
def test_the_test_is_mcnemars(counts: dict[str, int]) -> None:
    square = [[counts["both"], counts["lost"]], [counts["gained"], counts["neither"]]]
    assert compared(**counts).p_value == pytest.approx(mcnemar(square, exact=True).pvalue)


@pytest.mark.parametrize("counts", CASES)
def test_the_interval_of_the_difference_is_scipys_paired_bootstrap(counts: dict[str, int]) -> None:
    right_a, right_b = (np.array(right, dtype=float) for right in pattern(**counts))
    reference = stats.bootstrap(
        (right_a, right_b),
        lambda a, b, axis: (b - a).mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=pairs.NUM_RESAMPLES,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = compared(**counts).accuracy
    one_track = 1 / len(right_a)  # bounds are whole tracks, so two draws of the bootstrap may differ by one
    assert found.value == pytest.approx((right_b - right_a).mean())
    assert (found.low, found.high) == pytest.approx(tuple(reference), abs=1.01 * one_track)


@pytest.mark.parametrize("counts", CASES)
def test_each_run_has_wilsons_interval(counts: dict[str, int]) -> None:
    num_tracks = sum(counts.values())
    for side, only in ((compared(**counts).a, "lost"), (compared(**counts).b, "gained")):
        num_correct = counts["both"] + counts[only]
        assert side.num_correct == num_correct
        assert side.accuracy == pytest.approx(num_correct / num_tracks)
        expected = proportion_confint(num_correct, num_tracks, method="wilson")
        assert (side.low, side.high) == pytest.approx(expected, abs=1e-6)


def test_log_loss_and_its_difference_are_scikit_learns() -> None:
    right_a, right_b = pattern(**CASES[0])
    a, b = run(right_a), run(right_b, confidence=0.85)
    found = compare(a, b)
    expected = [log_loss(each.label, each.probabilities, labels=range(len(GENRES))) for each in (a, b)]
    assert [found.a.log_loss, found.b.log_loss] == pytest.approx(expected, abs=1e-6)
    assert found.log_loss.value == pytest.approx(expected[1] - expected[0], abs=1e-6)
    assert found.log_loss.low < found.log_loss.value < found.log_loss.high


def test_scores_of_the_default_run_are_those_that_it_reported() -> None:
    """Up to the four decimals of predictions.csv."""
    reported = files.read_json(ROOT / "metrics" / "test.json")
    default = revisions.read(str(ROOT / "metrics" / "predictions.csv"))
    side = compare(default, default).a
    assert side.accuracy == pytest.approx(reported["accuracy"], abs=1e-6)
    assert (side.low, side.high) == (reported["accuracy_low"], reported["accuracy_high"])
    assert side.log_loss == pytest.approx(reported["log_loss"], abs=0.002)
    assert side.calibration_error == pytest.approx(reported["calibration_error"], abs=0.002)


def test_a_true_genre_at_zero_costs_no_more_than_its_four_decimals_say() -> None:
    zero = run([False] * 4, confidence=1.0)
    assert compare(zero, zero).a.log_loss == pytest.approx(-np.log(0.00005))


def test_swapping_the_runs_turns_everything_round() -> None:
    right_a, right_b = pattern(**CASES[0])
    a, b = run(right_a), run(right_b, confidence=0.8)
    there, back = compare(a, b), compare(b, a)
    assert (there.accuracy.low, there.accuracy.high) == pytest.approx(
        (-back.accuracy.high, -back.accuracy.low)
    )
    assert there.p_value == back.p_value
    assert [flip.track_id for flip in there.gained] == [flip.track_id for flip in back.lost]


def test_a_comparison_says_the_same_every_time_and_however_much_is_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once = compared(**CASES[0])
    monkeypatch.setattr(pairs, "_CHUNK", 1000)
    assert compared(**CASES[0]) == once


def test_the_order_of_rows_and_genres_does_not_matter() -> None:
    right_a, right_b = pattern(**CASES[0])
    shuffled = table(right_b).sample(frac=1, random_state=0)
    shuffled = shuffled[["track_id", "genre", "predicted", *reversed(GENRES)]]
    b = revisions.parse(content(shuffled), name="run")
    assert compare(run(right_a), b) == compare(run(right_a), run(right_b))


def test_flips_are_the_tracks_that_changed_sides() -> None:
    right_a, right_b = pattern(**CASES[0])
    found = compare(run(right_a), run(right_b))
    tables = table(right_a), table(right_b)
    changed = tables[0]["predicted"] != tables[1]["predicted"]
    assert {flip.track_id for flip in found.gained + found.lost} == set(tables[0]["track_id"][changed])
    assert (len(found.gained), len(found.lost)) == (12, 3)
    for flip in found.gained:
        assert flip.predicted_b == flip.genre != flip.predicted_a
        assert flip.true_b == 0.7 > flip.true_a == 0.1
    for flip in found.lost:
        assert flip.predicted_a == flip.genre != flip.predicted_b


def test_genres_add_up_to_the_whole() -> None:
    right_a, right_b = pattern(**CASES[0])
    found = compare(run(right_a), run(right_b))
    by_genre = pd.DataFrame({"genre": table(right_a)["genre"], "a": right_a, "b": right_b}).groupby("genre")
    for change in found.genres:
        rows = by_genre.get_group(change.genre)
        assert (change.num_tracks, change.correct_a, change.correct_b) == (
            len(rows),
            rows.a.sum(),
            rows.b.sum(),
        )
        assert change.correct_b - change.correct_a == change.gained - change.lost
    assert sum(change.gained for change in found.genres) == len(found.gained)


def test_other_mistakes_on_the_same_tracks_are_counted() -> None:
    other = run([False] * 8, predicted=table([False] * 8)["predicted"].replace({"jazz": "metal"}))
    # Blues was taken for jazz and is now taken for metal, on two of the eight tracks.
    assert compare(run([False] * 8), other).num_otherwise_wrong == 2


def test_equal_runs_are_identical_and_equal_labels_alone_are_not() -> None:
    assert compared(both=10, neither=3).identical
    moved = compared(both=10, neither=3, confidence_b=0.8)
    assert not moved.identical and not moved.beyond_noise and moved.p_value == 1


@pytest.mark.parametrize(("gained", "lost", "expected"), [(20, 2, True), (2, 20, True), (6, 5, False)])
def test_what_is_beyond_noise(gained: int, lost: int, expected: bool) -> None:
    assert compared(both=60, gained=gained, lost=lost, neither=10).beyond_noise is expected


def test_equally_good_runs_are_rarely_told_apart() -> None:
    """Of 200 pairs that differ by chance alone, at the 5 % level."""
    rng = np.random.default_rng(0)
    told_apart = 0
    for _ in range(200):
        right_a, right_b = (rng.uniform(size=(2, 80)) < 0.8).tolist()
        told_apart += compare(run(right_a), run(right_b)).beyond_noise
    # Two tests, either of which may see a difference, and an interval of whole tracks: a little above 5 %.
    assert 2 <= told_apart <= 20


def test_other_test_sets_are_refused_with_what_differs() -> None:
    base = table([True] * 12)
    genres = base["genre"].where(base["track_id"] != "t0005", "rock")
    other = revisions.parse(content(base.assign(genre=genres, soul=0.0)[2:]), name="b")
    with pytest.raises(GenreproError) as refusal:
        compare(run([True] * 10, name="a"), other)
    for words in (
        "a and b cannot be paired",
        "2 tracks only in A (such as t0000)",
        "2 tracks only in B (such as t0010)",
        "1 track with another true genre (such as t0005)",
        "1 genre only in B (soul)",
    ):
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
