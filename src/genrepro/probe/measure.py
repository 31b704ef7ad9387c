"""Choose layer and setting on validation, then test once: for each classifier of `classifiers`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.files import rounded
from genrepro.evaluate.intervals import clustered
from genrepro.models.shared import layers
from genrepro.models.shared.segments import borrowed
from genrepro.probe import classifiers
from genrepro.probe.spread import ALIKE, spread

_SIDES = ("train", "validation", "test")
_ALL_BUT_TEST = ("train", "validation")
# How each classifier is called, the name of its setting, and the settings that are tried.
_TRIED: dict[str, tuple[Callable[..., list[np.ndarray]], str, Sequence[float]]] = {
    "logistic": (classifiers.logistic, "penalty", classifiers.INVERSE_PENALTIES),
    "neighbours": (classifiers.neighbours, "number", classifiers.NEIGHBOURS),
}


@dataclass(frozen=True, kw_only=True)
class _Data:
    """The tracks of each side that have embeddings."""

    track_ids: dict[str, list[str]]
    genres: np.ndarray
    """Their names. A label is a position in it."""
    label: dict[str, np.ndarray]
    group: np.ndarray
    """Of the test tracks."""
    tested_on: tuple[str, ...]
    """The sides that the tested model learns from: train, and what was borrowed from it."""


def run(
    path: Path,
    split: pd.DataFrame,
    *,
    genre: pd.Series,
    group: pd.Series,
    pooling: str,
    seed: int,
    confidence: float,
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Probe the embeddings of a data set.

    Parameters
    ----------
    path : Path
        embeddings.parquet. A track's embedding is the mean of its segments'.
    split : DataFrame
        split.csv
    genre, group : Series
        Of each track by track_id. Groups must not cross a split.
    pooling : str
        As ``pretrained.pooling``.
    seed : int
        Draws the eight tracks of each genre.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        metrics/probe.json, without ``leaky``.
    DataFrame
        metrics/probe/layers.csv: a row for each layer, with the setting that validation chose for it.
    DataFrame
        metrics/probe/predictions.csv: a row for each test track with its genre, its group, and the genre that
        each classifier predicts: ``logistic``, ``logistic_refit``, ``neighbours``, ``few_shot_0`` ... of each
        draw.
    """
    about = layers.describe(path)
    if about["kind"] == "none":
        raise GenreproError(
            "probe: there are no kept embeddings: it needs model = pretrained, with a frozen body."
        )
    if "segment" in split:
        raise GenreproError(
            "probe: embeddings are of whole tracks: choose another split.strategy than segment."
        )
    rows: list[dict[str, Any]] = []
    data: _Data | None = None
    for layer in _candidates(about):
        index, vectors = layers.by_track(*layers.read(path, layer=layer, pooling=pooling))
        data = data or _sides(index, split, genre, group)
        sides = _vectors(index, vectors, data)
        row: dict[str, Any] = {"layer": layer, "size": vectors.shape[1]}
        for name, (call, setting, values) in _TRIED.items():
            best = max(
                (_validated(call, setting, value, sides, data) for value in values), key=lambda one: one[:2]
            )
            row |= {
                f"{name}_{setting}": best[2],
                f"{name}_validation_accuracy": rounded(best[0]),
                f"{name}_validation_loss": rounded(-best[1]),
            }
        rows.append(row | spread(np.concatenate(list(sides.values()))))
    assert data is not None
    summary: dict[str, Any] = {"pooling": pooling}
    predicted: dict[str, np.ndarray] = {}
    for name in _TRIED:
        summary[name], predicted[name] = _tested(name, rows, path, pooling, data, confidence)
    # Layer and penalty are chosen, so validation tracks may be learnt from too (scikit-learn's `refit`).
    refit = replace(data, tested_on=_ALL_BUT_TEST)
    summary["logistic_refit"], predicted["logistic_refit"] = _tested(
        "logistic", rows, path, pooling, refit, confidence
    )
    chosen = summary["logistic"]["layer"]
    summary["few_shot"], draws = _few(chosen, path, pooling, data, seed=seed, confidence=confidence)
    predicted |= {f"few_shot_{number}": draw for number, draw in enumerate(draws)}
    (of_chosen,) = (row for row in rows if row["layer"] == chosen)
    summary |= {key: of_chosen[key] for key in ("mean_cosine", "effective_rank")}
    if summary["mean_cosine"] > ALIKE:
        print(
            f"WARNING: two different tracks have a cosine of {summary['mean_cosine']:.2f} on average: the "
            "body says nearly the same of every track."
        )
    summary |= {
        "num_train": len(data.track_ids["train"]),
        "num_validation": len(data.track_ids["validation"]),
        "num_tracks": len(data.track_ids["test"]),
        "num_groups": len(set(data.group)),
    }
    return summary, pd.DataFrame(rows), _predictions(data, predicted)


