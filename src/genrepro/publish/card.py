"""The model card: huggingface_hub's ModelCard with evaluation results, their interval, and the limits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genrepro.publish.licences import Licence
from genrepro.serve import worth as worths

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

_SCORES = {
    "accuracy": "accuracy of voted predictions on the test tracks",
    "accuracy_low": "lower end of its 95 % interval, over groups of tracks",
    "accuracy_high": "upper end of its 95 % interval, over groups of tracks",
    "macro_f1": "F1 score, mean over the genres",
    "log_loss": "log loss",
    "calibration_error": "expected calibration error",
}
_TYPES = {"accuracy": "accuracy", "macro_f1": "f1"}


def model_card(
    description: Mapping[str, Any], *, scores: Mapping[str, Any], worth: Mapping[str, str], licence: Licence
) -> "ModelCard":
    """The card of a model.

    Parameters
    ----------
    description : mapping
        model.json.
    scores : mapping
        metrics/test.json, of this model.
    worth : mapping
        As `worth.of` returns it.
    licence : Licence
        Of the data set that the model learned from.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    dataset, split = worth["dataset"], worth.get("split_strategy", "unknown")
    results = [
        EvalResult(
            task_type="audio-classification",
            task_name="music genre recognition",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split="test",
            dataset_args={"split_by": split, "split_sha256": description["data"]["split_sha256"]},
            metric_type=_TYPES.get(key, key),
            metric_name=name,
            metric_value=scores[key],
        )
        for key, name in _SCORES.items()
        if key in scores
    ]
    data = ModelCardData(
        model_name=f"genrepro-{description['model']}",
        library_name="genrepro",
        pipeline_tag="audio-classification",
        license=licence.weights,
        license_name="see-data" if licence.weights == "other" else None,
        license_link=licence.url if licence.weights == "other" else None,
        tags=["music", "genre", "reproducible"],
        eval_results=results,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(description, scores, worth, licence)}")


def _text(
    description: Mapping[str, Any], scores: Mapping[str, Any], worth: Mapping[str, str], licence: Licence
) -> str:
    leaky = (
        "\n\n**The split leaks**: artists or copies stand on both sides, so the accuracy is too high."
        if scores.get("leaky")
        else ""
    )
    dataset, split = worth["dataset"], worth.get("split_strategy", "unknown")
    groups = scores.get("num_groups", "the")
    hashes = description["weights_sha256"], description["data"]["split_sha256"]
    return f"""# {description["model"]} on {dataset}

{worths.text(worth)}.

The interval is at 95 % and over {groups} groups of tracks: those of one artist are right or wrong
together.{leaky}

**Genres**: {", ".join(description["genres"])}.

**Use**: `genrepro predict song.mp3 --model <this folder>`. The weights are safetensors, and no file is
a pickle.

**Limits**: the model knows the genres of its data set and nothing else: music of any other kind gets one of
these names too. The figures hold for tracks like those of the test side.

**Data**: {dataset}, split by {split}. {licence.words} tracks.csv lists the tracks with their sides and
faults, and croissant.json describes it. No audio is published.

**Provenance**: sha256 of the weights `{hashes[0]}`, of the split `{hashes[1]}`.
"""
