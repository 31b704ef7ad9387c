"""Check a split: count what is on more than one side, and measure how far genres are out of balance."""

from collections.abc import Mapping

import pandas as pd

from genrepro.exact.identity import artist_key, num_shared

SIDES = ("train", "validation", "test")


def leaks(split: pd.DataFrame, tracks: pd.DataFrame) -> dict[str, int | float]:
    """Count what is on more than one of train, validation and test.

    Parameters
    ----------
    split : DataFrame
        The result of `assign`, or read back from split.csv.
    tracks : DataFrame
        The tracks that were passed to `assign`.

    Returns
    -------
    dict
        The keys of metrics/split.json. Counts are of tracks, not of pieces. ``unknown_artist_share`` is the
        share of dealt tracks without a known artist, whose artist may be on several sides.
    """
    table = split[split["split"] != "excluded"].merge(tracks, on="track_id", validate="many_to_one")
    table["artist"] = table["artist"].map(artist_key)
    by_side = {side: int(table.loc[table["split"] == side, "track_id"].nunique()) for side in SIDES}
    shared = {
        f"shared_{plural}": num_shared(table, column)
        for plural, column in (
            ("artists", "artist"),
            ("duplicates", "duplicate_group"),
            ("tracks", "track_id"),
        )
    }
    unique = table.drop_duplicates("track_id")
    return {
        **{f"num_{side}": by_side[side] for side in SIDES},
        "num_excluded": int((split["split"] == "excluded").sum()),
        **shared,
        "unknown_artist_share": round(float(unique["artist"].isna().mean()), 6),
        "leaky": int(any(shared.values())),
    }


def worst_deviation(split: pd.DataFrame, tracks: pd.DataFrame, asked: Mapping[str, float]) -> float:
    """How far the worst-dealt genre is from what was asked for.

    Of every genre and side: the share of the genre's dealt tracks that is on the side, less the share asked
    for. The largest of these by absolute value, 0 .. 1, over all genres and all three sides.

    Parameters
    ----------
    split : DataFrame
        As `assign` returns it. Of strategy `segment` pieces count in place of tracks. Tracks that
        ``split.train_share`` leaves out count as train, from which they were taken.
    tracks : DataFrame
        Columns track_id and genre.
    asked : mapping
        Share of all tracks by side, as `strategies.asked` gives it.
    """
    side = split["split"].mask(split["reason"] == "train_share", "train")
    genre = split["track_id"].map(tracks.set_index("track_id")["genre"])
    dealt = side != "excluded"
    shares = pd.crosstab(genre[dealt], side[dealt], normalize="index").reindex(columns=SIDES, fill_value=0)
    return round(float((shares - pd.Series(asked)).abs().to_numpy().max()), 6)
