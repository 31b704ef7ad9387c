"""Stage probe: what kept embeddings say without training a network; layer and settings chosen on validation.

python -m stages.probe           params: dataset, seed, model, pretrained.pooling, evaluate.confidence
    -> metrics/probe.json, metrics/probe/layers.csv, metrics/probe/predictions.csv
"""

from pathlib import Path

import stages
from genrepro import models, probe
from genrepro.base import files, params, tables
from genrepro.exact import identity
from genrepro.models.shared import layers


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    tracks = tables.read(data / "catalog.parquet", tables.CATALOG, columns=["track_id", "genre", "artist"])
    clusters = tables.read(data / "audit.parquet", tables.AUDIT, columns=["track_id", "duplicate_group"])
    known = tracks.to_pandas()
    kept = data / "embeddings.parquet"
    summary, rows, predictions = probe.run(
        kept,
        tables.read_split(data / "split.csv"),
        genre=known.set_index("track_id")["genre"],
        group=identity.group_names(known.merge(clusters.to_pandas(), on="track_id", validate="one_to_one")),
        pooling=config.pretrained.pooling,
        seed=config.seed,
        confidence=config.evaluate.confidence,
    )
    leaky = files.read_json(Path("metrics", "split.json"))["leaky"]
    summary |= {
        "leaky": int(leaky or models.has_seen(config.architecture(), config.dataset)),
        "embeddings_sha256": layers.describe(kept)["sha256"],
        "split_sha256": files.sha256(data / "split.csv"),
    }
    for name, table in (("layers", rows), ("predictions", predictions)):
        files.write_csv(Path("metrics", "probe", f"{name}.csv"), list(table.columns), table.to_numpy(object))
    files.write_json(Path("metrics", "probe.json"), summary)
    for name in ("logistic", "logistic_refit", "neighbours", "few_shot"):
        found = summary[name]
        print(
            f"{name}: layer {found['layer']}, accuracy {found['accuracy']:.3f} "
            f"[{found['accuracy_low']:.3f}, {found['accuracy_high']:.3f}] on {summary['num_tracks']} tracks "
            f"of {summary['num_groups']} artists"
        )


if __name__ == "__main__":
    stages.run(main)
