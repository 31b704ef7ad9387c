"""Compose a corpus for pretraining: as many artists and tracks as wanted, without planted faults.

Nothing is downloaded: the composer (`synthesis`) makes every track from the seed. Each genre has
``composed.artists_per_genre`` artists with ``composed.tracks_per_artist`` tracks each. More tracks of an
artist are cheaper than more artists, because an artist's studio keeps its notes. No artist is one of
`synthetic`, also with equal seeds, so a model that was pretrained here has not heard the test side there.

There is more variety than in `synthetic`. Many artists have a singer, a rapper or a shouter (`singing`), and
each track is on a medium of its own, from telephone to full band (`medium`). Both have streams of their own.

The layout is GTZAN's: ``<genre>/<genre>.00000.wav``, 22 050 Hz, mono, 16 bit. ``tracks.csv`` beside the
folders holds, for each track, its artist and what the composer knows: tempo [beats per minute], metre [beats
in a bar], key (the pitch class of the tonic) and the instruments that play, separated by spaces. A voice is
an instrument too: singing, rapping, shouting, opera or choir.

With ``composed.files: seeds`` no audio is written, but for each track what it grows from (`synthesis.seeds`).
Everything that decodes a track then composes it.

Licence: the output is machine-made and free of rights.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from joblib import Parallel, delayed

from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.base.params import Params
from genrepro.base.tables import LABELS
from genrepro.datasets.synthesis import seeds
from genrepro.datasets.synthesis.artists import draw_title
from genrepro.datasets.synthesis.composer import Score
from genrepro.datasets.synthesis.seeds import Seed
from genrepro.datasets.synthesis.signals import SAMPLE_RATE
from genrepro.datasets.synthesis.styles import GENRES
from genrepro.download.cache import Remote
from genrepro.exact.numerics import num_workers
from genrepro.exact.streams import integer

REMOTES: dict[str, Remote] = {}
"""Nothing to fetch."""

FAULTS: Mapping[str, str] = {}
"""None is planted."""

# Columns of tracks.csv that the catalog does not have.
_LABELS = [name for name in LABELS.names if name not in ("track_id", "artist")]
_KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_TRACKS_PER_ALBUM = 10
_SUFFIXES = {"wav": ".wav", "seeds": seeds.SUFFIX}


def acquire(*, params: Params, raw: Path) -> None:
    """Compose the corpus that ``params.composed`` describes into the folder ``raw``."""
    if params.source != "auto":
        raise GenreproError("composed is composed, not read: set source to auto, or choose another dataset.")
    wanted = params.composed
    compose_corpus(
        raw=raw,
        artists_per_genre=wanted.artists_per_genre,
        tracks_per_artist=wanted.tracks_per_artist,
        duration=wanted.duration,
        seed=wanted.seed,
        files=wanted.files,
        num_workers=num_workers(),
    )


def compose_corpus(
    *,
    raw: Path,
    artists_per_genre: int,
    tracks_per_artist: int,
    duration: float,
    seed: int,
    files: str = "wav",
    num_workers: int = 1,
) -> None:
    """Compose the corpus.

    Parameters
    ----------
    raw
        Folder to fill.
    artists_per_genre, tracks_per_artist
        A larger corpus holds the same artists as a smaller one, and further ones.
    duration
        Length of a track [s].
    seed
        Seed of all random choices. Equal seeds give equal files.
    files
        ``wav``, or ``seeds`` for files of 200 bytes from which their readers compose the same samples.
    num_workers
        Number of processes. The files do not depend on it.
    """
    for genre in GENRES:
        (raw / genre).mkdir(parents=True, exist_ok=True)
    apart = integer(seed, "composed")  # seeds of `synthetic` are small numbers, so no artist is in both
    rows = Parallel(n_jobs=num_workers)(
        delayed(_make)(
            genre, number, num_tracks=tracks_per_artist, raw=raw, duration=duration, seed=apart, files=files
        )
        for genre in GENRES
        for number in range(artists_per_genre)
    )
    table = pd.DataFrame([row for of_artist in rows for row in of_artist]).sort_values("track_id")
    with replacing(raw / "tracks.csv") as partial:
        table.to_csv(partial, index=False, lineterminator="\n")


def read_catalog(raw: Path) -> pd.DataFrame:
    """Return one row for each track.

    Parameters
    ----------
    raw
        Folder that `acquire` filled.

    Returns
    -------
    pandas.DataFrame
        Columns `track_id`, `genre`, `artist`, `album`, `title`, `path` (relative to `raw`), `official_split`
        and `fault` (both always None). Rows are sorted by `track_id`.
    """
    table = pd.read_csv(raw / "tracks.csv", dtype=object, keep_default_na=False)
    return table.drop(columns=_LABELS).assign(official_split=None, fault=None)


def read_labels(raw: Path) -> pd.DataFrame:
    """Return what the composer knows of each track: columns of `tables.LABELS`."""
    table = pd.read_csv(raw / "tracks.csv", dtype={"key": str, "instruments": str}, keep_default_na=False)
    return table[LABELS.names]


def _make(
    genre: str, number: int, *, num_tracks: int, raw: Path, duration: float, seed: int, files: str
) -> list[dict[str, Any]]:
    """Make the files of one artist. Return their rows of tracks.csv."""
    artist, _ = seeds.people(genre, number, seed)
    rows = []
    for turn in range(num_tracks):
        track = Seed(genre=genre, artist=number, track=turn, duration=duration, corpus=seed)
        score = seeds.score(track)
        track_id = f"{genre}.{number * num_tracks + turn:05d}"
        path = f"{genre}/{track_id}{_SUFFIXES[files]}"
        content = seeds.write(track) if files == "seeds" else _wav(seeds.play(track, score))
        with replacing(raw / path) as partial:
            partial.write_bytes(content)
        rows.append(
            {
                "track_id": track_id,
                "genre": genre,
                "artist": artist.name,
                "album": draw_title(seed=seed, name=f"album/{artist.name}/{turn // _TRACKS_PER_ALBUM}"),
                "title": draw_title(seed=seed, name=f"title/{track.name}"),
                "path": path,
                **_labels(score),
            }
        )
    return rows


def _wav(samples: np.ndarray) -> memoryview:
    file = io.BytesIO()  # written to a path, libsndfile would wait for the disk after each track
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    return file.getbuffer()


def _labels(score: Score) -> dict[str, Any]:
    playing = [name for events in (score.hits, score.notes) for name, played in events.items() if len(played)]
    return {
        "tempo": round(score.tempo, 2),
        "metre": score.metre,
        "key": _KEYS[score.tonic],
        "instruments": " ".join(sorted(set(playing))),
    }