def _candidates(about: dict[str, Any]) -> list[int | str]:
    """Each layer, and of several also their mean and all of them side by side."""
    found: list[int | str] = list(range(about["num_layers"]))
    if len(found) > 1:
        found += ["mean"] if about["num_sizes"] == 1 else []
        found.append("all")
    return found


def _sides(index: pd.DataFrame, split: pd.DataFrame, genre: pd.Series, group: pd.Series) -> _Data:
    there = set(index["track_id"])
    moved = borrowed(split, there, genre=genre, artist=group)
    track_ids = {
        side: sorted(
            set(split.loc[split["split"] == side, "track_id"]) & there - (moved if side == "train" else set())
        )
        for side in _SIDES
    }
    if moved:
        track_ids["validation"] = sorted(moved)
        print(f"no validation track has embeddings: {len(moved)} training tracks take their place")
    for side in ("train", "test"):
        if not track_ids[side]:
            raise GenreproError(f"probe: no {side} track has embeddings.")
    genres = sorted(genre.unique())
    label = {
        side: pd.Categorical(genre.loc[ids], categories=genres).codes.astype(np.int64)
        for side, ids in track_ids.items()
    }
    if missing := set(range(len(genres))) - set(label["train"].tolist()):
        raise GenreproError(f"probe: no training track of {genres[min(missing)]} has embeddings.")
    return _Data(
        track_ids=track_ids,
        genres=np.array(genres, object),
        label=label,
        group=group.loc[track_ids["test"]].to_numpy(),
        tested_on=_ALL_BUT_TEST if moved else ("train",),
    )


def _vectors(index: pd.DataFrame, vectors: np.ndarray, data: _Data) -> dict[str, np.ndarray]:
    place = dict(zip(index["track_id"], range(len(index)), strict=True))
    return {side: vectors[[place[one] for one in ids]] for side, ids in data.track_ids.items()}


def _validated(
    call: Callable[..., list[np.ndarray]],
    setting: str,
    value: float,
    sides: dict[str, np.ndarray],
    data: _Data,
) -> tuple[float, float, float]:
    """Accuracy on validation, minus its log loss, which breaks ties, and the setting."""
    (found,) = call(sides["train"], data.label["train"], [sides["validation"]], **{setting: value})
    label = data.label["validation"]
    likelihood = found[np.arange(len(label)), label]
    return float((found.argmax(1) == label).mean()), float(np.log(np.maximum(likelihood, 1e-3)).mean()), value


def _tested(
    name: str, rows: Sequence[dict[str, Any]], path: Path, pooling: str, data: _Data, confidence: float
) -> tuple[dict[str, Any], np.ndarray]:
    """The layer and setting with the best validation, their one test, and the labels that it predicts.

    Of equal ones the first is taken.
    """
    call, setting, _ = _TRIED[name]
    best = max(rows, key=lambda row: (row[f"{name}_validation_accuracy"], -row[f"{name}_validation_loss"]))
    train, label, test = _final(best["layer"], path, pooling, data)
    (found,) = call(train, label, [test], **{setting: best[f"{name}_{setting}"]})
    predicted = found.argmax(1)
    correct = predicted == data.label["test"]
    low, high = clustered(correct, data.group, confidence=confidence)
    summary = {
        "layer": best["layer"],
        setting: best[f"{name}_{setting}"],
        "validation_accuracy": best[f"{name}_validation_accuracy"],
        "accuracy": rounded(correct.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
    }
    return summary, predicted


def _few(
    layer: int | str, path: Path, pooling: str, data: _Data, *, seed: int, confidence: float
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Logistic regression on eight tracks a genre, on the layer that validation chose for all of them.

    Returns the summary, and the labels that each draw predicts.
    """
    train, label, test = _final(layer, path, pooling, data)
    draws = []
    for rows in classifiers.few(label, seed=seed):
        (found,) = classifiers.logistic(train[rows], label[rows], [test], penalty=1.0)
        draws.append(found.argmax(1))
    hits = np.array(draws) == data.label["test"]
    shares = np.mean(hits, axis=1)
    low, high = clustered(np.mean(hits, axis=0), data.group, confidence=confidence)
    summary = {
        "layer": layer,
        "shots": classifiers.SHOTS,
        "draws": classifiers.DRAWS,
        "accuracy": rounded(shares.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "lowest_draw": rounded(shares.min()),
        "highest_draw": rounded(shares.max()),
    }
    return summary, draws


def _predictions(data: _Data, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row for each test track: track, genre, group, and the genre that each column predicts."""
    known = {
        "track_id": data.track_ids["test"],
        "genre": data.genres[data.label["test"]],
        "group": data.group,
    }
    return pd.DataFrame(known | {name: data.genres[label] for name, label in predicted.items()})


def _final(
    layer: int | str, path: Path, pooling: str, data: _Data
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings and labels to learn from, and embeddings to test."""
    sides = _vectors(*layers.by_track(*layers.read(path, layer=layer, pooling=pooling)), data)
    return (
        np.concatenate([sides[side] for side in data.tested_on]),
        np.concatenate([data.label[side] for side in data.tested_on]),
        sides["test"],
    )
