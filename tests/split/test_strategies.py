"""Claims about splits: whoever must stay together does, and the proof finds everyone who does not."""

import dataclasses
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import GENRES, make_params

from genrepro.base.errors import GenreproError
from genrepro.base.params import Split
from genrepro.exact import identity, streams
from genrepro.split import strategies
from genrepro.split.proof import leaks, worst_deviation

pytestmark = [
    pytest.mark.filterwarnings("ignore:The least populated class"),  # scikit-learn's word about a rare genre
    pytest.mark.filterwarnings("ignore:Length of split at index"),  # torch's about an empty side
]
SIDES = ["train", "validation", "test"]
STRATEGIES = ["artist", "official", "stratified", "random", "segment"]


def shares(strategy: str, **changes: float) -> Split:
    return make_params(
        split={
            "strategy": strategy,
            "train": 0.6,
            "validation": 0.2,
            "test": 0.2,
            "pieces": 4,
            **changes,
        }
    ).split


def collection(num_tracks: int, *, num_artists: int = 30, num_excluded: int = 0) -> pd.DataFrame:
    """Tracks of three genres by artists who keep to one, every tenth by nobody known, all on a list."""
    return pd.DataFrame(
        [
            {
                "track_id": f"t{number:05d}",
                "genre": GENRES[number % 3],
                "artist": None if number % 10 == 9 else f"artist {number % num_artists}",
                "official_split": SIDES[number % num_artists % 5 % 3] if number % 10 != 9 else None,
                "duplicate_group": None,
                "excluded": "silent" if number < num_excluded else None,
            }
            for number in range(num_tracks)
        ]
    ).astype(object)


def sides_of(split: pd.DataFrame) -> dict[str, str]:
    return dict(zip(split["track_id"], split["split"], strict=True))


def refusal(tracks: pd.DataFrame, params: Split) -> str:
    with pytest.raises(GenreproError) as caught:
        strategies.assign(tracks, params=params, seed=0)
    message = str(caught.value)
    assert message.startswith("split: ") and "\n" not in message
    return message


