"""How even is the dealing? The worst deviation of a genre's share of a side, over seeds.

    python benchmarks/splits.py [SEEDS]

GTZAN's table of artists lies in the package. The synthetic music is read from data/synthetic/catalog.parquet,
if `dvc repro catalog` has written it. Duplicates are left out: neither table knows them. "The least possible"
is what the largest artist of a genre forces on every dealing into folds: 35 of 100 reggae tracks are Bob
Marley's, and the fold that tests them holds at least 35 % of reggae where 20 % was asked for.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import stages  # noqa: F401 - first, since it pins instruction sets and threads before numpy loads

import numpy as np
import pandas as pd

from genrepro.base import params
from genrepro.base.params import Split
from genrepro.split import strategies
from genrepro.split.proof import worst_deviation

NUM_FOLDS = 5


def tables() -> Iterator[tuple[str, pd.DataFrame]]:
    gtzan = pd.read_csv("src/genrepro/datasets/tables/gtzan_tracks.csv", dtype="str")
    yield "GTZAN", gtzan.assign(genre=gtzan["track_id"].str.partition(".")[0])
    catalog = Path("data", "synthetic", "catalog.parquet")
    if catalog.exists():
        yield "synthetic", pd.read_parquet(catalog)


def least(tracks: pd.DataFrame) -> float:
    """What the largest artist alone forces on five folds."""
    alone = tracks["artist"].fillna(tracks["track_id"])
    share = tracks.groupby(["genre", alone]).size() / tracks.groupby("genre").size()
    return max(0.0, share.max() - 1 / NUM_FOLDS)


def deviations(tracks: pd.DataFrame, config: Split, seeds: int) -> np.ndarray:
    found = []
    for seed in range(seeds):
        for fold in range(max(1, config.folds)):
            one = dataclasses.replace(config, fold=fold)
            split = strategies.assign(tracks, params=one, seed=seed)
            found.append(worst_deviation(split, tracks, strategies.asked(one, split)))
    return np.array(found)


def main(seeds: int) -> None:
    figures = {}
    print(f"worst deviation in points over {seeds} seeds: median, worst")
    for name, tracks in tables():
        columns = ["track_id", "genre", "artist", "official_split"]
        tracks = tracks[columns].astype(object).where(tracks[columns].notna(), None)
        tracks = tracks.assign(duplicate_group=None, excluded=None)
        for folds in (0, NUM_FOLDS):
            config = dataclasses.replace(params.load().split, strategy="artist", folds=folds)
            points = 100 * deviations(tracks, config, seeds)
            kind = f"{folds} folds" if folds else "hold-out"
            note = f", the least possible in one of them {100 * least(tracks):.1f}" if folds else ""
            print(f"{name:10} {kind:9} {np.median(points):5.1f} {points.max():5.1f}{note}")
            figures[f"{name}, {kind}"] = {
                "median": round(float(np.median(points)), 2),
                "worst": round(float(points.max()), 2),
            }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
