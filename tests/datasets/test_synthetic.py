"""Claims about the embedded dataset.

It repeats itself exactly, it sounds like its genres, and it says what it plants.
"""

import dataclasses
import hashlib
from itertools import combinations
from pathlib import Path

import librosa.onset  # now: among all modules of the suite, its lazy import takes ten times as long
import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.signal import correlate, correlation_lags

from genrepro.base import params
from genrepro.datasets import synthetic
from genrepro.datasets.synthesis.artists import Artist, draw_artist
from genrepro.datasets.synthesis.composer import Score, compose
from genrepro.datasets.synthesis.mixing import Studio
from genrepro.datasets.synthesis.notation import Chord, parse_pattern, parse_progression
from genrepro.datasets.synthesis.signals import SAMPLE_RATE
from genrepro.datasets.synthesis.styles import GENRES, STYLES
from genrepro.exact.streams import generator
from genrepro.split import strategies

DURATION = 3.0
NUM_TRACKS = 43  # not a multiple of ten, on purpose


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    synthetic.compose_collection(raw=folder, num_tracks=NUM_TRACKS, duration=DURATION, seed=7)
    return folder


@pytest.fixture(scope="module")
def planted(raw: Path) -> pd.DataFrame:
    """The declaration of every planted fault, by kind, with the duplicates' originals."""
    table = pd.read_csv(raw / "tracks.csv")
    declared = table.planted.str.extract(r"^(?P<kind>\w+)(?: of (?P<original>.+))?$")
    return table.join(declared)[declared.kind.notna()].set_index("kind")


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def audio_of(raw: Path, track_id: str) -> np.ndarray:
    return soundfile.read(raw / track_id.split(".")[0] / f"{track_id}.wav")[0]


def performance(artist: Artist, *, name: str, duration: float) -> tuple[Score, np.ndarray]:
    score = compose(style=artist.style, artist=artist, rng=generator(0, name), duration=duration)
    return score, Studio(artist).render(score).astype(np.float32) / 32768


def test_same_seed_gives_identical_bytes_whatever_the_workers(raw: Path, tmp_path: Path) -> None:
    # Each worker is a fresh interpreter with string hashes of its own, so this covers PYTHONHASHSEED too.
    synthetic.compose_collection(
        raw=tmp_path, num_tracks=NUM_TRACKS, duration=DURATION, seed=7, num_workers=2
    )
    assert digests(tmp_path) == digests(raw)


def test_another_seed_gives_other_artists_and_other_music() -> None:
    one, other = (draw_artist(genre="jazz", index=0, seed=seed) for seed in (1, 2))
    assert one.name != other.name
    assert not np.array_equal(
        performance(one, name="x", duration=1)[1], performance(other, name="x", duration=1)[1]
    )


def test_a_track_does_not_depend_on_what_was_recorded_before() -> None:
    artist = draw_artist(genre="pop", index=0, seed=1)
    scores = [compose(style=artist.style, artist=artist, rng=generator(0, name), duration=2) for name in "ab"]
    studio = Studio(artist)
    forwards = [studio.render(score) for score in scores]
    assert np.array_equal(forwards[1], Studio(artist).render(scores[1]))


def test_files_are_laid_out_like_gtzan(raw: Path) -> None:
    catalog = synthetic.read_catalog(raw)
    assert list(catalog) == [
        "track_id",
        "genre",
        "artist",
        "album",
        "title",
        "path",
        "official_split",
        "fault",
    ]
    assert list(catalog.track_id) == sorted(catalog.track_id)
    assert set(catalog.path) == {str(path.relative_to(raw)) for path in raw.rglob("*.wav")}
    assert catalog.official_split.isna().all()
    info = soundfile.info(raw / "blues" / "blues.00000.wav")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
    assert info.frames == round(DURATION * 22050)
    assert not list(raw.rglob("*.partial"))


def test_genres_and_artists_share_the_tracks_evenly(subtests: pytest.Subtests) -> None:
    for num_tracks in (40, 41, 79, 100, 1003):
        with subtests.test(num_tracks=num_tracks):
            plan = pd.DataFrame(
                [
                    {"genre": track.genre, "artist": track.artist_index}
                    for track in synthetic.plan_tracks(num_tracks)
                ]
            )
            per_genre = plan.genre.value_counts()
            assert per_genre.sum() == num_tracks and set(per_genre.index) == set(GENRES)
            assert per_genre.max() - per_genre.min() <= 1
            assert plan.groupby("genre").artist.nunique().between(3, synthetic.ARTISTS_PER_GENRE).all()