@st.composite
def collections(draw: st.DrawFn, min_size: int) -> pd.DataFrame:
    """Tracks whose artists, duplicates and exclusions cut across genres and each other in any way."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(GENRES),
                st.one_of(st.none(), st.integers(0, 25)),
                st.one_of(st.none(), st.none(), st.integers(0, 5)),
                st.sampled_from([None, None, None, None, "silent"]),
            ),
            min_size=min_size,
            max_size=90,
        )
    )
    return pd.DataFrame(
        [
            {
                "track_id": f"t{number:05d}",
                "genre": genre,
                "artist": None if artist is None else f"Artist {artist}",
                "official_split": None,
                "duplicate_group": None if cluster is None else f"c{cluster}",
                "excluded": excluded,
            }
            for number, (genre, artist, cluster, excluded) in enumerate(rows)
        ]
    ).astype(object)


@settings(max_examples=40, deadline=None)
@given(tracks=collections(min_size=30), seed=st.integers(0, 1000))
def test_artists_and_duplicates_never_cross_the_border(tracks: pd.DataFrame, seed: int) -> None:
    try:
        split = strategies.assign(tracks, params=shares("artist"), seed=seed)
    except GenreproError:
        return  # no such split may exist; what is dealt must be clean
    dealt = tracks.assign(side=split["split"]).query("side != 'excluded'")
    assert dealt.dropna(subset="artist").groupby("artist")["side"].nunique().eq(1).all()
    assert dealt.dropna(subset="duplicate_group").groupby("duplicate_group")["side"].nunique().eq(1).all()
    assert leaks(split, tracks)["leaky"] == 0


@settings(max_examples=20, deadline=None)
@given(tracks=collections(min_size=1), seed=st.integers(0, 1000), strategy=st.sampled_from(STRATEGIES))
def test_nobody_gets_lost_or_dealt_twice(tracks: pd.DataFrame, seed: int, strategy: str) -> None:
    tracks["official_split"] = [SIDES[number % 3] for number in range(len(tracks))]
    try:
        split = strategies.assign(tracks, params=shares(strategy), seed=seed)
    except GenreproError:
        return
    rows = ["track_id", "segment"] if strategy == "segment" else ["track_id"]
    assert not split.duplicated(rows).any()
    assert set(split["track_id"]) == set(tracks["track_id"])
    left_out = split[split["split"] == "excluded"].set_index("track_id")["reason"].to_dict()
    assert left_out == tracks.dropna(subset="excluded").set_index("track_id")["excluded"].to_dict()


def test_an_honest_split_of_a_healthy_collection_exists() -> None:
    # Without this, the properties above could hold because every split is refused.
    tracks = collection(300)
    proof = leaks(strategies.assign(tracks, params=shares("artist"), seed=0), tracks)
    assert [proof[f"num_{side}"] for side in SIDES] == pytest.approx([180, 60, 60], abs=15)
    assert (proof["shared_artists"], proof["shared_duplicates"], proof["leaky"]) == (0, 0, 0)


def test_genres_keep_their_proportion_when_artists_stay_whole() -> None:
    tracks = collection(300)
    split = strategies.assign(tracks, params=shares("artist"), seed=0)
    of_test = Counter(tracks["genre"][split["split"] == "test"])
    assert all(count == pytest.approx(20, abs=8) for count in of_test.values()) and len(of_test) == 3


def test_an_artist_with_tracks_in_two_genres_and_a_duplicate_elsewhere_is_one_group() -> None:
    tracks = pd.DataFrame(
        {
            "artist": ["Nina", "nina ", "Bob", None, None, "Eve"],
            "duplicate_group": [None, "c1", "c1", "c1", None, None],
        },
        dtype=object,
    )
    group = identity.groups(tracks)
    assert len(set(group[:4])) == 1 and len(set(group)) == 3


def test_tracks_without_artist_are_groups_of_their_own() -> None:
    tracks = pd.DataFrame({"artist": [None] * 4, "duplicate_group": [None] * 4}, dtype=object)
    assert len(set(identity.groups(tracks))) == 4


def test_every_strategy_goes_through_the_same_proof(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection(300, num_excluded=7)
            split = strategies.assign(tracks, params=shares(strategy), seed=0)
            proof = leaks(split, tracks)
            by_side = split.groupby("split")["track_id"].nunique()
            assert {side: proof[f"num_{side}"] for side in [*SIDES, "excluded"]} == by_side.to_dict()
            crossing = split[split["split"] != "excluded"].groupby("track_id")["split"].nunique().gt(1).sum()
            assert proof["shared_tracks"] == crossing
            assert proof["leaky"] == int(
                any(proof[f"shared_{what}"] for what in ("artists", "duplicates", "tracks"))
            )


def test_splits_that_ignore_artists_are_called_leaky(subtests: pytest.Subtests) -> None:
    for strategy in ["stratified", "random", "segment"]:
        with subtests.test(strategy=strategy):
            tracks = collection(300)
            proof = leaks(strategies.assign(tracks, params=shares(strategy), seed=0), tracks)
            assert proof["leaky"] == 1 and proof["shared_artists"] > 0


def test_the_same_seed_gives_the_same_split(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            first, again = (
                strategies.assign(collection(300), params=shares(strategy), seed=3) for _ in range(2)
            )
            pd.testing.assert_frame_equal(first, again)


def test_another_seed_gives_another_split(subtests: pytest.Subtests) -> None:
    for strategy in ["artist", "stratified", "random", "segment"]:
        with subtests.test(strategy=strategy):
            one, other = (
                strategies.assign(collection(300), params=shares(strategy), seed=seed) for seed in (0, 1)
            )
            assert not one["split"].equals(other["split"])


def test_the_order_of_the_rows_does_not_matter(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection(300, num_excluded=7)
            shuffled = tracks.sample(frac=1, random_state=0)
            pd.testing.assert_frame_equal(
                strategies.assign(tracks, params=shares(strategy), seed=0),
                strategies.assign(shuffled, params=shares(strategy), seed=0),
            )


def test_random_is_torchs_random_split_of_the_999_pictures() -> None:
    tracks = collection(1000, num_excluded=1)
    split = strategies.assign(tracks, params=shares("random"), seed=5)
    assert Counter(split["split"]) == {"train": 800, "validation": 100, "test": 99, "excluded": 1}
    generator = torch.Generator().manual_seed(streams.integer(5, "split.random"))
    usable = tracks["track_id"][1:].tolist()
    parts = torch.utils.data.random_split(usable, [0.8, 0.1, 0.1], generator)  # type: ignore[arg-type]
    expected = {track_id: side for side, part in zip(SIDES, parts, strict=True) for track_id in part}
    assert {**expected, "t00000": "excluded"} == sides_of(split)


def test_stratified_keeps_the_proportions_of_genres() -> None:
    tracks = collection(200)
    tracks["genre"] = ["blues"] * 100 + ["jazz"] * 60 + ["rock"] * 40
    split = strategies.assign(tracks, params=shares("stratified"), seed=0)
    table = pd.crosstab(tracks["genre"], split["split"])
    assert table[SIDES].to_numpy().tolist() == [[60, 20, 20], [36, 12, 12], [24, 8, 8]]


def test_segment_puts_pieces_of_one_track_on_both_sides() -> None:
    tracks = collection(100)
    split = strategies.assign(tracks, params=shares("segment", pieces=6), seed=0)
    assert split.groupby("track_id")["segment"].apply(list).map(lambda pieces: pieces == [*range(6)]).all()
    counts = Counter(split["split"])
    assert [counts[side] for side in SIDES] == [360, 120, 120]
    assert leaks(split, tracks)["shared_tracks"] > 50


def test_official_follows_the_lists_and_says_who_is_on_none() -> None:
    tracks = collection(300, num_excluded=7)
    split = strategies.assign(tracks, params=shares("official"), seed=0).set_index("track_id")
    for row in tracks.itertuples():
        if pd.notna(row.excluded):
            expected = ("excluded", "silent")
        elif pd.notna(row.official_split):
            expected = (row.official_split, None)
        else:
            expected = ("excluded", "not_in_official_split")
        side, reason = split.loc[row.track_id, ["split", "reason"]]
        assert (side, None if pd.isna(reason) else reason) == expected


def test_the_seed_cannot_move_an_official_split() -> None:
    one, other = (strategies.assign(collection(300), params=shares("official"), seed=seed) for seed in (0, 1))
    pd.testing.assert_frame_equal(one, other)


def test_without_lists_there_is_no_official_split() -> None:
    assert "has no official split" in refusal(collection(90).assign(official_split=None), shares("official"))


def test_a_collection_that_the_audit_excludes_is_refused(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            assert "excludes every track" in refusal(collection(90, num_excluded=90), shares(strategy))


def test_a_genre_whose_tracks_are_all_excluded_is_named(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            tracks = collection(300)
            tracks.loc[tracks["genre"] == "jazz", "excluded"] = "silent"
            assert "no training track for the genre jazz" in refusal(tracks, shares(strategy))


def test_a_genre_that_only_tests_is_named() -> None:
    tracks = collection(300)
    tracks.loc[tracks["genre"] == "rock", "official_split"] = "test"
    assert "no training track for the genre rock" in refusal(tracks, shares("official"))


def test_an_official_split_without_a_side_is_refused() -> None:
    tracks = collection(300)
    tracks.loc[tracks["official_split"] == "validation", "official_split"] = "train"
    assert "no track at all is left for validation" in refusal(tracks, shares("official"))


def test_a_collection_of_one_artist_is_refused() -> None:
    message = refusal(collection(90).assign(artist="artist 0"), shares("artist"))
    assert "90 tracks by 1 artist cannot be dealt" in message


def test_genres_of_one_artist_each_are_refused() -> None:
    # Whoever keeps artists whole cannot both train and test such a genre.
    tracks = collection(90)
    assert "no training track for the genre" in refusal(
        tracks.assign(artist=tracks["genre"]), shares("artist")
    )


def test_too_few_tracks_are_refused_with_a_sentence(subtests: pytest.Subtests) -> None:
    for num_tracks in [1, 2, 3]:
        for strategy in ["artist", "stratified", "random"]:
            with subtests.test(strategy=strategy, num_tracks=num_tracks):
                refusal(collection(num_tracks), shares(strategy))


def clean() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A split that nothing crosses, and its tracks: two by each artist, unless somebody plants a leak."""
    tracks = collection(24).assign(
        artist=[f"artist {number // 2}" for number in range(24)],
        duplicate_group=[f"c{number // 2}" if number < 4 else None for number in range(24)],
    )
    side = [SIDES[number // 2 % 3] for number in range(24)]
    return tracks[["track_id"]].assign(split=side, reason=None), tracks


def test_the_proof_calls_a_clean_split_clean() -> None:
    proof = leaks(*clean())
    assert proof == {
        "num_train": 8,
        "num_validation": 8,
        "num_test": 8,
        "num_excluded": 0,
        "shared_artists": 0,
        "shared_duplicates": 0,
        "shared_tracks": 0,
        "unknown_artist_share": 0.0,
        "leaky": 0,
    }


def test_the_proof_finds_one_shared_artist(subtests: pytest.Subtests) -> None:
    for spelling in ["artist 0", "ARTIST 0", " artist   0 ", "Artist\t0"]:
        with subtests.test(spelling=spelling):
            split, tracks = clean()
            tracks.loc[23, "artist"] = spelling
            proof = leaks(split, tracks)
            assert (proof["shared_artists"], proof["shared_duplicates"], proof["leaky"]) == (1, 0, 1)


def test_the_proof_finds_one_shared_duplicate() -> None:
    split, tracks = clean()
    tracks.loc[23, "duplicate_group"] = "c0"
    proof = leaks(split, tracks)
    assert (proof["shared_artists"], proof["shared_duplicates"], proof["leaky"]) == (0, 1, 1)


def test_the_proof_finds_one_track_on_two_sides() -> None:
    split, tracks = clean()
    tracks.loc[4, ["artist", "duplicate_group"]] = None
    extra = pd.DataFrame([{"track_id": "t00004", "split": "train", "reason": None}])
    proof = leaks(pd.concat([split, extra], ignore_index=True), tracks)
    assert (proof["shared_tracks"], proof["shared_artists"], proof["leaky"]) == (1, 0, 1)


def test_who_is_excluded_cannot_leak() -> None:
    split, tracks = clean()
    tracks.loc[23, "artist"] = "artist 0"
    split.loc[23, "split"] = "excluded"
    proof = leaks(split, tracks)
    assert (proof["leaky"], proof["num_excluded"]) == (0, 1)


def test_unknown_artists_are_counted_and_not_compared() -> None:
    split, tracks = clean()
    tracks.loc[:5, "artist"] = None
    proof = leaks(split, tracks)
    assert (proof["shared_artists"], proof["unknown_artist_share"]) == (0, 0.25)


def test_a_split_depends_on_identity_and_labels_alone(subtests: pytest.Subtests) -> None:
    for strategy in ["artist", "stratified", "random", "segment"]:
        with subtests.test(strategy=strategy):
            tracks = collection(300)
            rng = np.random.default_rng(0)
            more = tracks.assign(official_split=None, duration=rng.uniform(size=300), title="changed")
            pd.testing.assert_frame_equal(
                strategies.assign(tracks, params=shares(strategy), seed=0),
                strategies.assign(more, params=shares(strategy), seed=0),
            )


def test_a_collection_of_one_genre_is_refused(subtests: pytest.Subtests) -> None:
    for strategy in STRATEGIES:
        with subtests.test(strategy=strategy):
            alone = collection(60).assign(genre="jazz")
            assert "every usable track is of the genre 'jazz'" in refusal(alone, shares(strategy))
            left = collection(60)
            left.loc[left["genre"] != "jazz", "excluded"] = "silent"
            assert "every usable track is of the genre 'jazz'" in refusal(left, shares(strategy))


def test_one_artist_is_no_plural() -> None:
    assert "12 tracks by 1 artist cannot" in refusal(collection(12).assign(artist="Ann"), shares("artist"))


# ----------------------------------------------------------------------------------------------------
# Folds


def every_fold(tracks: pd.DataFrame, params: Split, *, seed: int = 0) -> list[pd.DataFrame]:
    """The split of every fold."""
    return [
        strategies.assign(tracks, params=dataclasses.replace(params, fold=fold), seed=seed)
        for fold in range(params.folds)
    ]


@settings(max_examples=25, deadline=None)
@given(
    tracks=collections(min_size=30),
    seed=st.integers(0, 1000),
    num_folds=st.integers(2, 6),
    strategy=st.sampled_from(["artist", "official", "stratified"]),
)
def test_over_the_folds_every_track_is_tested_once_and_no_group_crosses(
    tracks: pd.DataFrame, seed: int, num_folds: int, strategy: str
) -> None:
    tracks["official_split"] = [[*SIDES, None][number % 4] for number in range(len(tracks))]
    try:
        splits = every_fold(tracks, shares(strategy, folds=num_folds), seed=seed)
    except GenreproError:
        return  # so few artists, or a genre that one artist fills
    usable = tracks[tracks["excluded"].isna()]
    if strategy == "official":
        usable = usable[usable["official_split"].isin(["train", "validation"])]
    times = Counter(track for split in splits for track in split["track_id"][split["split"] == "test"])
    assert times == dict.fromkeys(usable["track_id"], 1)
    for split in splits:
        assert set(split["track_id"]) == set(tracks["track_id"])
        assert set(split["track_id"][split["split"] != "excluded"]) == set(usable["track_id"])
        assert strategy == "stratified" or leaks(split, tracks)["leaky"] == 0


@pytest.mark.parametrize("strategy", ["artist", "official", "stratified"])
def test_folds_of_a_healthy_collection_exist_and_are_even(strategy: str) -> None:
    tracks = collection(300)
    params = shares(strategy, folds=5)
    splits = every_fold(tracks, params)
    sizes = [Counter(split["split"]) for split in splits]
    num_tested = sum(size["test"] for size in sizes)
    assert num_tested == (300 if strategy != "official" else sum(tracks["official_split"].isin(SIDES[:2])))
    for size, split in zip(sizes, splits, strict=True):
        assert size["test"] == pytest.approx(num_tested / 5, rel=0.2)
        assert size["validation"] == pytest.approx(num_tested / 5, rel=0.3)
        assert worst_deviation(split, tracks, strategies.asked(params, split)) < 0.12


def test_another_seed_deals_other_folds_and_every_model_gets_the_same() -> None:
    tracks = collection(300)
    params = shares("artist", folds=5)
    first, again, other = (every_fold(tracks, params, seed=seed)[0] for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert set(first["track_id"][first["split"] == "test"]) != set(
        other["track_id"][other["split"] == "test"]
    )


def test_the_official_test_tracks_stay_out_of_every_fold() -> None:
    tracks = collection(300)
    for split in every_fold(tracks, shares("official", folds=3)):
        official = split["split"][(tracks["official_split"] == "test").to_numpy()]
        assert set(official) == {"excluded"}
        assert Counter(split["reason"].dropna()) == Counter(
            official_test=len(official), not_in_official_split=int(tracks["official_split"].isna().sum())
        )


@pytest.mark.parametrize("strategy", ["artist", "stratified"])
def test_more_folds_than_artists_or_tracks_are_one_sentence(strategy: str) -> None:
    said = refusal(collection(27, num_artists=3), shares(strategy, folds=28))
    assert "cannot be dealt into 28 folds" in said


# ----------------------------------------------------------------------------------------------------
# Balance


def deviation(sides: str, **changes: float) -> float:
    """Of ten tracks, five a genre, on the sides that letters name."""
    names = {"t": "train", "v": "validation", "e": "test", "x": "excluded"}
    tracks = pd.DataFrame({"track_id": [f"{n}" for n in range(10)], "genre": ["blues"] * 5 + ["jazz"] * 5})
    split = tracks[["track_id"]].assign(split=[names[side] for side in sides], reason=None)
    return worst_deviation(split, tracks, strategies.asked(shares("artist", **changes), split))


def test_the_worst_deviation_is_of_the_genre_and_side_that_are_furthest_off() -> None:
    assert deviation("tttvetttve") == 0
    assert deviation("tttvettvve") == pytest.approx(0.2)  # jazz: two fifths of train in place of three
    assert deviation("tttvetttvv") == pytest.approx(0.2)  # jazz has no test track
    assert deviation("tttveeeeee") == pytest.approx(0.8)
    assert deviation("tttvxtttve") == pytest.approx(0.2)  # four are dealt: none of them is tested


def test_tracks_that_a_learning_curve_leaves_out_are_no_imbalance() -> None:
    tracks = collection(300)
    whole, part = (
        worst_deviation(split, tracks, strategies.asked(params, split))
        for params in (shares("artist"), shares("artist", train_share=0.3))
        for split in [strategies.assign(tracks, params=params, seed=0)]
    )
    assert whole == part
