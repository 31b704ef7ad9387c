"""The sections of params.yaml that describe data sets: what to compose, and how to read what people bring."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from genrepro.base.sections import Section


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthetic(Section):
    num_tracks: int
    """Tracks composed, spread evenly over ten genres."""
    duration: float
    """Length of each track in s."""
    seed: int
    """Seed of the composer only: the experiment's seed must not change the data."""

    def __post_init__(self) -> None:
        self._check("num_tracks", holds=self.num_tracks >= 40, must="be at least 40, four for each genre")
        self._check("duration", holds=self.duration >= 2, must="be at least 2 s")
        self._check("seed", holds=self.seed >= 0, must="be at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed(Section):
    artists_per_genre: int
    """Artists of each of ten genres."""
    tracks_per_artist: int
    duration: float
    """Length of each track in s."""
    seed: int
    """Seed of the composer only."""
    files: Literal["wav", "seeds"]
    """What is written: audio, or files of 200 bytes from which whoever decodes a track composes it anew."""

    def __post_init__(self) -> None:
        self._check("artists_per_genre", holds=self.artists_per_genre >= 3, must="be at least 3, one a side")
        self._check("tracks_per_artist", holds=self.tracks_per_artist >= 1, must="be at least 1")
        self._check("duration", holds=self.duration >= 2, must="be at least 2 s")
        self._check("seed", holds=self.seed >= 0, must="be at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder(Section):
    layout: str
    """What the folders above a file are, from the top: `datasets.layouts`."""

    def __post_init__(self) -> None:
        *folders, file = self.layout.split("/")
        named = [folder for folder in folders if folder != "*"]
        known = {"genre", "artist", "album", "split", "**"}
        holds = file == "file" and "genre" in named and set(named) <= known and len(named) == len(set(named))
        must = "be genre/file, or a path of genre, artist, album, split, * or ** that ends in file"
        self._check("layout", holds=holds, must=must)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub(Section):
    """Names of columns; auto: found by type and name, none: there is no such column."""

    config: str
    """Subset that the data set's page names; auto: the only one, or the page's default."""
    revision: str
    """Commit, tag or branch."""
    audio: str
    """Audio or pictures."""
    label: str
    """Genres."""
    artist: str
    album: str
    title: str
    split: str
    """auto: a column `split`, else the data set's own splits if it has several."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field.name, holds=bool(getattr(self, field.name)), must="not be empty")
        for key in ("audio", "label"):
            self._check(key, holds=getattr(self, key) != "none", must="name a column or be auto")
