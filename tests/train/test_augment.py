"""Claims about augmentation: it changes what it may, as much as it may, and nothing where it is off."""

from typing import Any

import numpy as np
import pytest
import torch
from support.builders import make_params

from genrepro.base.params import Train
from genrepro.train.augment import augment, mixup

OFF = {
    "num_time_masks": 0,
    "time_mask": 0.0,
    "num_frequency_masks": 0,
    "frequency_mask": 0.0,
    "frequency_shift": 0.0,
    "mixup": 0.0,
}
NUM_BANDS, NUM_FRAMES = 20, 50


def recipe(**changes: Any) -> Train:
    return make_params(train={**OFF, **changes}).train


def noise(batch: int = 64) -> torch.Tensor:
    values = np.random.default_rng(0).uniform(1, 2, (batch, 1, NUM_BANDS, NUM_FRAMES))
    return torch.from_numpy(values.astype(np.float32))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_nothing_happens_where_everything_is_off() -> None:
    torch.testing.assert_close(augment(noise(), params=recipe(), rng=rng()), noise(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kind", "axis", "size"), [("time", 2, NUM_FRAMES), ("frequency", 1, NUM_BANDS)], ids=["time", "bands"]
)
def test_a_mask_is_one_stretch_of_at_most_its_share(kind: str, axis: int, size: int) -> None:
    params = recipe(**{f"num_{kind}_masks": 1, f"{kind}_mask": 0.2})
    masked = augment(noise(400), params=params, rng=rng())[:, 0].numpy() == 0
    across = 3 - axis
    assert (masked.any(axis=across) == masked.all(axis=across)).all()  # all bands of a frame, or none
    lines = masked.any(axis=across)
    assert set(lines.sum(axis=1)) == set(range(round(0.2 * size) + 1))
    borders = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(int), axis=1)
    assert (borders == 1).sum(axis=1).max() == 1
    assert lines.any(axis=0).all()  # somewhere in the batch, each place is hit


def test_what_is_not_masked_stays() -> None:
    params = recipe(num_time_masks=2, time_mask=0.2, num_frequency_masks=2, frequency_mask=0.2)
    changed = augment(noise(), params=params, rng=rng())
    kept = changed != 0
    torch.testing.assert_close(changed[kept], noise()[kept], rtol=0, atol=0)
    assert 0 < (~kept).sum() < kept.sum()


def test_a_shift_moves_all_bands_together_and_repeats_the_outermost() -> None:
    shifted = augment(noise(200), params=recipe(frequency_shift=0.1), rng=rng())[:, 0].numpy()
    found = set()
    for before, after in zip(noise(200)[:, 0].numpy(), shifted, strict=True):
        candidates = {
            shift: np.pad(before, ((max(shift, 0), max(-shift, 0)), (0, 0)), mode="edge")[
                max(-shift, 0) : max(-shift, 0) + NUM_BANDS
            ]
            for shift in range(-NUM_BANDS // 2, NUM_BANDS // 2)
        }
        [shift] = [shift for shift, candidate in candidates.items() if np.array_equal(candidate, after)]
        found.add(shift)
    assert found == {-2, -1, 0, 1, 2}


def test_segments_of_one_batch_are_changed_each_in_its_way() -> None:
    same = noise(1).expand(32, -1, -1, -1)
    changed = augment(same, params=recipe(num_time_masks=1, time_mask=0.3), rng=rng())
    assert len({segment.numpy().tobytes() for segment in changed}) > 10


def test_the_same_stream_of_numbers_gives_the_same_changes() -> None:
    params = recipe(num_time_masks=2, time_mask=0.2, frequency_shift=0.1)
    one, again, other = (augment(noise(), params=params, rng=rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


LABELS = torch.arange(64) % 3


def test_mixup_of_zero_gives_segments_and_labels_as_they_are() -> None:
    segments, targets = mixup(noise(), LABELS, params=recipe(), num_genres=3, rng=rng())
    assert torch.equal(segments, noise())
    assert torch.equal(targets, torch.eye(3)[LABELS])


def test_mixup_mixes_segments_and_labels_in_one_proportion() -> None:
    # Each segment says in every cell which label it has: the mixture then says its own target.
    segments = torch.nn.functional.one_hot(LABELS, 3).float()[:, None, :, None].expand(-1, 1, 3, 5)
    mixed, targets = mixup(segments, LABELS, params=recipe(mixup=0.4), num_genres=3, rng=rng())
    torch.testing.assert_close(mixed, targets[:, None, :, None].expand(-1, 1, 3, 5))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(64))
    assert (targets.max(dim=1).values < 0.99).any()


def test_the_first_of_a_mixed_pair_stays_its_larger_part() -> None:
    _, targets = mixup(noise(), LABELS, params=recipe(mixup=1.0), num_genres=3, rng=rng())
    assert (targets[torch.arange(64), LABELS] >= 0.5).all()


def test_a_filter_adds_one_curve_of_straight_lines_to_all_frames_of_a_segment() -> None:
    added = (augment(noise(2000), params=recipe(filter_gain=0.5), rng=rng()) - noise(2000))[:, 0].double()
    torch.testing.assert_close(added, added[:, :, :1].expand_as(added), rtol=0, atol=1e-6)
    curves = added[:, :, 0]
    assert curves[:, [0, -1]].std(dim=0).numpy() == pytest.approx([0.5, 0.5], rel=0.1)
    assert curves.mean().abs() < 0.02
    # Six gains over twenty bands: between two of them the second difference is 0.
    bends = curves.diff(n=2, dim=1).abs() > 1e-4
    assert bends.any(dim=0).sum() <= 2 * 4
    assert not torch.equal(curves[0], curves[1])
