"""Stage split: deal the tracks out to train, validation and test, and prove that nothing leaks.

python -m stages.split           params: dataset, seed, split
    -> data/<dataset>/split.csv, metrics/split.json
"""

from pathlib import Path

import pandas as pd

import stages
from genrepro.base import files, params, tables
from genrepro.base.errors import GenreproError
from genrepro.split import strategies
from genrepro.split.proof import leaks, worst_deviation


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    identity = tables.read(
        data / "catalog.parquet", tables.CATALOG, columns=["track_id", "genre", "artist", "official_split"]
    )
    findings = tables.read(
        data / "audit.parquet", tables.AUDIT, columns=["track_id", "duplicate_group", "excluded"]
    )
    tracks = identity.to_pandas().merge(findings.to_pandas(), on="track_id", validate="one_to_one")
    split = strategies.assign(tracks, params=config.split, seed=config.seed)
    proof = leaks(split, tracks)
    if proof["leaky"] and config.split.strategy == "artist":
        raise GenreproError(f"split: the artist split leaks: {proof}.")
    asked = strategies.asked(config.split, split)
    proof["worst_deviation"] = worst_deviation(split, tracks, asked)
    files.write_csv(
        data / "split.csv", list(split.columns), split.astype(object).where(split.notna(), None).to_numpy()
    )
    files.write_json(Path("metrics", "split.json"), proof)
    report(split, tracks, proof)


def report(split: pd.DataFrame, tracks: pd.DataFrame, proof: dict) -> None:
    """Print how many tracks each side has, and which tracks of an official list cannot be used."""
    print(", ".join(f"{key.removeprefix('num_')} {value}" for key, value in proof.items()))
    left_out = split.loc[split["reason"] == "train_share", "track_id"].nunique()
    if left_out:
        print(f"  {left_out} training tracks are left out: split.train_share")
    excluded = set(split.loc[split["split"] == "excluded", "track_id"])
    listed = tracks[tracks["official_split"].notna() & tracks["excluded"].notna()]
    for row in listed[listed["track_id"].isin(excluded)].itertuples():
        print(f"  {row.track_id} of the official {row.official_split} list cannot be used: {row.excluded}")


if __name__ == "__main__":
    stages.run(main)
