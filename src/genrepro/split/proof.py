"""Check a split for leaks: count artists, duplicates and tracks that are on more than one side."""

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
