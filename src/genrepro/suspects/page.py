"""The tracks that a person should listen to: one HTML file beside the raw files that it plays.

Two lists: tracks of which another genre is likelier, in the order of `ranking.rank`, and tracks that are like
no genre, the least typical first. Bytes depend on the data alone: no date, no software version.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa

from genrepro.audit import thumbnails
from genrepro.base.files import replacing

_PICTURES = {".png"}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #bbb; padding: .7rem 0; }
article { display: grid; grid-template-columns: 22rem 1fr; gap: 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; font-family: ui-monospace, monospace; }
p { margin: .2rem 0; }
img, audio { width: 100%; display: block; }
.wrong { color: #b00020; font-weight: 600; }
""".strip()


def write_suspects(
    path: Path,
    ranked: pd.DataFrame,
    *,
    mel_path: Path,
    catalog: pa.Table,
    num_labels: int = 100,
    num_outliers: int = 20,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file in data/<dataset>/, beside ``raw``; appears complete, by renaming.
    ranked : DataFrame
        As `ranking.rank` returns it.
    mel_path : Path
        mel.parquet, read once.
    catalog : pyarrow.Table
        Columns `track_id`, `artist`, `title`, `path`; holds every ranked track.
    num_labels, num_outliers : int
        Tracks shown in the two lists.
    """
    tracks = {row["track_id"]: row for row in catalog.to_pylist()}
    labels = ranked[ranked["likelier_probability"] > ranked["own_probability"]].head(num_labels)
    others = ranked.drop(labels.index).sort_values(["typicality", "track_id"]).head(num_outliers)
    shown = set(labels["track_id"]) | set(others["track_id"])
    pictures, _ = thumbnails.levels(mel_path, shown)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Suspects</title>',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Suspects</h1>",
        f"<p>{len(ranked)} tracks, each judged by models that did not train on it. Confident learning takes "
        f"the labels of {int(ranked['wrong'].sum())} for wrong; they are marked.</p>",
        f"<h2>Another genre is likelier: the first {len(labels)}, the surest first</h2>",
        *(_article(row, tracks, pictures) for row in labels.to_dict("records")),
        f"<h2>Like no genre: the {len(others)} least typical of the rest</h2>",
        *(_article(row, tracks, pictures) for row in others.to_dict("records")),
        "</body></html>",
    ]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")


def _article(
    row: Mapping[Any, Any], tracks: Mapping[str, dict[str, Any]], pictures: Mapping[str, np.ndarray]
) -> str:
    name = row["track_id"]
    track = tracks[name]
    artist, title = (escape(track[key] or f"unknown {key}") for key in ("artist", "title"))
    mark = ' class="wrong"' if row["wrong"] else ""
    lines = [
        "<article><div>",
        f"<h3>{escape(name)}</h3>",
        f"<p{mark}>{escape(row['genre'])} {row['own_probability']:.2f}, "
        f"{escape(row['likelier'])} {row['likelier_probability']:.2f}</p>",
        f"<p>{artist}: {title}</p>",
        "</div><div>",
    ]
    if name in pictures:
        picture = thumbnails.source(thumbnails.png(pictures[name]))
        lines.append(f'<img alt="spectrogram of {escape(name)}" src="{picture}">')
    if track["path"] and Path(track["path"]).suffix.lower() not in _PICTURES:
        source = quote(f"raw/{track['path']}", errors="surrogateescape")
        lines.append(f'<audio controls preload="none" src="{source}"></audio>')
    return "\n".join([*lines, "</div></article>"])
