"""Stage evaluate: score the trained model on the test tracks, with confidence intervals.

python -m stages.evaluate        params: dataset, evaluate
    -> metrics/test.json, metrics/per_genre.csv, metrics/predictions.csv
"""

from pathlib import Path

import stages
from genrepro import tracking
from genrepro.base import process


def main() -> None:
    tracking.prepare()  # MLflow is imported while all this is
    with process.importing():
        import torch  # noqa: F401 - what loads the model needs it

        from genrepro import evaluate, models
        from genrepro.base import files, params, tables
        from genrepro.exact import identity, numerics
        from genrepro.models.shared import checkpoint, inputs

    config = params.load()
    data = Path("data", config.dataset)
    packed = inputs.load(data / "features")
    split = tables.read_split(data / "split.csv")
    leaky = files.read_json(Path("metrics", "split.json"))["leaky"]
    numerics.use_torch(0)
    model, description = checkpoint.load(Path("models"), with_body=False)
    tracks = tables.read(data / "catalog.parquet", tables.CATALOG, columns=["track_id", "artist"])
    clusters = tables.read(data / "audit.parquet", tables.AUDIT, columns=["track_id", "duplicate_group"])
    group = identity.group_names(
        tracks.to_pandas().merge(clusters.to_pandas(), on="track_id", validate="one_to_one")
    )
    scores = evaluate.run(model, description, packed, split, group=group, params=config.evaluate)
    leaky = int(leaky or models.has_seen(description[config.model], config.dataset))
    test = {**scores.test, "leaky": leaky}
    files.write_csv(
        Path("metrics", "per_genre.csv"), scores.per_genre.columns.tolist(), scores.per_genre.to_numpy()
    )
    files.write_csv(
        Path("metrics", "predictions.csv"), scores.predictions.columns.tolist(), scores.predictions.to_numpy()
    )
    files.write_json(Path("metrics", "test.json"), test)
    tracking.log_evaluation(config, description, test)
    print(
        f"accuracy {test['accuracy']:.3f} [{test['accuracy_low']:.3f}, {test['accuracy_high']:.3f}] "
        f"on {test['num_tracks']} tracks of {test['num_groups']} artists" + (", LEAKY" if leaky else "")
    )


if __name__ == "__main__":
    stages.run(main)
