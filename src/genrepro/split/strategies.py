"""Deal tracks out to train, validation and test by one of five strategies.

A split depends only on identity and labels. The default is `artist`: artists and duplicate clusters stay
whole, so that a model cannot score by recognising a voice, a studio or the same recording. The other
strategies are those of the literature, to measure by how much they inflate scores:

official    the data set's own lists (for GTZAN the fault-filtered ones)
stratified  scikit-learn's train_test_split over tracks, stratified by genre
random      torch.random_split over tracks, as in the ViT report
segment     pieces of one track may be on several sides, which is wrong on purpose

With `split.folds`, artist, official and stratified test one fold of a cross-validation (`folds`) instead of
one hold-out. Official then deals out the tracks of its training and validation lists by artist, and excludes
its own test tracks.

For a learning curve, `split.train_share` below 1 takes whole artists out of train. No other track moves.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Split
from genrepro.exact.identity import groups
from genrepro.exact.streams import generator, integer
from genrepro.split import folds
from genrepro.split.proof import SIDES
from genrepro.split.thinning import shares

RANDOM_SHARES = (
    0.8,
    0.1,
    0.1,
)  # the ViT report's: 800/100/99 of 999; other strategies take theirs from params


def assign(tracks: pd.DataFrame, *, params: Split, seed: int) -> pd.DataFrame:
    """Deal out tracks.

    Parameters
    ----------
    tracks : DataFrame
        Columns track_id, genre, artist, official_split, duplicate_group, excluded. The order of rows does not
        matter.
    params : Split
        Strategy and shares.
    seed : int
        The experiment's seed.

    Returns
    -------
    DataFrame
        Columns track_id, split (train, validation, test, excluded) and reason (why excluded, else null),
        sorted. Strategy `segment` gives each piece a row of its own and its number, from 0, in ``segment``.
        Training rows that `split.train_share` leaves out are excluded with the reason ``train_share``.

    Raises
    ------
    GenreproError
        If no split of this kind exists for these tracks, or a genre would have no training track.
    """
    tracks = tracks.sort_values("track_id", ignore_index=True)
    usable = tracks[tracks["excluded"].isna()].reset_index(drop=True)
    if usable.empty:
        raise GenreproError(
            "split: the audit excludes every track; see metrics/audit.json and audit.exclude."
        )
    if usable["genre"].nunique() == 1:
        raise GenreproError(
            f"split: every usable track is of the genre {usable['genre'].iloc[0]!r}, and a model needs two "
            "to tell apart: add tracks of another, or name the folder above with `source`."
        )
    dealt = _STRATEGIES[params.strategy](usable, params, seed)
    if params.train_share < 1:
        dealt = _thinned(dealt, usable, params.train_share, seed)
    excluded = tracks.loc[tracks["excluded"].notna(), ["track_id", "excluded"]]
    excluded = excluded.rename(columns={"excluded": "reason"}).assign(split="excluded")
    table = pd.concat([dealt, excluded], ignore_index=True)
    order = ["track_id", "segment"] if "segment" in table else ["track_id"]
    table = table.sort_values(order, ignore_index=True)
    _check_genres(table, tracks)
    columns = ["track_id", *order[1:], "split", "reason"]
    if "segment" in table:
        table["segment"] = table["segment"].astype("Int64")
    return table.reindex(columns=columns)


def asked(params: Split, split: pd.DataFrame) -> dict[str, float]:
    """The share of all tracks that each side was to have.

    With folds the test side has one of them. The official lists ask for what they hold: there ``split``, the
    result of `assign`, says each side's share of all genres together.
    """
    if params.strategy == "random":
        return dict(zip(SIDES, RANDOM_SHARES, strict=True))
    if params.strategy == "official" and not params.folds:
        side = split["split"].mask(split["reason"] == "train_share", "train")
        return {name: float((side[side != "excluded"] == name).mean()) for name in SIDES}
    test = 1 / params.folds if params.folds else params.test
    rest = (1 - test) / (params.train + params.validation)
    return {"train": params.train * rest, "validation": params.validation * rest, "test": test}


def _artist(tracks: pd.DataFrame, params: Split, seed: int) -> pd.DataFrame:
    """Two rounds of StratifiedGroupKFold: one fold is the test side, then one of the rest is validation."""
    genre, group = tracks["genre"].to_numpy(), groups(tracks)
    if params.folds:
        dealt = folds.of_groups(genre, group, num_folds=params.folds, seed=seed)
        test = np.flatnonzero(dealt == params.fold)
    else:
        test = _fold(genre, group, share=params.test, seed=integer(seed, "split.test"))
    rest = np.setdiff1d(np.arange(len(tracks)), test)
    share = params.validation / (params.train + params.validation)
    validation = rest[_fold(genre[rest], group[rest], share=share, seed=integer(seed, "split.validation"))]
    side = np.full(len(tracks), "train", dtype=object)
    side[validation], side[test] = "validation", "test"
    return tracks[["track_id"]].assign(split=side)


def _fold(genre: np.ndarray, group: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """Positions of one fold of about ``share`` of the tracks, groups whole, genres in proportion."""
    from sklearn.model_selection import StratifiedGroupKFold

    num_groups = len(np.unique(group))
    # There cannot be more folds than tracks of a genre, or groups. A very small set thus gets larger shares.
    num_folds = min(round(1 / share), max(Counter(genre).values()), num_groups)
    if num_folds < 2:
        raise GenreproError(
            f"split: {len(genre)} tracks by {num_groups} artist{'s' if num_groups != 1 else ''} cannot be "
            "dealt out; use more tracks, larger shares, or another split.strategy."
        )
    rounds = StratifiedGroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    with (
        warnings.catch_warnings()
    ):  # about genres with fewer tracks than folds; the best fold is chosen below
        warnings.simplefilter("ignore", UserWarning)
        candidates = [fold for _, fold in rounds.split(np.zeros(len(genre)), genre, group)]
    wanted = {name: count * share for name, count in Counter(genre).items()}

    def distance(fold: np.ndarray) -> float:
        have = Counter(genre[fold])
        return sum((have[name] - count) ** 2 for name, count in wanted.items())

    return min(candidates, key=distance)


def _official(tracks: pd.DataFrame, params: Split, seed: int) -> pd.DataFrame:
    if tracks["official_split"].isna().all():
        raise GenreproError("split: this data set has no official split; choose another split.strategy.")
    listed = tracks["official_split"].notna()
    sides = tracks["official_split"].where(listed, "excluded")
    reason = pd.Series(np.where(listed, None, "not_in_official_split"))  # type: ignore[call-overload]
    if params.folds:
        ours = sides.isin(["train", "validation"])
        dealt = _artist(tracks[ours].reset_index(drop=True), params, seed)
        sides = sides.where(ours, "excluded").mask(
            ours, pd.Series(dealt["split"].to_numpy(), ours[ours].index)
        )
        reason = reason.mask(tracks["official_split"] == "test", "official_test")
    return tracks[["track_id"]].assign(split=sides, reason=reason)


def _stratified(tracks: pd.DataFrame, params: Split, seed: int) -> pd.DataFrame:
    from sklearn.model_selection import train_test_split

    try:
        if params.folds:
            dealt = folds.of_tracks(tracks["genre"].to_numpy(), num_folds=params.folds, seed=seed)
            rest, test = tracks[dealt != params.fold], tracks[dealt == params.fold]
        else:
            rest, test = train_test_split(
                tracks,
                test_size=params.test,
                stratify=tracks["genre"],
                random_state=integer(seed, "split.test"),
            )
        train, validation = train_test_split(
            rest,
            test_size=params.validation / (params.train + params.validation),
            stratify=rest["genre"],
            random_state=integer(seed, "split.validation"),
        )
    except ValueError as error:
        raise GenreproError(f"split: too few tracks to stratify by genre: {error}") from error
    sides = zip(SIDES, (train, validation, test), strict=True)
    return pd.concat([part[["track_id"]].assign(split=side) for side, part in sides])


def _random(tracks: pd.DataFrame, params: Split, seed: int) -> pd.DataFrame:
    return tracks[["track_id"]].assign(split=_random_sides(len(tracks), RANDOM_SHARES, seed))


def _segment(tracks: pd.DataFrame, params: Split, seed: int) -> pd.DataFrame:
    pieces = tracks.loc[tracks.index.repeat(params.pieces), ["track_id"]]
    pieces["segment"] = np.tile(np.arange(params.pieces), len(tracks))
    shares = (params.train, params.validation, params.test)
    return pieces.assign(split=_random_sides(len(pieces), shares, seed))


def _random_sides(num_items: int, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    import torch

    generator = torch.Generator().manual_seed(integer(seed, "split.random"))
    items: Any = range(num_items)  # random_split wants a Dataset, and a range does
    parts = torch.utils.data.random_split(items, shares, generator)
    side = np.empty(num_items, dtype=object)
    for name, part in zip(SIDES, parts, strict=True):
        side[list(part.indices)] = name
    return side


_STRATEGIES: dict[str, Callable[[pd.DataFrame, Split, int], pd.DataFrame]] = {
    "artist": _artist,
    "official": _official,
    "stratified": _stratified,
    "random": _random,
    "segment": _segment,
}


def _thinned(dealt: pd.DataFrame, tracks: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Exclude training rows of whole groups, so that about ``share`` of the training tracks remain."""
    in_training = dealt["split"] == "train"
    training = tracks[tracks["track_id"].isin(dealt.loc[in_training, "track_id"])]
    if training.empty:
        return dealt  # `_check_genres` says so
    needed = shares(training["genre"].to_numpy(), groups(training), generator(seed, "split.train_share"))
    left_out = in_training & dealt["track_id"].isin(training.loc[needed > share, "track_id"])
    reason = dealt["reason"] if "reason" in dealt else pd.Series(None, index=dealt.index, dtype=object)
    return dealt.assign(
        split=dealt["split"].mask(left_out, "excluded"), reason=reason.mask(left_out, "train_share")
    )


def _check_genres(split: pd.DataFrame, tracks: pd.DataFrame) -> None:
    genre = split["track_id"].map(tracks.set_index("track_id")["genre"])
    for side in SIDES:
        if not (split["split"] == side).any():
            raise GenreproError(
                f"split: no track at all is left for {side}; use more tracks or another split."
            )
    without = sorted(set(tracks["genre"]) - set(genre[split["split"] == "train"]))
    if without:
        raise GenreproError(f"split: no training track for the genre {', '.join(without)}; use more tracks.")
