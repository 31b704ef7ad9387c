"""Score the voted predictions on the test tracks, with intervals and the number of tracks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.files import rounded
from genrepro.base.params import Evaluate
from genrepro.evaluate.intervals import clustered
from genrepro.models.shared.inputs import Features

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The three tables that the evaluate stage writes."""

    test: dict[str, Any]
    """metrics/test.json, without ``leaky``."""
    per_genre: pd.DataFrame
    """metrics/per_genre.csv."""
    predictions: pd.DataFrame
    """metrics/predictions.csv."""


def run(
    model: "nn.Module",
    description: dict[str, Any],
    features: Features,
    split: pd.DataFrame,
    *,
    group: pd.Series,
    params: Evaluate,
) -> Scores:
    """Let a trained model's segments vote on the test side of ``split``, and score the votes.

    ``group`` is each track's group by track_id, as `identity.group_names` gives it.

    Raises
    ------
    GenreproError
        If the model was trained on other features than these.
    """
    import torch

    from genrepro.base import devices
    from genrepro.models.shared import batches
    from genrepro.models.shared.voting import segment_probabilities, vote

    if description["data"]["features_sha256"] != features.description["sha256"]:
        raise GenreproError("evaluate: the model was trained on other features than these: run `dvc repro`.")
    device = devices.device()
    # As in training: channels last is less work on a CPU.
    model = model.to(memory_format=torch.channels_last).to(device)
    cutter = batches.Cutter(features.frames, device=device, embedded=features.embedded)

    def votes(side: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        voters = batches.of_vote(features, split, cutter, side=side)
        label = np.zeros(len(voters.spans.track_ids), dtype=np.int64)
        label[voters.track] = voters.label
        probabilities = segment_probabilities(model, voters)
        return vote(probabilities, voters.track, how=voting), label, voters.spans.track_ids

    voting = description["segments"]["voting"]
    probabilities, label, track_ids = votes("test")
    if params.temperature == "validation":
        probabilities = tempered(probabilities, temperature(*votes("validation")[:2]))
    # Accuracy of single segments, as long as those of training.
    short = batches.of_vote(features, split, cutter, side="test", role="grid")
    short_predicted = segment_probabilities(model, short).argmax(1)
    return score(
        probabilities,
        track_ids=track_ids,
        label=label,
        group=group.loc[track_ids].to_numpy(),
        genres=features.genres,
        segment_accuracy=float((short_predicted == short.label).mean()),
        params=params,
    )


def score(
    probabilities: np.ndarray,
    *,
    track_ids: list[str],
    label: np.ndarray,
    group: np.ndarray,
    genres: list[str],
    segment_accuracy: float,
    params: Evaluate,
) -> Scores:
    """Score the predictions of tracks.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(num_tracks, num_genres)]
    track_ids : list of str
        Sorted.
    label : np.ndarray [shape=(num_tracks,), dtype=int]
        True genre, as a position in ``genres``.
    group : np.ndarray [shape=(num_tracks,)]
        Groups must not cross a split: their tracks tend to be right or wrong together.
    genres : list of str
        Label order.
    segment_accuracy : float
        Accuracy of single segments, as long as those of training.
    params : Evaluate

    Returns
    -------
    Scores
        Accuracy has an interval over groups (`intervals.clustered`). F1 is the mean over genres. The log loss
        uses the natural logarithm. The calibration error is the expected calibration error of Guo et al.
        (ICML 2017), of the top label, in bins of equal width.
    """
    predicted = probabilities.argmax(1)
    correct = predicted == label
    low, high = clustered(correct, group, confidence=params.confidence)
    per_genre, macro_f1 = _per_genre(label, predicted, group, genres, params=params)
    test = {
        "accuracy": rounded(correct.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "segment_accuracy": rounded(segment_accuracy),
        "macro_f1": rounded(macro_f1),
        "log_loss": rounded(log_loss(label, probabilities)),
        "calibration_error": rounded(
            calibration_error(probabilities.max(1), correct, num_bins=params.calibration_bins)
        ),
        "num_tracks": len(label),
        "num_groups": len(set(group)),
    }
    names = np.array(genres)
    predictions = pd.DataFrame(
        {"track_id": track_ids, "genre": names[label], "predicted": names[predicted], "group": group}
    )
    for position, genre in enumerate(genres):
        predictions[genre] = [f"{value:.4f}" for value in probabilities[:, position]]
    return Scores(test=test, per_genre=per_genre, predictions=predictions)


def temperature(probabilities: np.ndarray, label: np.ndarray) -> float:
    """The temperature with the lowest log loss (Guo et al., ICML 2017, section 4.2).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(num_tracks, num_genres)]
        Voted, of tracks that are in neither training nor test.
    label : np.ndarray [shape=(num_tracks,), dtype=int]

    Returns
    -------
    float
        From 0.05 to 20. Above 1 the model was too confident.
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return log_loss(label, tempered(probabilities, np.exp(exponent)))

    limit = np.log(20)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logarithms of probabilities by ``temperature`` and normalise. Ranks do not change."""
    from scipy.special import softmax

    return softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature, axis=1)


def log_loss(label: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative natural logarithm of what the true genres are given, as scikit-learn has it.

    Parameters
    ----------
    label : np.ndarray [shape=(num_tracks,), dtype=int]
    probabilities : np.ndarray [shape=(num_tracks, num_genres)]
    """
    likelihood = probabilities[np.arange(len(label)), label]
    smallest = np.finfo(np.float64).eps  # a certain mistake costs 36, and not infinitely much
    return float(-np.log(np.clip(likelihood, smallest, 1 - smallest)).mean())


def calibration_error(confidence: np.ndarray, correct: np.ndarray, *, num_bins: int) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over bins of equal width.

    Parameters
    ----------
    confidence : np.ndarray [shape=(num_tracks,)]
        Probability of the predicted genre.
    correct : np.ndarray [shape=(num_tracks,), dtype=bool]
    num_bins : int
    """
    bins = np.searchsorted(np.linspace(0, 1, num_bins + 1)[1:-1], confidence)
    gap = np.bincount(bins, weights=confidence - correct)  # of a bin, times its tracks
    return float(np.abs(gap).sum() / len(confidence))


def _per_genre(
    label: np.ndarray, predicted: np.ndarray, group: np.ndarray, genres: list[str], *, params: Evaluate
) -> tuple[pd.DataFrame, float]:
    """metrics/per_genre.csv, and the mean of the genres' F1; a share of nothing is 0."""
    rows, f1 = [], []
    for position, genre in enumerate(genres):
        of_genre, claimed = label == position, predicted == position
        num_tracks, num_claimed, hits = of_genre.sum(), claimed.sum(), (of_genre & claimed).sum()
        low, high = clustered(claimed[of_genre], group[of_genre], confidence=params.confidence)
        f1.append(2 * hits / max(1, num_tracks + num_claimed))
        rows.append(
            {
                "genre": genre,
                "num_tracks": int(num_tracks),
                "num_groups": len(set(group[of_genre])),
                "accuracy": rounded(hits / max(1, num_tracks)),
                "accuracy_low": low,
                "accuracy_high": high,
                "precision": rounded(hits / max(1, num_claimed)),
                "f1": rounded(f1[-1]),
            }
        )
    return pd.DataFrame(rows), float(np.mean(f1))
