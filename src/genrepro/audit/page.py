"""Write one HTML page with the near duplicates that a person should look at. It contains its pictures.

The worst pairs come first: pairs under contradicting genres, then pairs across artists, then the rest, each
by falling similarity. Both spectrograms are drawn over one time axis, the second shifted by the offset, so
that equal music stands one above the other. The bytes depend on the data only: no date, no software version.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pyarrow as pa

from genrepro.audit import thumbnails
from genrepro.audit.duplicates import Pair
from genrepro.base.files import replacing

_GAP = 6  # pixels between the two spectrograms; a line there marks the overlap
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #bbb; padding: 1rem 0; }
h2 { font-size: 1rem; margin: 0; }
p { margin: .3rem 0; }
img { width: 100%; display: block; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: 0 1rem; margin: .3rem 0; }
dt { font-family: ui-monospace, monospace; }
dd { margin: 0; }
.contradicting { color: #b00020; font-weight: 600; }
""".strip()


def write_pairs(
    path: Path, pairs: Sequence[Pair], *, mel_path: Path, catalog: pa.Table, max_pairs: int = 60
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file. Written under a temporary name, then renamed.
    pairs : sequence of Pair
        What `duplicates.near_duplicates` found, in any order.
    mel_path : Path
        mel.parquet, read once.
    catalog : pyarrow.Table
        Columns `track_id`, `genre`, `artist`, `title`. It must hold every track of the pairs.
    max_pairs : int
        Number of pairs to show. The page also says how many there are in all.
    """
    tracks = {
        row["track_id"]: row for row in catalog.select(["track_id", "genre", "artist", "title"]).to_pylist()
    }
    ranked = sorted(pairs, key=lambda pair: _order(pair, tracks))
    shown = ranked[:max_pairs]
    pictures = _pictures(shown, mel_path)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Near duplicates</title>',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Near duplicates</h1>",
        f"<p>{_summary(ranked, tracks, num_shown=len(shown))}</p>",
        *(_article(pair, tracks, picture) for pair, picture in zip(shown, pictures, strict=True)),
        "</body></html>",
    ]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")


def _order(pair: Pair, tracks: dict[str, dict]) -> tuple:
    contradicting, across = _contradicting(pair, tracks), _across_artists(pair, tracks)
    return not contradicting, not across, -pair.similarity, pair.first, pair.second


def _contradicting(pair: Pair, tracks: dict[str, dict]) -> bool:
    return tracks[pair.first]["genre"] != tracks[pair.second]["genre"]


def _across_artists(pair: Pair, tracks: dict[str, dict]) -> bool:
    """Whether both artists are known and differ."""
    artists = {tracks[pair.first]["artist"], tracks[pair.second]["artist"]}
    return len(artists) == 2 and None not in artists


def _summary(pairs: list[Pair], tracks: dict[str, dict], *, num_shown: int) -> str:
    if not pairs:
        return "No two tracks hold the same recording."
    contradicting = sum(_contradicting(pair, tracks) for pair in pairs)
    across = sum(_across_artists(pair, tracks) for pair in pairs)
    shown = f"The {num_shown} worst are shown" if num_shown < len(pairs) else "All are shown"
    return (
        f"Pairs of tracks that hold the same recording: {len(pairs)}, of them {contradicting} under "
        f"contradicting genres, {across} across artists. {shown}: contradicting genres first, then across "
        "artists, then by similarity."
    )


def _article(pair: Pair, tracks: dict[str, dict], picture: bytes) -> str:
    contradicting = _contradicting(pair, tracks)
    first, second = (_description(tracks[one], marked=contradicting) for one in (pair.first, pair.second))
    if abs(pair.offset) < 0.05:
        cut = "cut at the same place"
    else:
        cut = f"the second cut {abs(pair.offset):.2f} s {'later' if pair.offset > 0 else 'earlier'}"
    return "\n".join(
        [
            "<article>",
            f"<h2>similarity {pair.similarity:.3f}, {cut}, {pair.overlap:.1f} s in common</h2>",
            *(['<p class="contradicting">contradicting genres</p>'] if contradicting else []),
            f"<dl>{first}{second}</dl>",
            f'<img alt="spectrograms of {escape(pair.first)} above {escape(pair.second)}" '
            f'src="{thumbnails.source(picture)}">',
            "</article>",
        ]
    )


def _description(track: dict, *, marked: bool) -> str:
    genre = escape(track["genre"])
    if marked:
        genre = f'<span class="contradicting">{genre}</span>'
    artist, title = (escape(track[key] or f"unknown {key}") for key in ("artist", "title"))
    return f"<dt>{escape(track['track_id'])}</dt><dd>{genre}; {artist}: {title}</dd>"


def _pictures(pairs: list[Pair], mel_path: Path) -> Iterable[bytes]:
    """A PNG for each pair."""
    if not pairs:
        return []
    found, rate = thumbnails.levels(
        mel_path, {track_id for pair in pairs for track_id in (pair.first, pair.second)}
    )
    return [
        _picture(found[pair.first], found[pair.second], shift=round(pair.offset * rate)) for pair in pairs
    ]


def _picture(first: np.ndarray, second: np.ndarray, *, shift: int) -> bytes:
    """Draw both spectrograms over one time axis as a PNG, the second ``shift`` pixels later."""
    start, other = max(0, -shift), max(0, shift)
    width = max(start + first.shape[1], other + second.shape[1])
    height = max(len(first), len(second))
    canvas = np.zeros((2 * height + _GAP, width), np.uint8)  # 0 is empty and drawn white
    canvas[: len(first), start : start + first.shape[1]] = first
    canvas[height + _GAP :][: len(second), other : other + second.shape[1]] = second
    common = slice(max(start, other), min(start + first.shape[1], other + second.shape[1]))
    canvas[height + _GAP // 3 : height + _GAP - _GAP // 3, common] = 1
    return thumbnails.png(canvas)
