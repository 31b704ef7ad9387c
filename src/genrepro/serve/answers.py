"""Predictions of many files as text, CSV or JSON lines, and which files of a folder are music."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path, PurePosixPath

from genrepro.base.errors import one_line
from genrepro.datasets import layouts
from genrepro.serve.predictor import Prediction


class Format(StrEnum):
    """The forms in which `genrepro predict` answers."""

    text = "text"
    csv = "csv"
    jsonl = "jsonl"


def expanded(paths: Iterable[Path], *, pictures: bool) -> list[Path]:
    """The files that ``paths`` name: a folder stands for the music below it, sorted by name.

    A folder without any is returned as it is, so that reading it says so. Links to folders are not followed.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(_below(path, pictures=pictures)) if path.is_dir() else []
        found += inside or [path]
    return found


def _below(folder: Path, *, pictures: bool) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            inside = PurePosixPath(path.relative_to(folder))
            kind = layouts.kind_left_out(inside)
            if (kind == "not_audio" and inside.suffix.lower() == ".png") if pictures else kind is None:
                yield path


def writer(form: Format, genres: list[str]) -> Callable[[Path, Prediction], str]:
    """The function that turns a prediction into its lines. The first CSV line follows the header's."""
    if form is Format.text:
        return _text
    if form is Format.jsonl:
        return lambda path, prediction: json.dumps({"file": str(path), **asdict(prediction)})
    waiting = [_csv(["file", "genre", *genres])]

    def row(path: Path, prediction: Prediction) -> str:
        values = prediction.probabilities
        likeliest = max(genres, key=values.__getitem__)
        waiting.append(_csv([one_line(str(path)), likeliest, *(values[genre] for genre in genres)]))
        lines = "\n".join(waiting)
        waiting.clear()
        return lines

    return row


def _csv(values: list[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def _text(path: Path, prediction: Prediction) -> str:
    """The three likeliest genres of the track, and below them those of each window, at whole seconds."""
    lines = [f"{one_line(str(path))}: {_likeliest(prediction.probabilities)}"]
    for window in prediction.over_time:
        start, duration = round(window.start), max(1, round(window.end - window.start))
        lines.append(f"  {_clock(start)}-{_clock(start + duration)} {_likeliest(window.probabilities)}")
    return "\n".join(lines)


def _likeliest(probabilities: dict[str, float]) -> str:
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{genre} {value:.2f}" for genre, value in ranked)


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d}"
