"""Claims about decoding: what libsndfile reads becomes mono at one rate, and the rest says why not."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from builders import make_music

from genrepro.audio import UndecodableError, decode, levels

RATE = 22050


def sine(frequency: float, *, rate: int, duration: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(duration * rate)) / rate).astype(np.float32)


def test_a_mono_wav_comes_back_sample_by_sample(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", steps, RATE)
    samples = decode(tmp_path / "a.wav", sample_rate=RATE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, steps / np.float32(32768))


def test_flac_is_lossless(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", steps, RATE)
    np.testing.assert_array_equal(decode(tmp_path / "a.flac", sample_rate=RATE), steps / np.float32(32768))


@pytest.mark.parametrize("num_channels", [2, 3])
def test_channels_are_averaged(tmp_path: Path, num_channels: int) -> None:
    sound = make_music(duration=0.2, sample_rate=RATE, num_channels=num_channels)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    mixed = decode(tmp_path / "a.wav", sample_rate=RATE)
    np.testing.assert_allclose(mixed, sound.mean(axis=1), atol=1e-6)


def test_channels_in_opposite_phase_cancel(tmp_path: Path) -> None:
    left = make_music(duration=0.2, sample_rate=RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), RATE, subtype="FLOAT")
    assert not decode(tmp_path / "a.wav", sample_rate=RATE).any()


@pytest.mark.parametrize("rate", [48000, 44100, 16000])
def test_another_rate_is_resampled_to_the_same_sound(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", 0.5 * sine(440, rate=rate), rate, subtype="FLOAT")
    samples = decode(tmp_path / "a.wav", sample_rate=RATE)
    assert len(samples) == pytest.approx(RATE, abs=1)
    inside = slice(500, RATE - 500)  # the filter rings where the sine begins and ends
    np.testing.assert_allclose(samples[inside], 0.5 * sine(440, rate=RATE)[inside], atol=1e-4)


def test_what_the_new_rate_cannot_hold_does_not_fold_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.5 * sine(15_000, rate=48000), 48000, subtype="FLOAT")
    assert np.abs(decode(tmp_path / "a.wav", sample_rate=RATE)[500:-500]).max() < 1e-4


@pytest.mark.parametrize(("name", "rate"), [("a.ogg", 44100), ("a.mp3", 44100), ("a.mp3", 22050)])
def test_lossy_formats_keep_pitch_level_and_length(tmp_path: Path, name: str, rate: int) -> None:
    stereo = np.repeat(0.5 * sine(1000, rate=rate, duration=2.0)[:, None], 2, axis=1)
    soundfile.write(tmp_path / name, stereo, rate)
    samples = decode(tmp_path / name, sample_rate=RATE)
    assert len(samples) / RATE == pytest.approx(2.0, abs=0.1)  # a codec pads to whole frames
    middle = samples[RATE // 2 : RATE // 2 + RATE]  # one second: a bin of its spectrum is 1 Hz
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(1000, abs=1)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.wav", b"these are words"),
        ("a.mp3", b"<html>please log in</html>"),
        ("a.wav", b""),
        ("a.flac", b""),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVE"),
    ],
    ids=["text named wav", "text named mp3", "0 bytes", "0 bytes named flac", "a bare header"],
)
def test_what_is_no_audio_is_undecodable(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UndecodableError, match=r"^undecodable: "):
        decode(tmp_path / name, sample_rate=RATE)


def test_a_file_without_samples_is_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(UndecodableError, match="no samples"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


def test_a_file_too_short_for_one_sample_of_the_new_rate_is_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(1, np.float32), 48000)
    with pytest.raises(UndecodableError, match="no samples at 22050 Hz"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_undecodable(tmp_path: Path, value: float) -> None:
    sound = make_music(duration=0.1, sample_rate=RATE)
    sound[7] = value
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    with pytest.raises(UndecodableError, match="not numbers"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


def test_a_truncated_wav_gives_what_there_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", make_music(duration=1.0, sample_rate=RATE), RATE)
    path = tmp_path / "a.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * 1000])
    assert len(decode(path, sample_rate=RATE)) == 1000


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], (0.0, 0.0)),
        ([0.5, 0.5, 0.5, 0.5], (0.5, 0.0)),  # a run, but far from full scale
        ([0.1, 1.0, 0.1, 0.1], (1.0, 0.0)),  # one sample at full scale is normalisation
        ([0.1, 1.0, 1.0, 0.1], (1.0, 0.5)),
        ([0.1, -1.0, -1.0, 0.1], (1.0, 0.5)),
        ([1.0, 1.0, 0.1, 1.0], (1.0, 0.5)),  # the run counts, the single one does not
        ([1.0, 0.1, 0.1, 1.0], (1.0, 0.0)),  # the ends are no neighbours
        ([32767 / 32768, 32767 / 32768, 0.0, 0.0], (32767 / 32768, 0.5)),  # 16 bits end one step below 1
    ],
)
def test_levels_of_hand_made_clips(samples: list[float], expected: tuple[float, float]) -> None:
    assert levels(np.float32(samples)) == pytest.approx(expected)


def test_a_clip_driven_too_hard_is_clipped_where_it_exceeds_full_scale() -> None:
    sound = 2 * sine(100, rate=RATE)
    peak, clipped_share = levels(np.clip(sound, -1, 1))
    assert peak == 1.0
    assert clipped_share == pytest.approx(np.mean(np.abs(sound) >= 1), abs=0.001)
