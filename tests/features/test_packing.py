"""Claims about features: the test tracks shape nothing, and every frame is where the table says."""

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
from support.builders import make_params, make_split, write_mels

from genrepro.features import packing
from genrepro.models.shared import inputs
from genrepro.models.shared.segments import fixed_spans, segment_frames, spans

GENRE = pd.Series({"a.0": "a", "a.1": "a", "a.2": "a", "b.0": "b", "b.1": "b", "b.2": "b", "b.3": "b"})
SIDES = {
    "a.0": "train",
    "a.1": "validation",
    "a.2": "test",
    "b.0": "train",
    "b.1": "validation",
    "b.2": "test",
    "b.3": "excluded",
}


def clips(seed: int = 0) -> dict[str, np.ndarray]:
    """Of lengths that no group size divides."""
    rng = np.random.default_rng(seed)
    return {
        track_id: rng.uniform(-80, 0, (50 + 7 * number, 12)) for number, track_id in enumerate(GENRE.index)
    }


def build(
    folder: Path,
    spectrograms: dict[str, np.ndarray],
    *,
    sides: dict[str, str] = SIDES,
    max_frame_rate: float = 5.0,
    max_mels: int = 6,
) -> inputs.Features:
    folder.mkdir(exist_ok=True)
    packed = packing.pack(
        write_mels(folder / "mel.parquet", spectrograms, frame_rate=10.0),
        genre=GENRE,
        split=make_split(sides),
        params=make_params(
            segments={
                "duration": 2.0,
                "num_segments": 3,
                "max_frame_rate": max_frame_rate,
                "max_mels": max_mels,
            }
        ).segments,
    )
    inputs.save(packed, folder / "features")
    return inputs.load(folder / "features")


def rows_of(packed: inputs.Features, track_id: str) -> np.ndarray:
    row = packed.index.set_index("track_id").loc[track_id]
    return packed.frames[row["first_frame"] : row["first_frame"] + row["num_frames"]]


