"""Claims about the corpus for pretraining: it repeats itself, it grows, and its labels say what plays."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.builders import make_params

from genrepro.base.errors import GenreproError
from genrepro.base.tables import LABELS
from genrepro.datasets import IDENTITY, composed, synthetic
from genrepro.datasets.synthesis.artists import draw_artist
from genrepro.datasets.synthesis.composer import compose
from genrepro.datasets.synthesis.notation import parse_progression
from genrepro.datasets.synthesis.singing import DELIVERIES, draw_singer
from genrepro.datasets.synthesis.styles import GENRES
from genrepro.exact.streams import generator, integer

SMALL: dict[str, Any] = {"artists_per_genre": 3, "tracks_per_artist": 2, "duration": 2.0, "seed": 5}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    composed.compose_corpus(raw=folder, **SMALL)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_gives_identical_bytes_whatever_the_workers(raw: Path, tmp_path: Path) -> None:
    composed.acquire(params=make_params(dataset="composed", composed=SMALL), raw=tmp_path)
    assert digests(tmp_path) == digests(raw)
    composed.compose_corpus(raw=tmp_path, **SMALL | {"seed": 6})
    assert set(digests(tmp_path).values()).isdisjoint(digests(raw).values())


def test_every_genre_has_the_artists_and_every_artist_the_tracks(raw: Path) -> None:
    catalog = composed.read_catalog(raw)
    assert set(catalog) == set(IDENTITY)
    assert list(catalog.track_id) == sorted(catalog.track_id)
    assert set(catalog.path) == {str(path.relative_to(raw)) for path in raw.rglob("*.wav")}
    assert (catalog.groupby("genre").artist.nunique() == 3).all() and catalog.genre.nunique() == len(GENRES)
    assert (catalog.groupby("artist").size() == 2).all()
    assert {soundfile.info(raw / path).frames for path in catalog.path} == {2 * 22050}


def test_no_track_is_another(raw: Path) -> None:
    audio = {name: digest for name, digest in digests(raw).items() if name.endswith(".wav")}
    assert len(set(audio.values())) == len(audio) == 60


def test_a_larger_corpus_holds_the_music_of_the_smaller_one(raw: Path, tmp_path: Path) -> None:
    composed.compose_corpus(raw=tmp_path, **SMALL | {"artists_per_genre": 4, "tracks_per_artist": 3})
    assert {d for name, d in digests(raw).items() if name.endswith("wav")} < set(digests(tmp_path).values())


def test_no_artist_is_one_of_the_default_data_set(tmp_path: Path, raw: Path) -> None:
    synthetic.compose_collection(raw=tmp_path, num_tracks=40, duration=2.0, seed=5)
    heard = [pd.read_csv(folder / "tracks.csv").artist.dropna() for folder in (raw, tmp_path)]
    assert set(digests(tmp_path).values()).isdisjoint(digests(raw).values())
    assert len(set(heard[0]) & set(heard[1])) <= 1  # of 1296 names one may be drawn twice, for other music


def test_labels_say_what_the_composer_wrote(raw: Path) -> None:
    labels = composed.read_labels(raw).set_index("track_id")
    assert list(labels) == LABELS.names[1:]
    assert labels.tempo.between(40, 220).all() and set(labels.metre) <= {3, 4}
    assert labels.key.nunique() > 6
    assert labels.loc["metal.00000", "instruments"] != labels.loc["classical.00000", "instruments"]
    assert not labels.instruments.str.fullmatch(r"\s*").any()


def test_labels_name_the_voice_where_one_sings(tmp_path: Path) -> None:
    composed.compose_corpus(raw=tmp_path, **SMALL | {"tracks_per_artist": 1, "duration": 8.0})
    playing = composed.read_labels(tmp_path).set_index("track_id").instruments.str.split()
    apart = integer(SMALL["seed"], "composed")
    singers = [draw_singer(genre=genre, index=index, seed=apart) for genre in GENRES for index in range(3)]
    heard = [set(names) & set(DELIVERIES) for names in playing]
    assert heard == [{singer.name} if singer else set() for singer in singers]
    assert "rapping" in playing["hiphop.00000"] and any(heard) and not all(heard)


@pytest.mark.parametrize("genre", ["jazz", "rock"])
def test_the_key_is_the_one_that_the_chords_are_in(genre: str) -> None:
    artist = draw_artist(genre=genre, index=1, seed=0)
    roots = {chord.root for text in artist.style.progressions for chord in parse_progression(text)}
    for number in range(8):
        rng = generator(0, f"{number}")
        score = compose(style=artist.style, artist=artist, rng=rng, duration=20.0)
        (part, *_) = artist.style.chords
        played = (score.notes[part.instruments[0]]["pitch"].astype(int) - score.tonic) % 12
        assert np.isin(played, list(roots)).all()


def test_a_source_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="composed is composed, not read"):
        composed.acquire(params=make_params(source="somewhere"), raw=tmp_path)


def test_too_few_artists_are_refused() -> None:
    with pytest.raises(GenreproError, match=r"composed\.artists_per_genre = 2 must be at least 3"):
        make_params(composed={"artists_per_genre": 2})