def test_no_two_artists_share_a_name_however_many_there_are() -> None:
    # The lists hold 324 names for a genre of soloists and 216 for a genre of bands.
    for genres in (["blues", "jazz"], ["metal", "rock"]):
        names = [
            draw_artist(genre=genre, index=index, seed=3).name for genre in genres for index in range(350)
        ]
        assert len(set(names)) == len(names)


def test_an_album_holds_two_tracks_of_one_artist() -> None:
    plan = pd.DataFrame([dataclasses.asdict(track) for track in synthetic.plan_tracks(1000)])
    originals = plan[plan.planted.isna()]
    sizes = originals.groupby(["genre", "artist_index", "album_index"]).size()
    assert sizes.max() == 2 and (sizes == 2).mean() > 0.6  # an artist has five tracks, or four and a fault


def test_every_artist_disjoint_split_of_the_default_collection_is_even() -> None:
    plan = pd.DataFrame([dataclasses.asdict(track) for track in synthetic.plan_tracks(400)])
    tracks = pd.DataFrame(
        {
            "track_id": plan.genre + "." + plan["index"].astype(str),
            "genre": plan.genre,
            "artist": plan.recording.str[0] + plan.artist_index.astype(str),
            "official_split": None,
            "duplicate_group": None,
            "excluded": plan.planted.where(plan.planted.isin(["undecodable", "truncated", "silent"])),
        }
    )
    for seed in range(5):
        split = strategies.assign(tracks, params=params.load().split, seed=seed).merge(tracks)
        assert split[split.split == "test"].genre.value_counts().between(7, 9).all()


def test_too_few_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 40 tracks"):
        synthetic.compose_collection(raw=tmp_path, num_tracks=39, duration=DURATION, seed=7)


def test_every_planted_fault_is_there_and_declared(raw: Path, planted: pd.DataFrame) -> None:
    assert sorted(planted.index) == sorted(synthetic.FAULTS)
    assert planted.genre.is_unique
    catalog = synthetic.read_catalog(raw).set_index("track_id")
    assert catalog.fault.dropna().to_dict() == {planted.track_id["undecodable"]: "undecodable"}


def test_no_decoder_takes_the_undecodable_file(raw: Path, planted: pd.DataFrame) -> None:
    with pytest.raises(soundfile.LibsndfileError):
        audio_of(raw, planted.track_id["undecodable"])


def test_the_truncated_file_decodes_to_a_short_clip(raw: Path, planted: pd.DataFrame) -> None:
    assert 0 < len(audio_of(raw, planted.track_id["truncated"])) <= 0.2 * DURATION * SAMPLE_RATE


def test_only_the_silent_file_is_silent(raw: Path, planted: pd.DataFrame) -> None:
    decodable = synthetic.read_catalog(raw).query("fault.isna()").track_id
    silent = [track_id for track_id in decodable if not audio_of(raw, track_id).any()]
    assert silent == [planted.track_id["silent"]]


def test_exact_duplicates_are_byte_for_byte_and_nothing_else_is(raw: Path, planted: pd.DataFrame) -> None:
    content = pd.Series(digests(raw)).rename(lambda path: Path(path).stem)
    copies = content[content.duplicated(keep=False)]
    found = {frozenset(group.index) for _, group in copies.groupby(copies)}
    exact = planted.loc[["exact_duplicate", "mislabelled_duplicate"]]
    assert found == {frozenset(pair) for pair in zip(exact.track_id, exact.original, strict=True)}


def test_the_near_duplicate_is_its_original_shifted(raw: Path, planted: pd.DataFrame) -> None:
    near = planted.loc["near_duplicate"]
    copy, original = audio_of(raw, str(near.track_id)), audio_of(raw, str(near.original))
    match = correlate(original, copy, mode="full")
    lag = correlation_lags(len(original), len(copy))[np.argmax(np.abs(match))]
    assert lag / SAMPLE_RATE == pytest.approx(DURATION / 4, abs=0.002)  # the codec delays by some samples
    assert np.corrcoef(original[lag:], copy[:-lag])[0, 1] > 0.9


