"""Compose ten genres of music on this machine, so that everything runs offline.

Nothing is downloaded: the composer (`synthesis`) makes every track from the seed. The layout is GTZAN's
(Tzanetakis and Cook, 2002): ``<genre>/<genre>.00000.wav``, 22 050 Hz, mono, 16 bit. ``tracks.csv`` beside the
folders says who plays what. Each genre has up to twenty artists, and each artist has a sound of its own. So
if an artist is in both training and test, scores are inflated as they are on real music.

The collection also holds one example of each fault that Sturm (2012) found in GTZAN. `FAULTS` lists them, and
the column `planted` of ``tracks.csv`` says which tracks have them. Tests compare the audit's findings with
this column.

Licence: the output is machine-made and free of rights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.signal
import soundfile
from joblib import Parallel, delayed
from numpy.typing import NDArray

from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.base.params import Params
from genrepro.datasets.synthesis.artists import draw_artist, draw_title, take_crossover
from genrepro.datasets.synthesis.composer import compose
from genrepro.datasets.synthesis.mixing import Studio
from genrepro.datasets.synthesis.signals import SAMPLE_RATE
from genrepro.datasets.synthesis.styles import GENRES
from genrepro.download.cache import Remote
from genrepro.exact.numerics import num_workers
from genrepro.exact.streams import generator

REMOTES: dict[str, Remote] = {}
"""Nothing to fetch."""

FAULTS: Mapping[str, str] = {
    "undecodable": "a WAV header and then no audio that any decoder accepts, as GTZAN's jazz.00054",
    "truncated": "decodes, but holds a seventh of the clip",
    "silent": "digital silence",
    "exact_duplicate": "byte for byte another track of the same artist",
    "near_duplicate": "another track of the same artist, cut later, quieter, without treble",
    "mislabelled_duplicate": "byte for byte a metal track, under the wrong genre and without an artist",
}
"""By kind: what the fault is. `GENRE_OF_FAULT` says where it is planted."""

GENRE_OF_FAULT: Mapping[str, str] = {
    "undecodable": "jazz",
    "truncated": "country",
    "silent": "classical",
    "exact_duplicate": "hiphop",
    "near_duplicate": "disco",
    "mislabelled_duplicate": "rock",
}
"""Genre whose last track has the fault."""

ARTISTS_PER_GENRE = 20  # at most; 400 tracks give each two, so a fifth of the artists is an even test side
MIN_TRACKS = 40  # four per genre: three artists that can be kept apart, and a fault

_ORIGINALS = {"exact_duplicate": "hiphop", "near_duplicate": "disco", "mislabelled_duplicate": "metal"}
_SHIFT = 2.5  # the near duplicate starts this much later [s]


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One file to make."""

    genre: str
    index: int
    planted: str | None
    """Fault, if any."""
    recording: tuple[str, int]
    """Genre and index of the recording: those of the track itself, or of a duplicate's original."""
    artist_index: int
    """Number of the artist within the recording's genre."""
    album_index: int
    """Number of the artist's album. Two tracks are on an album."""

    @property
    def track_id(self) -> str:
        """Name of the track, in GTZAN's style."""
        return f"{self.genre}.{self.index:05d}"


def acquire(*, params: Params, raw: Path) -> None:
    """Compose the collection that ``params.synthetic`` describes into the folder ``raw``."""
    if params.source != "auto":
        raise GenreproError("synthetic is composed, not read: set source to auto, or choose another dataset.")
    wanted = params.synthetic
    compose_collection(
        raw=raw,
        num_tracks=wanted.num_tracks,
        duration=wanted.duration,
        seed=wanted.seed,
        num_workers=num_workers(),
    )


