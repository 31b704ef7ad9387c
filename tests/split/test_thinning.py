"""Claims about a learning curve's training sets: whole artists, each inside the next, no one else moves."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import GENRES, make_params, write_mels

from genrepro.base.params import Split
from genrepro.exact import identity
from genrepro.features import packing
from genrepro.models.shared import segments
from genrepro.split import strategies, thinning
from genrepro.split.proof import leaks

STRATEGIES = ["artist", "official", "stratified", "random", "segment"]
SHARES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.99, 1.0]


def split_params(strategy: str, train_share: float) -> Split:
    return make_params(split={"strategy": strategy, "pieces": 4, "train_share": train_share}).split


def collection(num_tracks: int = 300) -> pd.DataFrame:
    """Tracks of three genres by 60 artists who keep to one; some unknown, doubled, excluded."""
    rng = np.random.default_rng(0)
    artist = rng.choice(60, num_tracks, p=np.arange(1, 61) / 1830)
    sides = ["train", "train", "train", "validation", "test"]
    return pd.DataFrame(
        [
            {
                "track_id": f"t{number:05d}",
                "genre": GENRES[artist[number] % 3],
                "artist": None if number % 11 == 0 else f"artist {artist[number]}",
                "official_split": None if number % 17 == 0 else sides[artist[number] % 5],
                "duplicate_group": f"c{number // 2}" if number % 20 < 2 else None,
                "excluded": "silent" if number % 50 == 7 else None,
            }
            for number in range(num_tracks)
        ]
    ).astype(object)


def deal(tracks: pd.DataFrame, strategy: str, train_share: float, seed: int = 0) -> pd.DataFrame:
    return strategies.assign(tracks, params=split_params(strategy, train_share), seed=seed)


def trained(split: pd.DataFrame) -> set[str]:
    return set(split.loc[split["split"] == "train", "track_id"])


def test_a_smaller_share_lies_inside_a_larger_one(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection()
            kept = [trained(deal(tracks, strategy, share)) for share in SHARES]
            assert all(smaller <= larger for smaller, larger in pairwise(kept))
            assert len(set(map(len, kept))) >= len(SHARES) - 1  # 0.99 may round up to all


def test_only_training_rows_change_and_they_say_why(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        for share in [0.01, 0.5]:
            with subtests.test(strategy=strategy, share=share):
                tracks = collection()
                full, thinned = deal(tracks, strategy, 1.0), deal(tracks, strategy, share)
                changed = full["split"] != thinned["split"]
                assert set(full.loc[changed, "split"]) == {"train"}
                assert set(thinned.loc[changed, "split"]) == {"excluded"}
                assert set(thinned.loc[changed, "reason"]) == {"train_share"}
                pd.testing.assert_frame_equal(full[~changed], thinned[~changed])


def test_whoever_leaves_takes_the_artist_and_the_duplicates_along(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection()
            full, thinned = (trained(deal(tracks, strategy, share)) for share in (1.0, 0.4))
            training = tracks[tracks["track_id"].isin(full)]
            for column in ("artist", "duplicate_group"):
                kept = training["track_id"].isin(thinned).groupby(training[column]).nunique()
                assert len(kept) > 1 and kept.eq(1).all()


def test_every_genre_keeps_its_share_within_half_an_artist(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection().assign(duplicate_group=None)  # each group then is of one genre
            genre = tracks.set_index("track_id")["genre"]
            full = tracks[tracks["track_id"].isin(trained(deal(tracks, strategy, 1.0)))]
            sizes = pd.crosstab(identity.groups(full), full["genre"]).max()
            for share in SHARES:
                kept = Counter(genre[list(trained(deal(tracks, strategy, share)))])
                for name, num_tracks in Counter(full["genre"]).items():
                    assert kept[name] >= 1
                    assert abs(kept[name] - share * num_tracks) <= sizes[name] / 2 or kept[name] == 1


def test_the_whole_share_is_the_split_as_dealt(
    monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    # Nothing of it is even computed, and a share that rounds up to all comes to the same table.
    tracks = collection()
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy), monkeypatch.context() as patch:
            nearly = deal(tracks, strategy, 1 - 1e-12)
            patch.setattr(strategies, "shares", None)
            full = deal(tracks, strategy, 1.0)
            assert full.to_csv(index=False) == nearly.to_csv(index=False)
            assert "train_share" not in set(full["reason"])


def test_pieces_on_other_sides_stay_when_their_track_leaves_the_training() -> None:
    tracks = collection()
    full, thinned = deal(tracks, "segment", 1.0), deal(tracks, "segment", 0.3)
    left = trained(full) - trained(thinned)
    rows = thinned[thinned["track_id"].isin(left)]
    assert set(rows["split"]) == {"validation", "test", "excluded"}
    for side in ("validation", "test"):
        pieces = full[full["split"] == side][["track_id", "segment"]]
        assert thinned[thinned["split"] == side][["track_id", "segment"]].equals(pieces)
    # A row is a piece, and the metrics count rows that are excluded but tracks that are dealt.
    proof = leaks(thinned, tracks)
    assert proof["num_excluded"] == (thinned["split"] == "excluded").sum()
    assert proof["num_train"] == len(trained(thinned))
    assert proof["num_validation"] == leaks(full, tracks)["num_validation"]


def test_the_proof_is_of_the_tracks_that_are_left() -> None:
    tracks = collection()
    full, thinned = (leaks(deal(tracks, "random", share), tracks) for share in (1.0, 0.1))
    left_out = full["num_train"] - thinned["num_train"]
    assert thinned["num_excluded"] == full["num_excluded"] + left_out > 100
    assert 0 < thinned["shared_artists"] < full["shared_artists"] and thinned["leaky"] == 1
    assert leaks(deal(tracks, "artist", 0.1), tracks)["leaky"] == 0


def test_features_are_packed_and_normalised_without_what_is_left_out(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for strategy in ["artist", "segment"]:
        with subtests.test(strategy=strategy):
            tracks = collection(100)
            rng = np.random.default_rng(0)
            spectrograms = {track_id: rng.uniform(-80, 0, (8, 2)) for track_id in tracks["track_id"]}
            split = deal(tracks, strategy, 0.3)
            packed = packing.pack(
                write_mels(tmp_path / "mel.parquet", spectrograms),
                genre=tracks.set_index("track_id")["genre"],
                split=split,
                params=make_params().segments,
            )
            assert set(packed.index["track_id"]) == set(split.loc[split["split"] != "excluded", "track_id"])
            train = split[split["split"] == "train"]
            pieces = [  # two of eight frames each, or all of them; float16, as in mel.parquet
                spectrograms[row["track_id"]].astype(np.float16)[
                    slice(2 * row["segment"], 2 * row["segment"] + 2)
                    if strategy == "segment"
                    else slice(None)
                ]
                for row in train.to_dict("records")
            ]
            assert packed.description["mean"] == pytest.approx(np.mean(pieces, dtype=np.float64), abs=1e-3)
            test = segments.spans(packed.index, split, side="test", genres=packed.genres)
            assert set(test.track_ids) == set(split.loc[split["split"] == "test", "track_id"])


def test_another_seed_keeps_other_artists_of_the_same_training_side() -> None:
    tracks = collection()  # the official lists are the same for every seed
    one, other = (trained(deal(tracks, "official", 0.5, seed=seed)) for seed in (0, 1))
    assert one != other and one & other


def test_the_order_of_the_rows_does_not_matter() -> None:
    tracks = collection()
    shuffled = tracks.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(deal(tracks, "artist", 0.5), deal(shuffled, "artist", 0.5))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(GENRES), st.integers(0, 12)), min_size=1, max_size=60),
    seed=st.integers(0, 1000),
    share=st.floats(0, 1),
)
def test_whatever_the_groups_they_stay_whole_and_no_genre_dies(
    rows: list[tuple[str, int]], seed: int, share: float
) -> None:
    genre = np.array([name for name, _ in rows], dtype=object)
    group = np.unique([number for _, number in rows], return_inverse=True)[1]
    needed = thinning.shares(genre, group, np.random.default_rng(seed))
    assert all(len(set(needed[group == number])) == 1 for number in range(group.max() + 1))
    assert set(genre[needed <= share]) == set(genre)
    assert (needed < 1).all()


def test_tracks_by_nobody_known_meet_every_share_exactly() -> None:
    genre = np.repeat(np.array(GENRES, dtype=object), [40, 60, 100])
    needed = thinning.shares(genre, np.arange(200), np.random.default_rng(0))
    for share in (0.05, 0.2, 0.5, 0.85, 1.0):
        assert Counter(genre[needed <= share]) == {
            name: round(share * count) for name, count in zip(GENRES, (40, 60, 100), strict=True)
        }


def test_an_artist_who_is_half_a_genre_comes_after_the_others() -> None:
    for seed in range(5):
        # 35 tracks of GTZAN's reggae are one singer's: the first tenth of 70 are seven others instead.
        group = np.concatenate([np.zeros(35, int), np.arange(1, 36)])
        needed = thinning.shares(np.full(70, "reggae", dtype=object), group, np.random.default_rng(seed))
        assert (needed <= 0.1).sum() == 7 and needed[0] == pytest.approx(0.75)


def test_a_genre_of_one_artist_is_kept_whole_at_any_share() -> None:
    genre = np.array(["pop"] * 6 + ["rock"] * 6, dtype=object)
    group = np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    needed = thinning.shares(genre, group, np.random.default_rng(0))
    assert Counter(genre[needed <= 0.01]) == {"pop": 6, "rock": 1}
