"""Claims about the scores: each equals an independent library's, and none hides its sample size."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)
from support.builders import Toy, alone, make_params

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.evaluate import scores as evaluation
from genrepro.evaluate.intervals import clustered
from genrepro.models.shared import checkpoint

CONFIG = make_params(evaluate={"confidence": 0.95, "calibration_bins": 15}).evaluate
HAND_MADE = np.array(
    [
        [0.70, 0.20, 0.05, 0.05],
        [0.30, 0.40, 0.20, 0.10],
        [0.25, 0.25, 0.40, 0.10],
        [0.10, 0.80, 0.05, 0.05],
        [0.05, 0.90, 0.03, 0.02],
        [0.34, 0.33, 0.32, 0.01],
    ]
)
LABEL = np.array([0, 0, 2, 1, 2, 2])
GROUP = np.array(["t0", "t0", "t2", "t3", "t2", "t5"])
GENRES = ["blues", "jazz", "metal", "rock"]  # nobody plays rock, and nothing is predicted as it


def score(
    probabilities: np.ndarray = HAND_MADE, label: np.ndarray = LABEL, group: np.ndarray = GROUP
) -> evaluation.Scores:
    return evaluation.score(
        probabilities,
        track_ids=[f"t{number}" for number in range(len(label))],
        label=label,
        group=group,
        genres=GENRES,
        segment_accuracy=0.25,
        params=CONFIG,
    )


def test_scores_are_scikit_learns() -> None:
    test, predicted = score().test, HAND_MADE.argmax(1)
    with warnings.catch_warnings(action="ignore"):
        f1 = f1_score(LABEL, predicted, labels=range(4), average="macro", zero_division=0)
    assert test["accuracy"] == pytest.approx(accuracy_score(LABEL, predicted), abs=1e-6)
    assert test["macro_f1"] == pytest.approx(f1, abs=1e-6)
    assert test["log_loss"] == pytest.approx(log_loss(LABEL, HAND_MADE, labels=range(4)), abs=1e-6)
    assert (test["segment_accuracy"], test["num_tracks"], test["num_groups"]) == (0.25, 6, 4)


def test_scores_of_any_tracks_are_scikit_learns(subtests: pytest.Subtests) -> None:
    for seed in range(6):
        with subtests.test(seed=seed):
            rng = np.random.default_rng(seed)
            label = rng.choice(seed % 3 + 1, 40)  # some genres have no track
            probabilities = softmax(rng.normal(0, 9, (40, 4)), axis=1)
            predicted = probabilities.argmax(1)
            scores, found = (
                score(probabilities, label, np.arange(40)),
                {"labels": range(4), "zero_division": 0},
            )
            expected = f1_score(label, predicted, average="macro", **found)
            assert scores.test["macro_f1"] == pytest.approx(expected, abs=1e-6)
            assert scores.test["log_loss"] == pytest.approx(
                log_loss(label, probabilities, labels=range(4)), abs=1e-6
            )
            columns = precision_recall_fscore_support(label, predicted, **found)
            for name, column in zip(("precision", "accuracy", "f1", "num_tracks"), columns, strict=True):
                np.testing.assert_allclose(scores.per_genre[name], column, atol=1e-6)


def test_log_loss_is_the_mean_of_natural_logarithms() -> None:
    expected = -np.log([0.70, 0.30, 0.40, 0.80, 0.03, 0.32]).mean()
    assert score().test["log_loss"] == pytest.approx(expected, abs=1e-6)


def test_a_certain_mistake_costs_much_and_stays_a_number() -> None:
    assert 1 < score(np.eye(4)[[0, 0, 2, 1, 1, 2]]).test["log_loss"] < 100


def calibration_of_torchmetrics(confidence: np.ndarray, correct: np.ndarray, num_bins: int) -> float:
    from torchmetrics.classification import (
        MulticlassCalibrationError,  # three seconds of each worker's collection
    )

    num_genres = 12
    probabilities = np.repeat((1 - confidence[:, None]) / (num_genres - 1), num_genres, axis=1)
    probabilities[:, 0] = confidence
    assert (probabilities.argmax(axis=1) == 0).all()
    label = torch.tensor(np.where(correct, 0, 1))
    metric = MulticlassCalibrationError(num_classes=num_genres, n_bins=num_bins, norm="l1")
    return float(metric(torch.tensor(probabilities), label))


def test_calibration_error_is_torchmetrics() -> None:
    for num_bins in (1, 5, 15):
        for seed in range(5):
            rng = np.random.default_rng(seed)
            confidence = rng.uniform(0.2, 0.999, 80)
            correct = rng.uniform(size=80) < confidence**2
            assert evaluation.calibration_error(confidence, correct, num_bins=num_bins) == pytest.approx(
                calibration_of_torchmetrics(confidence, correct, num_bins), abs=1e-6
            )


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    for num_bins in [5, 10, 15]:
        # Guo et al. define bins (a, b]; torchmetrics has [a, b) and a bin of its own for 1.0. Lowered by a
        # hair, a confidence on an edge lies where Guo et al. put it.
        rng = np.random.default_rng(0)
        edges = np.linspace(0, 1, num_bins + 1)[2:]
        confidence = np.concatenate([np.repeat(edges, 3), rng.uniform(0.2, 1, 40), [1.0, 1.0]])
        correct = rng.uniform(size=len(confidence)) < 0.6
        assert evaluation.calibration_error(confidence, correct, num_bins=num_bins) == pytest.approx(
            calibration_of_torchmetrics(confidence - 2e-6, correct, num_bins), abs=1e-5
        )


def test_calibration_of_one_outcome_alone() -> None:
    for correct, expected in [(True, 0.25), (False, 0.75)]:
        confidence = np.full(7, 0.75)
        assert evaluation.calibration_error(confidence, np.full(7, correct), num_bins=15) == expected


def test_scores_by_genre_are_scikit_learns() -> None:
    table = score().per_genre.set_index("genre")
    predicted = HAND_MADE.argmax(1)
    recall = recall_score(LABEL, predicted, labels=range(4), average=None, zero_division=0)
    np.testing.assert_allclose(table["accuracy"], recall, atol=1e-6)
    assert table["num_tracks"].tolist() == [2, 1, 3, 0]
    assert table["num_groups"].tolist() == [1, 1, 2, 0]
    metal = clustered(predicted[LABEL == 2] == 2, GROUP[LABEL == 2])
    assert (table["accuracy_low"]["metal"], table["accuracy_high"]["metal"]) == metal


def test_of_a_genre_without_tracks_nothing_is_known() -> None:
    rock = score().per_genre.set_index("genre").loc["rock"]
    assert (rock["num_tracks"], rock["accuracy_low"], rock["accuracy_high"]) == (0, 0.0, 1.0)


def test_predictions_name_every_track_with_its_probabilities() -> None:
    table = score().predictions
    assert list(table) == ["track_id", "genre", "predicted", "group", *GENRES]
    assert table["track_id"].tolist() == [f"t{number}" for number in range(6)]
    assert table["group"].tolist() == GROUP.tolist()
    assert table["genre"].tolist() == ["blues", "blues", "metal", "jazz", "metal", "metal"]
    assert table["predicted"].tolist() == ["blues", "jazz", "metal", "jazz", "jazz", "blues"]
    assert table.loc[5, GENRES].tolist() == ["0.3400", "0.3300", "0.3200", "0.0100"]


def untrained(toy: Toy, **changes: Any) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.manual_seed(1)
    section = {"channels": [4, 4, 4, 4, 4], "dropout": 0.0}
    features = {**toy.features.description, **changes}
    description = checkpoint.describe(model="cnn", section=section, features=features, split_sha256="-")
    return models.build("cnn", section, num_genres=3).eval(), description


def test_the_test_tracks_and_no_others_are_scored(toy: Toy) -> None:
    scores = evaluation.run(*untrained(toy), toy.features, toy.split, group=alone(toy.split), params=CONFIG)
    expected = toy.split.loc[toy.split["split"] == "test", "track_id"].tolist()
    assert scores.predictions["track_id"].tolist() == expected
    assert scores.test["num_tracks"] == len(expected)
    right = scores.predictions["genre"] == scores.predictions["predicted"]
    assert scores.test["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_a_model_of_other_features_is_refused(toy: Toy) -> None:
    with pytest.raises(GenreproError, match="trained on other features"):
        evaluation.run(
            *untrained(toy, sha256="other"), toy.features, toy.split, group=alone(toy.split), params=CONFIG
        )


def overconfident(num_tracks: int = 2000, *, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of logits ``factor`` times too large, and labels drawn from the right ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (num_tracks, 4))
    right = softmax(logits, axis=1)
    label = np.array([rng.choice(4, p=row) for row in right])
    return softmax(factor * logits, axis=1), label


def test_the_temperature_undoes_what_made_the_model_too_sure() -> None:
    for factor in [0.5, 1.0, 3.0]:
        probabilities, label = overconfident(factor=factor)
        assert evaluation.temperature(probabilities, label) == pytest.approx(factor, rel=0.1)


def test_tempering_mends_the_calibration_and_moves_no_prediction() -> None:
    probabilities, label = overconfident()
    mended = evaluation.tempered(probabilities, evaluation.temperature(probabilities, label))
    np.testing.assert_array_equal(mended.argmax(1), probabilities.argmax(1))
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    correct = probabilities.argmax(1) == label
    errors = [
        evaluation.calibration_error(values.max(1), correct, num_bins=15)
        for values in (probabilities, mended)
    ]
    assert errors[1] < errors[0] / 3
    np.testing.assert_allclose(evaluation.tempered(probabilities, 1.0), probabilities, atol=1e-9)


def test_a_tempered_evaluation_fits_on_validation_alone(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    model, description = untrained(toy)
    plain = evaluation.run(model, description, toy.features, toy.split, group=alone(toy.split), params=CONFIG)
    config = make_params(evaluate={"temperature": "validation"}).evaluate
    mended = evaluation.run(
        model, description, toy.features, toy.split, group=alone(toy.split), params=config
    )
    assert mended.test["accuracy"] == plain.test["accuracy"]
    assert not mended.predictions.equals(plain.predictions)
    swapped = toy.split.assign(split=toy.split["split"].replace({"train": "excluded"}))
    without_training = evaluation.run(
        model, description, toy.features, swapped, group=alone(toy.split), params=config
    )
    assert without_training.predictions.equals(mended.predictions)
    # Of six validation and five test tracks it sees six.
    sizes: list[int] = []
    monkeypatch.setattr(evaluation, "temperature", lambda _, label: sizes.append(len(label)) or 2.0)
    first = toy.split["split"].eq("test").idxmax()
    fewer = toy.split.assign(split=toy.split["split"].where(toy.split.index != first, "excluded"))
    evaluation.run(model, description, toy.features, fewer, group=alone(toy.split), params=config)
    assert sizes == [6]
