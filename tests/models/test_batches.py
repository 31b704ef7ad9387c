"""Claims about batches: segments are slices of their spans, and every span has its turn."""

import numpy as np
import pytest
import torch

from genrepro.models.shared import segments as stretches
from genrepro.models.shared.batches import Cutter, FixedSegments, TrainingSegments
from genrepro.models.shared.segments import Spans

CPU = torch.device("cpu")
LENGTHS = (50, 31, 20, 90, 12)
SEGMENT = 20


def packed(num_bands: int = 3) -> np.ndarray:
    """Frames that tell where they are: each row holds its own number, in fractions that bands tell apart."""
    rows = np.arange(sum(LENGTHS))[:, None] + np.arange(num_bands) / 8
    return rows.astype(np.float16)


def make_spans(lengths: tuple[int, ...] = LENGTHS) -> Spans:
    length = np.array(lengths)
    return Spans(
        first_frame=np.concatenate([[0], np.cumsum(length)[:-1]]),
        num_frames=length,
        label=np.arange(len(length)) % 3,
        track=np.arange(len(length)),
        track_ids=[f"t{number}" for number in range(len(length))],
    )


def rows_in(segments: torch.Tensor) -> np.ndarray:
    """Which packed row each frame is [shape=(batch, segment_frames)]."""
    return segments[:, 0, 0].numpy().astype(int)


