"""Web: music of one's own choice from the web, named by a table of links.

``source`` is a table (or its URL) in any form that spreadsheets save, with the columns ``url`` and ``genre``
and, where known, ``artist``, ``title``, ``start`` and ``end`` (seconds or 1:02:03.5). yt-dlp fetches each
link's best audio into the cache: `genrepro.download.links`. A link to several sounds, a page with players, a
playlist or a feed, gives a track for each. With ``start`` or ``end`` the raw file is that part, 16-bit FLAC;
else it is what the site sent.

What is gone keeps its row: ``missing: HTTP 404``. `dvc repro -f download` asks for it again. A track's id is
a hash of link, start and end, so that new rows do not rename old ones.

Licence and terms: the user's. Whether a site allows downloads, and what its music may be used for, is between
the user and the site. Raw files are never pushed.
"""

import hashlib
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError
from genrepro.base.params import Params
from genrepro.datasets import spreadsheet
from genrepro.datasets.tables import identity
from genrepro.download import disk, links
from genrepro.download.cache import Remote
from genrepro.download.source import obtain

REMOTES: dict[str, Remote] = {}
"""Nothing is declared: ``source`` names the table."""

FAULTS = {
    "missing": "the link gave nothing; the reason stands after the colon",
    "undecodable": "a part was wanted of a file that cannot be decoded",
    "no_genre": "the row names no genre, so it is not fetched, and counted",
}

_COLUMNS = ("url", "genre", "artist", "title", "start", "end")
_LONGEST = 3600.0  # s of a part; the render stage decodes no more


def acquire(*, params: Params, raw: Path) -> None:
    """Fetch the table's links into the cache, and copy or cut them to ``raw/<track_id>.<suffix>``.

    Raises
    ------
    GenreproError
        If there is no table, it is not of that shape, or no link gives anything.
    """
    if params.source == "auto":
        raise GenreproError(
            "web has no remote of its own: pass -S source=<table.csv> with the columns "
            f"{', '.join(_COLUMNS)}; url and genre must be there."
        )
    rows = read_links(obtain(params.source, ()))
    found = links.fetch(row["url"] for row in rows if row["genre"])
    known: list[dict[str, Any]] = []
    for row in rows:
        results = found[row["url"]] if row["genre"] else [links.Found()]
        for number, result in enumerate(results, start=1):
            track_id = row["id"] if len(results) == 1 else f"{row['id']}-{number:04d}"
            path, fault = _place(row, result, raw / track_id)
            known.append(
                {
                    "track_id": track_id,
                    **{name: row[name] for name in ("genre", "artist")},
                    "title": row["title"]
                    if row["title"] and len(results) == 1
                    else result.title or row["title"],
                    "path": path and path.relative_to(raw).as_posix(),
                    "fault": fault if row["genre"] else "no_genre",
                }
            )
    if not any(row["path"] for row in known):
        reasons = Counter(row["fault"].removeprefix("missing: ") for row in known)
        counted = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(5))
        raise GenreproError(f"No link of {params.source} gives any audio: {counted}.")
    identity.write(raw, known)


def read_catalog(raw: Path) -> pd.DataFrame:
    """One row for each sound of each row of the table; what is gone has no path and the fault ``missing``."""
    return identity.read(raw)


def read_links(path: Path) -> list[dict[str, Any]]:
    """The table's rows: ``url``, ``genre``, ``artist``, ``title`` as text or None, ``start`` and ``end`` [s].

    Raises
    ------
    GenreproError
        If it cannot be read (`spreadsheet`), names no genre, or a row has no link, a wrong time, or occurs
        twice.
    """
    if path.is_dir():
        raise GenreproError(f"source = {str(path)!r} is a folder: name the table of links in it.")
    rows = [_row(row, name=path.name) for row in spreadsheet.read(path, name=path.name, columns=_COLUMNS)]
    if not any(row["genre"] for row in rows):
        raise GenreproError(f"{path.name} names no genre: fill in the column `genre`.")
    seen = set()
    for row in rows:
        if row["id"] in seen:
            raise GenreproError(
                f"{path.name} names {row['url']} twice with the same start and end: keep one row."
            )
        seen.add(row["id"])
    return rows


def _row(row: dict[str, Any], *, name: str) -> dict[str, Any]:
    url = row["url"]
    if not re.match(r"https?://[^/\s]", url):
        raise GenreproError(f"{name}: url = {url!r} must begin with http:// or https://.")
    for key in ("start", "end"):
        row[key] = None if row[key] is None else _seconds(row[key], where=f"{name}, {url}: {key}")
    if row["end"] is not None and row["end"] <= (row["start"] or 0.0):
        raise GenreproError(
            f"{name}, {url}: end = {row['end']:g} s must come after start = {row['start'] or 0:g} s."
        )
    content = repr((url, row["start"], row["end"]))
    return {**row, "id": hashlib.sha256(content.encode()).hexdigest()[:12]}


def _seconds(text: str, *, where: str) -> float:
    if not re.fullmatch(r"(\d+:){0,2}\d+([.,]\d*)?", text):
        raise GenreproError(f"{where} = {text!r} must be seconds (90.5) or a time (1:30.5).")
    seconds = 0.0
    for part in text.replace(",", ".").split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _place(row: dict[str, Any], found: links.Found, stem: Path) -> tuple[Path | None, str | None]:
    """Where the file was put, and what is wrong with it."""
    if found.path is None:
        return None, f"missing: {found.reason}"
    if row["start"] is None and row["end"] is None:
        suffix = (
            found.path.suffix if found.path.suffix != ".png" else ".bin"
        )  # stages take that for a picture
        target = stem.with_name(stem.name + suffix)
        with disk.writing(target):
            shutil.copyfile(found.path, target)
        return target, None
    target = stem.with_name(stem.name + ".flac")
    try:
        samples, rate = cut(found.path, start=row["start"] or 0.0, end=row["end"])
    except (OSError, ValueError) as error:  # PyAV's own errors are both
        return None, f"undecodable: {' '.join(str(error).split())}"
    if not len(samples):
        return None, "missing: the sound ends before start"
    import soundfile

    with disk.writing(target):
        soundfile.write(target, samples, rate, format="FLAC", subtype="PCM_16")
    return target, None


def cut(path: Path, *, start: float, end: float | None) -> tuple[np.ndarray, int]:
    """A part of a file: samples [shape=(num_frames, num_channels), dtype=int16] and their rate [Hz].

    Decoded from the beginning by ffmpeg's libraries: many formats cannot be entered at an exact time.

    Parameters
    ----------
    start, end : float, float or None
        Seconds; None is the end of the file, or an hour after ``start``.
    """
    import av

    end = min(start + _LONGEST, np.inf if end is None else end)
    parts, position = [], 0
    container: Any
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise ValueError("no audio in it")
        resampler = None
        for frame in container.decode(stream):
            if resampler is None:
                resampler = av.AudioResampler("s16p", frame.layout, frame.sample_rate)
                first, last = round(start * frame.sample_rate), round(end * frame.sample_rate)
            for part in resampler.resample(frame):
                samples = part.to_ndarray().T
                parts.append(samples[max(0, first - position) : max(0, last - position)])
                position += len(samples)
            if position >= last:
                break
    if resampler is None:
        raise ValueError("no samples")
    return np.concatenate(parts), resampler.rate
