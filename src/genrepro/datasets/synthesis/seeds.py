"""What a composed track grows from: 200 bytes that say which artist, which of its tracks, and how long.

`play` makes the track, always the same one. So a corpus need not be on disk: a seed file stands for each of
its tracks, and whoever decodes the file composes the track (``composed.files: seeds``).

A seed file is JSON and names the code that composes, by a hash. Another version of that code refuses it,
since it might play other music. The stage download depends on the code: it writes new seed files, and what
was rendered from the old ones is rendered again.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from genrepro.base.errors import GenreproError
from genrepro.datasets.synthesis.artists import Artist, draw_artist, take_crossover
from genrepro.datasets.synthesis.composer import Score, compose
from genrepro.datasets.synthesis.medium import draw_medium, record
from genrepro.datasets.synthesis.mixing import Studio
from genrepro.datasets.synthesis.singing import Singer, draw_singer
from genrepro.datasets.synthesis.styles import GENRES
from genrepro.exact.streams import generator

SUFFIX = ".seed"
_MAX_BYTES = 400  # none is as long, and JSON of no more bytes cannot nest deeper than Python recurses
_SHORTEST = 2  # s, as `composed.duration`
_CODE = ("datasets/synthesis", "exact")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """One track of the corpus."""

    genre: str
    artist: int
    """Number of the artist within its genre, from 0."""
    track: int
    """Number of the track among the artist's, from 0."""
    duration: float
    """s"""
    corpus: int
    """Seed of the corpus."""

    @property
    def name(self) -> str:
        """What the track's random streams are called. The track's id would depend on the corpus's size."""
        return f"{self.genre}/{self.artist}/{self.track}"


def write(seed: Seed) -> bytes:
    """The content of a track's seed file."""
    return (json.dumps({"composer": composer(), **dataclasses.asdict(seed)}) + "\n").encode()


def read(path: Path) -> Seed:
    """Read a seed file.

    Raises
    ------
    ValueError
        If it is none.
    GenreproError
        If another version of the composer wrote it.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        written_by = content.pop("composer")
        seed = Seed(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("no seed of a composed track") from error
    if not _plausible(seed):
        raise ValueError("no seed of a composed track")
    if written_by != composer():
        raise GenreproError(
            f"{path} is from another version of the composer ({str(written_by)[:16]}, here {composer()}): "
            "`dvc repro download`."
        )
    return seed


@cache
def composer() -> str:
    """A hash of the code that makes the music."""
    package = resources.files("genrepro")
    files = [file for folder in _CODE for file in package.joinpath(folder).iterdir()]
    code = sorted(file.read_text("utf-8") for file in files if file.name.endswith(".py"))
    return hashlib.sha256("".join(code).encode()).hexdigest()[:16]


def score(seed: Seed) -> Score:
    """Compose the track, without playing it."""
    artist, singer = people(seed.genre, seed.artist, seed.corpus)
    rng = generator(seed.corpus, f"track/{seed.name}")
    return compose(
        style=take_crossover(artist, rng=rng),
        artist=artist,
        rng=rng,
        duration=seed.duration,
        singer=singer,
        song=generator(seed.corpus, f"song/{seed.name}"),
    )


def play(seed: Seed, written: Score | None = None) -> NDArray[Any]:
    """Play the track and record it on its medium.

    Parameters
    ----------
    seed : Seed
        The track. The next track of the same artist is quicker, since its studio keeps its notes.
    written : Score or None
        The track's `score`, if it is known.

    Returns
    -------
    numpy.ndarray [shape=(round(duration * SAMPLE_RATE),), dtype=int16]
        Mono.
    """
    studio = _studio(seed.genre, seed.artist, seed.corpus)
    press = generator(seed.corpus, f"medium/{seed.name}")
    music = studio.play(score(seed) if written is None else written)
    return record(music, medium=draw_medium(press), rng=press)


@lru_cache(maxsize=1)
def people(genre: str, number: int, corpus: int) -> tuple[Artist, Singer | None]:
    """The ``number``-th artist of a genre, and who sings for it."""
    artist = draw_artist(genre=genre, index=number, seed=corpus)
    return artist, draw_singer(genre=genre, index=number, seed=corpus)


@lru_cache(maxsize=1)
def _studio(genre: str, number: int, corpus: int) -> Studio:
    return Studio(*people(genre, number, corpus))


def _plausible(seed: Seed) -> bool:
    numbers = (seed.artist, seed.track, seed.corpus)
    return (
        seed.genre in GENRES
        and all(type(number) is int and number >= 0 for number in numbers)
        and isinstance(seed.duration, int | float)
        and _SHORTEST <= seed.duration < float("inf")
    )