def compose_collection(
    *, raw: Path, num_tracks: int, duration: float, seed: int, num_workers: int = 1
) -> None:
    """Compose the collection.

    Parameters
    ----------
    raw
        Folder to fill.
    num_tracks
        Number of files, including faulty ones. They are spread over the genres as evenly as possible.
    duration
        Length of a track [s].
    seed
        Seed of all random choices. Equal seeds give equal files.
    num_workers
        Number of processes. The files do not depend on it.

    Raises
    ------
    ValueError
        If there are too few tracks to keep artists apart and to plant every fault.
    """
    if num_tracks < MIN_TRACKS:
        raise ValueError(
            f"The synthetic dataset needs at least {MIN_TRACKS} tracks, not {num_tracks}: raise num_tracks."
        )
    plan = plan_tracks(num_tracks)
    for genre in GENRES:
        (raw / genre).mkdir(parents=True, exist_ok=True)
    by_artist = [list(group) for _, group in groupby(sorted(plan, key=_performer), key=_performer)]
    Parallel(n_jobs=num_workers)(
        delayed(_record)(tracks, raw=raw, duration=duration, seed=seed) for tracks in by_artist
    )
    table = pd.DataFrame([_describe(track, seed=seed) for track in plan]).sort_values("track_id")
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
        (always None) and `fault`. Unknown values are None. Rows are sorted by `track_id`.
    """
    table = pd.read_csv(raw / "tracks.csv", dtype=object, keep_default_na=False, na_values=[""])
    table = table.drop(columns="planted")
    table.insert(len(table.columns) - 1, "official_split", None)
    return table.where(table.notna(), None)


def plan_tracks(num_tracks: int) -> list[Track]:
    """Decide the genre, artist and fault of every file."""
    faults = {genre: fault for fault, genre in GENRE_OF_FAULT.items()}
    num_artists = min(ARTISTS_PER_GENRE, max(4, num_tracks // len(GENRES) // 2))
    plan = []
    for position, genre in enumerate(GENRES):
        count = num_tracks // len(GENRES) + (position < num_tracks % len(GENRES))
        for index in range(count):
            planted = faults.get(genre) if index == count - 1 else None
            recording = (_ORIGINALS[planted], 0) if planted in _ORIGINALS else (genre, index)
            earlier, artist = divmod(recording[1], num_artists)
            plan.append(
                Track(
                    genre=genre,
                    index=index,
                    planted=planted,
                    recording=recording,
                    artist_index=artist,
                    album_index=earlier // 2,
                )
            )
    return plan


def _performer(track: Track) -> tuple[str, int]:
    return track.recording[0], track.artist_index


def _record(tracks: list[Track], *, raw: Path, duration: float, seed: int) -> None:
    """Make the files of one artist, in one studio."""
    artist = draw_artist(genre=tracks[0].recording[0], index=tracks[0].artist_index, seed=seed)
    studio = Studio(artist)
    for track in tracks:
        path = raw / track.genre / f"{track.track_id}.wav"
        rng = generator(seed, "track/{}.{}".format(*track.recording))
        # The near duplicate and its original are cut from the same longer take, so compose that for both.
        shift = min(_SHIFT, duration / 4)
        take = duration + shift if track.recording == (_ORIGINALS["near_duplicate"], 0) else duration
        score = compose(style=take_crossover(artist, rng=rng), artist=artist, rng=rng, duration=take)
        samples = studio.render(score)
        start = round(shift * SAMPLE_RATE) if track.planted == "near_duplicate" else 0
        _write(path, samples[start : start + round(duration * SAMPLE_RATE)], planted=track.planted)


def _write(path: Path, samples: NDArray[np.int16], *, planted: str | None) -> None:
    if planted == "truncated":
        samples = samples[: len(samples) // 7]
    if planted == "silent":
        samples = np.zeros_like(samples)
    if planted == "near_duplicate":
        samples = _reencode(samples)
    with replacing(path) as partial:
        if planted == "undecodable":
            # A RIFF header that announces a format chunk, followed by zeros.
            partial.write_bytes(b"RIFF\x24\x2f\x14\x00WAVEfmt " + bytes(4096))
        else:
            soundfile.write(partial, samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def _reencode(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Imitate a low bit rate: remove treble, change the gain, round to coarser steps."""
    lowpass = scipy.signal.butter(6, 7000, fs=SAMPLE_RATE, output="sos")
    return (np.round(scipy.signal.sosfilt(lowpass, samples) * 0.7 / 64) * 64).astype(np.int16)


def _describe(track: Track, *, seed: int) -> dict[str, str | None]:
    genre, index = track.recording
    orphan = track.planted == "mislabelled_duplicate"
    artist = draw_artist(genre=genre, index=track.artist_index, seed=seed).name
    of = f" of {genre}.{index:05d}" if track.planted in _ORIGINALS else ""
    return {
        "track_id": track.track_id,
        "genre": track.genre,
        "artist": None if orphan else artist,
        "album": None if orphan else draw_title(seed=seed, name=f"album/{artist}/{track.album_index}"),
        "title": None if orphan else draw_title(seed=seed, name=f"title/{artist}/{index}"),
        "path": f"{track.genre}/{track.track_id}.wav",
        "fault": track.planted if track.planted == "undecodable" else None,
        "planted": track.planted and track.planted + of,
    }
