"""Claims about two runs: numbers are those of other libraries, and noise is called noise."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from support.runs import GENRES, content, pattern, run, table

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.compare import pairs, revisions
from genrepro.compare.pairs import Comparison, compare
from genrepro.evaluate.intervals import clustered, difference

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


def test_differences_and_accuracies_know_the_groups_of_the_table() -> None:
    right_a, right_b = pattern(**CASES[0])
    group = [f"t{number // 4:04d}" for number in range(len(right_a))]
    a, b = run(right_a, group=group), run(right_b, group=group)
    found = compare(a, b)
    assert found.num_groups == 15
    assert found.accuracy == difference(b.correct.astype(float) - a.correct, np.array(group))
    assert (found.a.low, found.a.high) == clustered(a.correct, np.array(group))
    assert found.accuracy.p_value != compared(**CASES[0]).accuracy.p_value


def test_one_table_with_groups_is_enough() -> None:
    right_a, right_b = pattern(**CASES[0])
    group = [f"t{number // 4:04d}" for number in range(len(right_a))]
    both = compare(run(right_a, group=group), run(right_b, group=group)).accuracy
    assert compare(run(right_a), run(right_b, group=group)).accuracy == both
    assert compare(run(right_a, group=group), run(right_b)).accuracy == both
    assert compare(run(right_a), run(right_b)).num_groups is None


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
    assert there.accuracy.p_value == back.accuracy.p_value
    assert [flip.track_id for flip in there.gained] == [flip.track_id for flip in back.lost]


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
    assert not moved.identical and not moved.beyond_noise and moved.accuracy.p_value == 1


def test_what_is_beyond_noise(subtests: pytest.Subtests) -> None:
    for gained, lost, expected in [(20, 2, True), (2, 20, True), (6, 5, False)]:
        with subtests.test(gained=gained, lost=lost):
            assert compared(both=60, gained=gained, lost=lost, neither=10).beyond_noise is expected


def test_equally_good_runs_are_rarely_told_apart() -> None:
    """Of 100 pairs that differ by chance alone, at the 5 % level; `beyond_noise` reads this p-value."""
    rng = np.random.default_rng(0)
    told_apart = 0
    for _ in range(100):
        right_a, right_b = rng.uniform(size=(2, 80)) < 0.8
        found = pairs.difference(right_b.astype(float) - right_a, np.arange(80))
        told_apart += found.p_value <= pairs.SIGNIFICANCE
    assert 1 <= told_apart <= 10


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