def one_epoch(
    *, batch_size: int = 2, time_stretch: float = 0.0, seed: int = 0, segment_frames: int = SEGMENT
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    crops = TrainingSegments(
        Cutter(packed(), device=CPU),
        make_spans(),
        segment_frames=segment_frames,
        batch_size=batch_size,
        time_stretch=time_stretch,
        rng=np.random.default_rng(seed),
    )
    batches = list(crops)
    assert len(batches) == len(crops)
    rows = np.concatenate([rows_in(segments) for segments, _ in batches])
    return rows, np.concatenate([labels for _, labels in batches]), [len(labels) for _, labels in batches]


def span_of(rows: np.ndarray) -> np.ndarray:
    """Which span each segment lies in; -1 where it leaves it."""
    span = np.searchsorted(np.cumsum(LENGTHS), rows, side="right")
    return np.where((span == span[:, :1]).all(axis=1), span[:, 0], -1)


def test_a_cut_is_a_slice() -> None:
    frames, spans = packed(), make_spans()
    start = np.array([7, 0, 30])
    segments = Cutter(frames, device=CPU).cut(
        spans.first_frame[[0, 1, 3]],
        spans.num_frames[[0, 1, 3]],
        start[:, None] + np.arange(SEGMENT),
    )
    assert (segments.shape, segments.dtype) == ((3, 1, 3, SEGMENT), torch.float32)
    for segment, first in zip(segments.numpy(), spans.first_frame[[0, 1, 3]] + start, strict=True):
        np.testing.assert_array_equal(segment[0], frames[first : first + SEGMENT].T)


def test_a_span_that_is_too_short_is_looped() -> None:
    cutter = Cutter(packed(), device=CPU)
    segments = cutter.cut(np.array([10]), np.array([6]), np.arange(4, 4 + SEGMENT)[None])
    expected = 10 + (4 + np.arange(SEGMENT)) % 6
    np.testing.assert_array_equal(rows_in(segments), [expected])


def test_each_span_has_one_turn_an_epoch() -> None:
    for batch_size in (1, 2, 3, 5, 100):
        rows, labels, _ = one_epoch(batch_size=batch_size)
        assert sorted(span_of(rows)) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(labels, make_spans().label[span_of(rows)])


def test_a_track_in_pieces_gives_one_of_them_an_epoch_and_in_time_all() -> None:
    whole = make_spans()
    pieces = Spans(
        first_frame=whole.first_frame,
        num_frames=whole.num_frames,
        label=np.array([0, 0, 0, 1, 1]),
        track=np.array([0, 0, 0, 1, 1]),
        track_ids=["a", "b"],
    )
    crops = TrainingSegments(
        Cutter(packed(), device=CPU), pieces, segment_frames=4, batch_size=8, time_stretch=0.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    seen = set()
    for _ in range(40):
        ((segments, labels),) = list(crops)
        assert sorted(labels.tolist()) == [0, 1]
        seen.update(span_of(rows_in(segments)))
    assert seen == {0, 1, 2, 3, 4}


def test_batches_of_an_epoch_are_equal_up_to_one() -> None:
    assert one_epoch(batch_size=4)[2] == [3, 2]  # and not 4 and 1: batch norm fails on one


def test_crops_without_stretching_are_consecutive_frames() -> None:
    for seed in range(20):
        rows, _, _ = one_epoch(seed=seed)
        steps = np.diff(rows[span_of(rows) != 4], axis=1)  # the last span is shorter than a segment
        assert (steps == 1).all()


def test_crops_come_from_everywhere_in_a_span() -> None:
    starts = set()
    for seed in range(400):
        rows, _, _ = one_epoch(seed=seed)
        starts.update(rows[span_of(rows) == 1, 0])
    first = LENGTHS[0]
    assert starts == set(range(first, first + LENGTHS[1] - SEGMENT + 1))


def test_stretched_crops_cover_more_or_less_music_and_stay_in_their_span() -> None:
    covered = []
    for seed in range(100):
        rows, _, _ = one_epoch(time_stretch=0.3, seed=seed)
        assert (span_of(rows) >= 0).all()
        long = rows[np.isin(span_of(rows), (0, 3))]
        covered += list(long[:, -1] - long[:, 0])
    assert min(covered) < 0.8 * (SEGMENT - 1) and max(covered) > 1.2 * (SEGMENT - 1)
    assert np.abs(np.array(covered) / (SEGMENT - 1) - 1).max() <= 0.3 + 1 / (SEGMENT - 1)  # whole frames


def test_the_same_stream_of_numbers_gives_the_same_epoch() -> None:
    np.testing.assert_array_equal(one_epoch(seed=1)[0], one_epoch(seed=1)[0])
    assert not np.array_equal(one_epoch(seed=1)[0], one_epoch(seed=2)[0])


def even(
    lengths: tuple[int, ...] = LENGTHS, *, num_segments: int
) -> tuple[FixedSegments, dict[int, list[np.ndarray]]]:
    """The segments, and by track the rows of each of its segments."""
    spans = stretches.even(make_spans(lengths), segment_frames=SEGMENT, num_segments=num_segments)
    segments = FixedSegments(Cutter(packed(), device=CPU), spans, batch_size=4)
    rows: dict[int, list[np.ndarray]] = {}
    everything = [row for batch in segments for row in rows_in(batch)]
    for track, row in zip(segments.track, everything, strict=True):
        rows.setdefault(int(track), []).append(row)
    return segments, rows


def test_even_segments_reach_both_ends_and_are_evenly_spaced() -> None:
    _, rows = even(num_segments=4)
    for track in (0, 1, 3):
        starts = np.array([row[0] for row in rows[track]]) - make_spans().first_frame[track]
        assert starts[0] == 0 and starts[-1] == LENGTHS[track] - SEGMENT
        np.testing.assert_allclose(starts, np.linspace(0, LENGTHS[track] - SEGMENT, 4), atol=0.5)
    for row in rows[3]:
        np.testing.assert_array_equal(np.diff(row), 1)


def test_a_span_as_long_as_a_segment_votes_once() -> None:
    _, rows = even(num_segments=4)
    [only] = rows[2]
    np.testing.assert_array_equal(only, make_spans().first_frame[2] + np.arange(SEGMENT))


def test_a_shorter_span_votes_once_and_as_it_is() -> None:
    _, rows = even(num_segments=4)
    [only] = rows[4]
    np.testing.assert_array_equal(only, make_spans().first_frame[4] + np.arange(LENGTHS[4]))


def test_even_segments_know_their_label_and_are_the_same_each_time() -> None:
    segments, rows = even(num_segments=3)
    np.testing.assert_array_equal(segments.label, make_spans().label[segments.track])
    again = [row.tolist() for batch in segments for row in rows_in(batch)]
    assert sorted(again) == sorted(row.tolist() for track in rows.values() for row in track)


@pytest.mark.parametrize(
    ("num_tracks", "batch_size"), [(3, 2), (5, 2), (239, 16), (239, 2), (17, 16), (2, 1)]
)
def test_no_batch_has_one_segment_unless_all_have(num_tracks: int, batch_size: int) -> None:
    segments = TrainingSegments(
        Cutter(packed(), device=CPU), make_spans((6,) * num_tracks), segment_frames=4, batch_size=batch_size,
        time_stretch=0.0, rng=np.random.default_rng(0),
    )  # fmt: skip
    sizes = [len(parts) for parts in np.array_split(np.arange(num_tracks), len(segments))]
    assert sum(sizes) == num_tracks and (min(sizes) > 1 or batch_size == 1)
    if num_tracks >= 2 * -(-num_tracks // batch_size):  # nothing else has changed
        assert len(sizes) == -(-num_tracks // batch_size)
