"""Stage evaluate: score the trained model on the test tracks, with confidence intervals.

    python -m stages.evaluate        params: dataset, evaluate
        -> metrics/test.json, metrics/per_genre.csv, metrics/predictions.csv

The metrics are also added to the MLflow run of the training.
"""

from pathlib import Path

import stages
from genrepro import evaluate, tracking
from genrepro.base import files, params, tables
from genrepro.exact import numerics
from genrepro.models.shared import checkpoint, inputs


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    packed = inputs.load(data / "features")
    split = tables.read_split(data / "split.csv")
    leaky = files.read_json(Path("metrics", "split.json"))["leaky"]
    numerics.use_torch(0)
    model, description = checkpoint.load(Path("models"), with_body=False)
    scores = evaluate.run(model, description, packed, split, params=config.evaluate)
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
        f"on {test['num_tracks']} tracks" + (", LEAKY" if leaky else "")
    )


if __name__ == "__main__":
    stages.run(main)
