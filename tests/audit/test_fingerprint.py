"""Near duplicates: altered copies of composed pieces are found, other pieces are not."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from support.builders import make_params, write_mels

from genrepro.audit import duplicates, fingerprint
from genrepro.base.files import write_parquet
from genrepro.datasets.synthesis.artists import draw_artist, take_crossover
from genrepro.datasets.synthesis.composer import compose
from genrepro.datasets.synthesis.mixing import Studio
from genrepro.exact.streams import generator
from genrepro.spectrogram import mel

SAMPLE_RATE = 22050
FRAME_RATE = SAMPLE_RATE / 512
MIN_SIMILARITY = 0.65
DURATION = 20.0  # s, of a clip; the pieces they are cut from go on for 4 s
GENRES = ("classical", "disco", "hiphop", "reggae")


def cut(take: np.ndarray, start: float, stop: float) -> np.ndarray:
    return take[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]


def through_mp3(samples: np.ndarray) -> np.ndarray:
    """There and back at 64 kbit/s: of 160 .. 8 kbit/s, 63 % of the way."""
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        soundfile.write(
            file.name, samples, SAMPLE_RATE, format="MP3", compression_level=96 / 152, bitrate_mode="CONSTANT"
        )
        assert Path(file.name).stat().st_size * 8 / (len(samples) / SAMPLE_RATE) == pytest.approx(
            64e3, rel=0.1
        )
        return soundfile.read(file.name)[0]


def with_noise(samples: np.ndarray) -> np.ndarray:
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-10 / 20)
    return samples + level * np.random.default_rng(0).standard_normal(len(samples))


COPIES = {
    "exact": lambda take: cut(take, 0, 20),
    "mp3": lambda take: through_mp3(cut(take, 0, 20)),
    "shifted": lambda take: cut(take, 3, 23),
    "louder": lambda take: np.clip(2 * cut(take, 0, 20), -1, 1),
    "shortened": lambda take: cut(take, 4, 16),
    "noisy": lambda take: with_noise(cut(take, 0, 20)),
    "shifted_noisy_mp3": lambda take: through_mp3(with_noise(cut(take, 3, 23))),
}
OFFSETS = {"shifted": 3.0, "shortened": 4.0, "shifted_noisy_mp3": 3.0}  # s
OVERLAPS = {"shifted": 17.0, "shortened": 12.0, "shifted_noisy_mp3": 17.0}  # s


def spectrogram(samples: np.ndarray) -> np.ndarray:
    return mel.log_mel(samples.astype(np.float32), params=make_params().mel)


@pytest.fixture(scope="module")
def pieces() -> dict[str, np.ndarray]:
    """Spectrograms of four pieces by one artist of each of four genres, and of copies of each first."""
    clips = {}
    for genre in GENRES:
        artist = draw_artist(genre=genre, index=0, seed=3)
        studio = Studio(artist)
        for number in range(4):
            rng = generator(3, f"{genre}.{number}")
            style = take_crossover(artist, rng=rng)
            score = compose(style=style, artist=artist, rng=rng, duration=DURATION + 4)
            take = studio.render(score) / 32768
            clips[f"{genre}.{number}"] = spectrogram(cut(take, 0, DURATION))
            if number == 0:
                clips |= {f"{genre}.0.{kind}": spectrogram(copy(take)) for kind, copy in COPIES.items()}
    return clips


@pytest.fixture(scope="module")
def found(pieces: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[duplicates.Pair]:
    return search(tmp_path_factory.mktemp("mel") / "mel.parquet", pieces)


def search(
    path: Path, spectrograms: dict, *, frame_rate: float = FRAME_RATE, **wanted
) -> list[duplicates.Pair]:
    write_mels(path, spectrograms, frame_rate=frame_rate)
    return duplicates.near_duplicates(
        path, **{"skip": frozenset(), "min_similarity": MIN_SIMILARITY, "num_workers": 1, **wanted}
    )


def joined(pairs: list[duplicates.Pair]) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in pairs]


def test_every_altered_copy_is_found_where_it_was_cut(
    found: list[duplicates.Pair], subtests: pytest.Subtests
) -> None:
    for kind in COPIES:
        with subtests.test(kind=kind):
            pairs = {(pair.first, pair.second): pair for pair in found}
            for genre in GENRES:
                pair = pairs[f"{genre}.0", f"{genre}.0.{kind}"]
                assert pair.offset == pytest.approx(OFFSETS.get(kind, 0.0), abs=0.15)
                assert pair.overlap == pytest.approx(OVERLAPS.get(kind, 20.0), abs=0.3)


def test_no_two_pieces_are_joined(found: list[duplicates.Pair]) -> None:
    recordings = [{".".join(track.split(".")[:2]) for track in pair} for pair in joined(found)]
    assert all(len(recording) == 1 for recording in recordings)


def test_an_exact_copy_is_wholly_similar(found: list[duplicates.Pair]) -> None:
    exact = [pair.similarity for pair in found if (pair.second == f"{pair.first}.exact")]
    assert exact == pytest.approx([1.0] * len(GENRES))


def test_pairs_are_sorted_and_named_once(found: list[duplicates.Pair]) -> None:
    assert joined(found) == sorted(set(joined(found)))
    assert all(pair.first < pair.second for pair in found)


def test_neither_workers_nor_the_order_of_rows_change_anything(
    pieces: dict[str, np.ndarray], found: list[duplicates.Pair], tmp_path: Path
) -> None:
    path = write_mels(tmp_path / "mel.parquet", pieces, frame_rate=FRAME_RATE)
    table = pq.read_table(path)
    backwards = table.take(pa.array(np.arange(table.num_rows)[::-1]))
    write_parquet(tmp_path / "backwards.parquet", [backwards], backwards.schema)
    again = duplicates.near_duplicates(
        tmp_path / "backwards.parquet", skip=frozenset(), min_similarity=MIN_SIMILARITY, num_workers=2
    )
    assert again == found


def test_a_skipped_track_is_in_no_pair(pieces: dict[str, np.ndarray], tmp_path: Path) -> None:
    two = {name: pieces[name] for name in ("classical.0", "classical.0.exact")}
    assert search(tmp_path / "mel.parquet", two)
    assert not search(tmp_path / "mel.parquet", two, skip={"classical.0"})


def test_only_pairs_above_the_threshold_are_returned(pieces: dict[str, np.ndarray], tmp_path: Path) -> None:
    two = {name: pieces[name] for name in ("classical.0", "classical.0.noisy")}
    (pair,) = search(tmp_path / "mel.parquet", two)
    assert not search(tmp_path / "mel.parquet", two, min_similarity=pair.similarity + 0.001)


def test_at_the_frame_rate_and_bands_of_pictures_copies_are_found(
    pieces: dict[str, np.ndarray], tmp_path: Path
) -> None:
    # 11 columns a second and more rows than bands, nearest neighbours, as in Kaggle's pictures of GTZAN.
    rows = np.arange(218) * 128 // 218
    pictures = {name: clip[::4, rows] for name, clip in pieces.items() if name.count(".") == 1}
    pictures["later"] = pieces["disco.0"][2 + 4 * 20 :: 4, rows]
    (pair,) = search(tmp_path / "mel.parquet", pictures, frame_rate=FRAME_RATE / 4)
    assert (pair.first, pair.second) == ("disco.0", "later")
    assert pair.offset == pytest.approx(20 / (FRAME_RATE / 4), abs=0.15)


def test_a_copy_that_runs_one_percent_slower_is_found(pieces: dict[str, np.ndarray], tmp_path: Path) -> None:
    clip = pieces["reggae.0"]
    slower = clip[(np.arange(int(len(clip) * 1.01)) / 1.01).astype(int)]
    assert search(tmp_path / "mel.parquet", {"a": clip, "slower": slower})


def test_one_loop_under_two_melodies_is_not_one_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    beat = np.full((86, 128), -70.0)
    for start in (0, 21, 43, 64):  # four strokes every two seconds, the same sound each time
        beat[start : start + 4] += rng.uniform(10, 60, 128)

    def song() -> np.ndarray:
        clip = np.tile(beat, (15, 1))
        for start in range(0, len(clip), 11):
            clip[start : start + 11, rng.integers(20, 100)] = -15.0
        return clip + rng.normal(0, 1, clip.shape)

    assert not search(tmp_path / "mel.parquet", {"a": song(), "b": song()})


def test_silence_steady_sound_and_single_frames_are_no_duplicates(tmp_path: Path) -> None:
    tone = np.full((860, 128), -80.0)
    tone[:, 40] = 0.0
    silence = np.full((860, 128), -80.0)
    clips = {
        "a": silence,
        "b": silence,
        "c": tone,
        "d": tone,
        "e": tone[:1],
        "f": tone[:1],
        "g": None,
        "h": None,
    }
    assert search(tmp_path / "mel.parquet", clips) == []


def test_a_table_without_music_has_no_pairs(tmp_path: Path) -> None:
    for clips in [{}, {"a": None}, {"a": np.zeros((1, 128))}]:
        assert search(tmp_path / "mel.parquet", clips) == []


def test_landmarks_survive_a_gain_and_a_cut(pieces: dict[str, np.ndarray]) -> None:
    clip = pieces["hiphop.0"]
    hashes, times = fingerprint.landmarks(clip, frame_rate=FRAME_RATE)
    quieter, _ = fingerprint.landmarks(clip - 6, frame_rate=FRAME_RATE)
    np.testing.assert_array_equal(quieter, hashes)
    later, later_times = fingerprint.landmarks(clip[100:], frame_rate=FRAME_RATE)
    before = set(zip(hashes.tolist(), times.tolist(), strict=True))
    after = set(zip(later.tolist(), (later_times + 100).tolist(), strict=True))
    assert len(before & after) > 0.9 * len(after)


def test_the_offset_is_that_of_a_search_through_all_of_them() -> None:
    rng = np.random.default_rng(1)
    long = rng.integers(-60, 60, (400, 64)).astype(np.int8)
    first, second = long[:300], long[57:357]
    every = [np.corrcoef(first[shift:].ravel(), second[: 300 - shift].ravel())[0, 1] for shift in range(150)]
    similarity, offset, overlap = duplicates.compare(first, second, rate=10.0)
    assert np.argmax(every) == 57
    assert (similarity, offset, overlap) == (pytest.approx(1.0), 5.7, 24.3)
