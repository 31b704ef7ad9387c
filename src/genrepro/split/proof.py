"""The leak check that every split runs through: what stands on more than one side."""

import pandas as pd

from genrepro.exact.identity import artist_key, num_shared

SIDES = ("train", "validation", "test")


def leaks(split: pd.DataFrame, tracks: pd.DataFrame) -> dict[str, int | float]:
    """Prove or disprove that a split is clean: what stands on more than one of train, validation and test.

    Parameters
    ----------
    split : DataFrame
        As `assign` returns it, or read back from split.csv.
    tracks : DataFrame
        As `assign` takes it.

    Returns
    -------
    dict
        The keys of metrics/split.json. Track counts are of tracks, not of pieces; ``unknown_artist_share``
        is the share of dealt tracks of which nobody can say whether their artist is on both sides.
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