def averaged(spectrogram: np.ndarray, frames: int, bands: int) -> np.ndarray:
    """Plain averaging, cell by cell, of what mel.parquet holds."""
    spectrogram = spectrogram.astype(np.float16).astype(np.float64)
    return np.array(
        [
            [
                spectrogram[row * frames : (row + 1) * frames, band * bands : (band + 1) * bands].mean()
                for band in range(spectrogram.shape[1] // bands)
            ]
            for row in range(len(spectrogram) // frames)
        ]
    )


def test_pooling_is_plain_averaging(subtests: pytest.Subtests) -> None:
    for frames, bands in [(1, 1), (2, 3), (7, 5), (50, 12)]:
        with subtests.test(frames=frames, bands=bands):
            spectrogram = clips()["a.0"].astype(np.float16)
            np.testing.assert_allclose(
                packing.pool(spectrogram, frames=frames, bands=bands),
                averaged(spectrogram, frames, bands),
                rtol=1e-5,
            )


def test_a_clip_shorter_than_a_group_is_averaged_as_a_whole() -> None:
    spectrogram = clips()["a.0"][:3]
    pooled = packing.pool(spectrogram, frames=10, bands=1)
    np.testing.assert_allclose(pooled, spectrogram.mean(axis=0, keepdims=True), rtol=1e-6)


def test_the_test_tracks_shape_neither_mean_nor_deviation(tmp_path: Path) -> None:
    original, changed = clips(), clips()
    for track_id, side in SIDES.items():
        if side != "train":
            changed[track_id] = clips(seed=1)[track_id] / 3
    one, other = build(tmp_path / "one", original), build(tmp_path / "other", changed)
    assert (one.description["mean"], one.description["std"]) == (
        other.description["mean"],
        other.description["std"],
    )
    np.testing.assert_array_equal(rows_of(one, "a.0"), rows_of(other, "a.0"))
    assert not np.array_equal(rows_of(one, "a.2"), rows_of(other, "a.2"))


def test_a_training_track_does_shape_them(tmp_path: Path) -> None:
    changed = clips()
    changed["a.0"] = changed["a.0"] / 3
    one, other = build(tmp_path / "one", clips()), build(tmp_path / "other", changed)
    assert one.description["mean"] != other.description["mean"]


def test_mean_and_deviation_are_those_of_the_training_frames(tmp_path: Path) -> None:
    packed = build(tmp_path, clips())
    training = np.concatenate([averaged(clips()[track_id], 2, 2) for track_id in ("a.0", "b.0")])
    assert packed.description["mean"] == pytest.approx(training.mean(), abs=1e-3)
    assert packed.description["std"] == pytest.approx(training.std(), abs=1e-3)


def test_every_track_is_packed_where_the_index_says(tmp_path: Path) -> None:
    packed = build(tmp_path, clips())
    mean, std = packed.description["mean"], packed.description["std"]
    for track_id in set(SIDES) - {"b.3"}:
        expected = (averaged(clips()[track_id], 2, 2) - mean) / std
        np.testing.assert_allclose(rows_of(packed, track_id), expected, atol=5e-3)  # float16
    assert packed.index["num_frames"].sum() == len(packed.frames)


def test_excluded_and_undecodable_tracks_are_not_packed(tmp_path: Path) -> None:
    packed = build(tmp_path, {**clips(), "b.3": None})  # type: ignore[dict-item]
    assert packed.index["track_id"].tolist() == sorted(set(SIDES) - {"b.3"})


def test_the_genre_of_each_track_is_kept(tmp_path: Path) -> None:
    packed = build(tmp_path, clips())
    assert packed.index.set_index("track_id")["genre"].to_dict() == GENRE.drop("b.3").to_dict()
    assert packed.genres == ["a", "b"]


def test_resolution_is_the_finest_within_its_limits(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for max_frame_rate, max_mels, frames, bands in [
        (10.0, 12, 1, 1),
        (9.9, 11, 2, 2),
        (5.0, 6, 2, 2),
        (3.4, 5, 3, 3),
        (100.0, 100, 1, 1),
    ]:
        with subtests.test(max_frame_rate=max_frame_rate, max_mels=max_mels):
            packed = build(tmp_path, clips(), max_frame_rate=max_frame_rate, max_mels=max_mels)
            assert packed.description["pooling"] == {"frames": frames, "bands": bands}
            assert packed.description["frame_rate"] == pytest.approx(10 / frames)
            assert packed.frames.shape[1] == packed.description["num_bands"] == 12 // bands


def test_a_band_that_is_constant_in_training_stays_a_number_elsewhere(tmp_path: Path) -> None:
    spectrograms = clips()
    for track_id in ("a.0", "b.0"):
        spectrograms[track_id][:, 10:] = -80
    spectrograms["a.2"][:, 10:] = 0
    assert np.isfinite(build(tmp_path, spectrograms).frames).all()


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        build(tmp_path / name, clips())
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "features").iterdir()}
        for name in ("one", "other")
    ]
    assert contents[0] == contents[1]


def test_spans_of_a_side_are_its_whole_tracks(tmp_path: Path) -> None:
    packed = build(tmp_path, clips())
    found = spans(packed.index, make_split(SIDES), side="test", genres=packed.genres)
    assert found.track_ids == ["a.2", "b.2"] and found.label.tolist() == [0, 1]
    for position, track_id in enumerate(found.track_ids):
        first, length = found.first_frame[position], found.num_frames[position]
        np.testing.assert_array_equal(packed.frames[first : first + length], rows_of(packed, track_id))