def test_a_duplicate_keeps_its_artist_unless_it_is_mislabelled(raw: Path, planted: pd.DataFrame) -> None:
    catalog = synthetic.read_catalog(raw).set_index("track_id")
    for kind in ("exact_duplicate", "near_duplicate"):
        assert catalog.artist[planted.track_id[kind]] == catalog.artist[planted.original[kind]]
    assert catalog.artist[planted.track_id["mislabelled_duplicate"]] is None
    assert catalog.genre[planted.original["mislabelled_duplicate"]] != planted.genre["mislabelled_duplicate"]


def test_genres_have_their_tempo(subtests: pytest.Subtests) -> None:
    for genre in ["disco", "metal", "pop", "rock"]:
        with subtests.test(genre=genre):
            # The beat must be heard, not just declared: onsets repeat after one beat, less so off the grid.
            repeats = []
            for index in range(4):
                artist = draw_artist(genre=genre, index=index, seed=5)
                score, audio = performance(artist, name="tempo", duration=8)
                assert artist.style.tempo[0] <= score.tempo <= artist.style.tempo[1]
                onsets = librosa.onset.onset_strength(y=audio, sr=SAMPLE_RATE, hop_length=128)
                similarity = librosa.autocorrelate(onsets - onsets.mean())
                beat = 60 / score.tempo * SAMPLE_RATE / 128
                on, off = (similarity[round(share * beat) - 2 :][:5].max() for share in (1.0, 0.625))
                repeats.append(on > off)
            assert sum(repeats) >= 3


def test_slow_genres_are_slower_than_fast_ones() -> None:
    centre = {genre: sum(style.tempo) / 2 for genre, style in STYLES.items()}
    assert sorted(centre, key=lambda genre: centre[genre])[:2] == ["reggae", "hiphop"]
    assert max(centre, key=lambda genre: centre[genre]) == "metal"


def test_metal_is_deeper_denser_and_steadier_than_rock() -> None:
    # As in GTZAN's pictures: there the means differ by 8 dB below 100 Hz and from 2 to 4 kHz.
    def bands(genre: str) -> np.ndarray:
        sounds = []
        for index in range(6):
            artist = draw_artist(genre=genre, index=index, seed=0)
            audio = performance(artist, name=f"track {index}", duration=6)[1]
            mel = librosa.power_to_db(librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE), ref=np.max)
            centre = librosa.mel_frequencies(128, fmax=SAMPLE_RATE / 2)
            low, high = mel[centre < 100], mel[(centre > 2000) & (centre < 4000)]
            sounds.append([low.mean(), high.mean(), high.mean(axis=0).std()])
        return np.mean(sounds, axis=0)

    low, high, changes = bands("metal") - bands("rock")
    assert low > 4 and high > 3 and changes < -1


def test_classical_styles_have_no_drummer_and_all_others_do() -> None:
    silent = {genre for genre, style in STYLES.items() if not any(style.grooves)}
    assert silent == {"classical"}


def test_artists_of_one_genre_differ_more_than_tracks_of_one_artist() -> None:
    def spectrum(artist: Artist, name: str) -> np.ndarray:
        mel = librosa.feature.melspectrogram(y=performance(artist, name=name, duration=4)[1], sr=SAMPLE_RATE)
        return librosa.power_to_db(mel, ref=np.max).mean(axis=1)

    within, between = [], []
    for genre in ("jazz", "pop", "rock"):
        artists = [draw_artist(genre=genre, index=index, seed=1) for index in range(8)]
        spectra = np.array([[spectrum(artist, name) for name in "ab"] for artist in artists])
        within.append(np.abs(spectra[:, 0] - spectra[:, 1]).mean())
        between.append(np.mean([np.abs(one - other).mean() for one, other in combinations(spectra[:, 0], 2)]))
    assert sum(between) > 1.3 * sum(within)


def test_a_pattern_spreads_evenly_over_the_bar() -> None:
    assert parse_pattern("X-.x") == ((0.0, 0.5, "X"), (0.75, 0.25, "x"))


def test_progressions_are_read_as_a_musician_reads_them() -> None:
    assert parse_progression("ii7 V7 Imaj7 bVII") == [
        Chord(2, "minor seventh"),
        Chord(7, "seventh"),
        Chord(0, "major seventh"),
        Chord(10, "major"),
    ]
