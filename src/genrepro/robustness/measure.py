"""A model's accuracy on changed audio, paired track by track with that on the same audio untouched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.compare.pairs import Comparison, compare
from genrepro.compare.revisions import Predictions
from genrepro.compare.verdict import Report, Table
from genrepro.exact.streams import generator
from genrepro.robustness.changes import CHANGES, Change
from genrepro.serve.predictor import Predictor

UNTOUCHED = "untouched"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One change: A is the untouched audio, B the changed."""

    change: str
    comparison: Comparison


def measure(
    predictor: Predictor,
    tracks: pd.DataFrame,
    raw: Path,
    *,
    changes: Mapping[str, Change] = CHANGES,
    done: Callable[[], object] = lambda: None,
) -> list[Row]:
    """Let a model hear every track untouched and under every change.

    Parameters
    ----------
    predictor : Predictor
        Of a model of audio.
    tracks : DataFrame
        Columns track_id, genre, path (relative to ``raw``) and group, which a split must not cross.
    raw : Path
        Folder of the audio.
    changes : mapping
        By name.
    done : callable
        Called after each track.

    Returns
    -------
    list of Row
        In the order of ``changes``. Noise depends on the track's name alone, so figures repeat.

    Raises
    ------
    GenreproError
        If the model is of pictures, knows other genres, or a file cannot be decoded.
    """
    from genrepro.spectrogram import audio

    if predictor.mel is None:
        raise GenreproError(
            "robustness needs a model of log-mel spectrograms: this reads pictures or is a published body."
        )
    genres = predictor.description["genres"]
    if unknown := sorted(set(tracks["genre"]) - set(genres)):
        raise GenreproError(f"the model does not know the genre {unknown[0]}: run `dvc repro`.")
    sample_rate = predictor.mel.sample_rate
    tracks = tracks.sort_values("track_id", ignore_index=True)
    heard: dict[str, list[np.ndarray]] = {name: [] for name in (UNTOUCHED, *changes)}
    for track_id, path in zip(tracks["track_id"], tracks["path"], strict=True):
        try:
            samples = audio.decode(raw / path, sample_rate=sample_rate)
        except audio.UndecodableError as error:
            raise GenreproError(f"{raw / path}: {error}.") from error
        heard[UNTOUCHED].append(predictor.of_samples(samples))
        for name, change in changes.items():
            rng = generator(0, f"robustness.{track_id}")
            heard[name].append(predictor.of_samples(change(samples, sample_rate, rng)))
        done()
    order = np.argsort(genres)
    label = tracks["genre"].map({genres[at]: number for number, at in enumerate(order)}).to_numpy()

    def predictions(name: str) -> Predictions:
        probabilities = np.array(heard[name])[:, order]
        return Predictions(
            name=name,
            genres=tuple(genres[at] for at in order),
            track_ids=tracks["track_id"].to_numpy(object),
            label=label,
            predicted=probabilities.argmax(axis=1),
            probabilities=probabilities,
            group=tracks["group"].to_numpy(object),
        )

    untouched = predictions(UNTOUCHED)
    return [Row(change=name, comparison=compare(untouched, predictions(name))) for name in changes]


def report(rows: list[Row]) -> Report:
    """The table of all changes, for `compare.verdict`'s text and markdown."""
    first = rows[0].comparison
    worst = min(rows, key=lambda row: row.comparison.accuracy.value)
    lines = [(UNTOUCHED, _interval(first.a.accuracy, first.a.low, first.a.high), "", "", "", "")]
    for row in rows:
        b, change = row.comparison.b, row.comparison.accuracy
        lines.append(
            (
                row.change,
                _interval(b.accuracy, b.low, b.high),
                f"{100 * change.value:+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]",
                f"{change.p_value:.3f}",
                str(len(row.comparison.gained)),
                str(len(row.comparison.lost)),
            )
        )
    return Report(
        verdict=f"Of {100 * first.a.accuracy:.1f} % accuracy, {worst.change} changes most: "
        f"{100 * worst.comparison.accuracy.value:+.1f} points over {first.num_tracks} tracks of "
        f"{first.num_groups} artists.",
        names=(),
        tables=[
            Table(
                title="",
                header=("audio", "accuracy in %", "points of difference", "p", "gained", "lost"),
                rows=lines,
                names=frozenset(),
            )
        ],
        notes=[
            "Brackets: 95 %, over groups of tracks, paired with the untouched audio. The p values are of "
            f"{len(rows)} changes and not corrected for their number."
        ],
    )


def _interval(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