def test_the_pieces_of_a_track_tile_it(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for pieces in (3, 4, 6):
        with subtests.test(pieces=pieces):
            packed = build(tmp_path, clips())
            split = pd.DataFrame(
                [
                    {"track_id": track_id, "segment": piece, "split": "train" if piece % 2 else "test"}
                    for track_id in sorted(set(SIDES) - {"b.3"})
                    for piece in range(pieces)
                ]
            )
            covered = np.zeros(len(packed.frames), int)
            for side in ("train", "test"):
                found = spans(packed.index, split, side=side, genres=packed.genres)
                for first, length in zip(found.first_frame, found.num_frames, strict=True):
                    covered[first : first + length] += 1
            assert (covered == 1).all()


def test_normalisation_of_pieces_uses_the_training_pieces_alone(tmp_path: Path) -> None:
    # Training is the first half of every track, of which there is nothing but -30 dB.
    spectrograms = {track_id: np.full((40, 12), -30.0) for track_id in GENRE.index}
    for spectrogram in spectrograms.values():
        spectrogram[20:] = -70
    write_mels(tmp_path / "mel.parquet", spectrograms, frame_rate=10.0)
    split = pd.DataFrame(
        [
            {"track_id": track_id, "segment": piece, "split": ("train", "train", "validation", "test")[piece]}
            for track_id in GENRE.index
            for piece in range(4)
        ]
    )
    config = make_params(segments={"max_frame_rate": 10.0, "max_mels": 12})
    description = packing.pack(
        tmp_path / "mel.parquet",
        genre=GENRE,
        split=split,
        params=config.segments,
    ).description
    assert description["mean"] == -30.0


def test_a_segment_has_its_duration_in_frames() -> None:
    for duration, frame_rate, expected in [(2.0, 10.0, 20), (5.0, 10.766, 54), (0.01, 10.0, 1)]:
        description = {"segments": {"duration": duration}, "frame_rate": frame_rate}
        assert segment_frames(description) == expected


def test_mfcc_are_librosas_averaged_in_time_and_normalised_by_coefficient(tmp_path: Path) -> None:
    write_mels(tmp_path / "mel.parquet", clips(), frame_rate=10.0)
    packed = packing.pack(
        tmp_path / "mel.parquet",
        genre=GENRE,
        split=make_split(SIDES),
        params=make_params(
            segments={"representation": "mfcc", "n_mfcc": 5, "max_frame_rate": 5.0, "max_mels": 2}
        ).segments,
    )
    coefficients = {
        track_id: librosa.feature.mfcc(S=clip.astype(np.float16).astype(np.float32).T, n_mfcc=5).T
        for track_id, clip in clips().items()
    }
    pooled = {track_id: averaged_float(values, 2) for track_id, values in coefficients.items()}
    training = np.concatenate([pooled["a.0"], pooled["b.0"]])
    np.testing.assert_allclose(packed.description["mean"], training.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(packed.description["std"], training.std(axis=0), atol=2e-3)
    for track_id in ("a.0", "a.2"):
        expected = (pooled[track_id] - training.mean(axis=0)) / training.std(axis=0)
        np.testing.assert_allclose(rows_of(packed, track_id), expected, atol=5e-3)
    assert packed.description["pooling"] == {"frames": 2, "bands": 1}
    assert packed.description["num_bands"] == 5


def averaged_float(values: np.ndarray, frames: int) -> np.ndarray:
    return np.array(
        [values[row : row + frames].mean(axis=0) for row in range(0, len(values) - frames + 1, frames)]
    )


def test_fixed_segments_are_evenly_spaced_in_every_track(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for role, length, number in [("grid", 4, 3), ("vote", 6, 2)]:
        with subtests.test(role=role):
            write_mels(tmp_path / "mel.parquet", clips(), frame_rate=10.0)
            plan = {"duration": 0.4, "num_grid_segments": 3, "vote_duration": 0.6, "num_segments": 2}
            packed = packing.pack(
                tmp_path / "mel.parquet",
                genre=GENRE,
                split=make_split(SIDES),
                params=make_params(segments={**plan, "max_frame_rate": 10.0, "max_mels": 12}).segments,
            )
            whole = spans(packed.index, make_split(SIDES), side="test", genres=packed.genres)
            segments = fixed_spans(packed, make_split(SIDES), side="test", role=role)
            assert set(segments.num_frames) == {length} and len(segments.track) == 2 * number
            for track in (0, 1):
                starts = segments.first_frame[segments.track == track] - whole.first_frame[track]
                expected = np.linspace(0, whole.num_frames[track] - length, number)
                np.testing.assert_allclose(starts, expected, atol=0.5)
                assert set(segments.label[segments.track == track]) == {whole.label[track]}
