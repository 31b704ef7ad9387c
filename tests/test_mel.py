"""Claims about log-mel spectrograms: they are librosa's."""

import librosa
import numpy as np
import pytest
from builders import make_mel_params, make_music

from genrepro import mel

SETS = {
    "the tests' own": {},
    "librosa's defaults": {
        "sample_rate": 22050,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "fmax": 11025.0,
    },
    "narrow": {"fmin": 200.0, "fmax": 3000.0, "n_mels": 24, "top_db": 40.0},
    "no power of two": {"n_fft": 600, "hop_length": 250, "n_mels": 20},
}


@pytest.mark.parametrize("changes", SETS.values(), ids=SETS.keys())
def test_a_log_mel_is_librosas(changes: dict) -> None:
    params = make_mel_params(**changes)
    samples = make_music(duration=2.0, sample_rate=params.sample_rate)
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax,
    )
    expected = librosa.power_to_db(power, ref=np.max, top_db=params.top_db).T
    spectrogram = mel.log_mel(samples, params=params)
    assert spectrogram.dtype == np.float32
    np.testing.assert_allclose(spectrogram, expected, atol=1e-3)


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")  # librosa pads a short clip, and says so
@pytest.mark.parametrize("num_samples", [1, 127, 128, 129, 5000])
def test_shape_and_range_are_as_documented(num_samples: int) -> None:
    params = make_mel_params()
    spectrogram = mel.log_mel(make_music(duration=1, sample_rate=8000)[:num_samples], params=params)
    assert spectrogram.shape == (1 + num_samples // params.hop_length, params.n_mels)
    assert spectrogram.max() == pytest.approx(0, abs=1e-4) and spectrogram.min() >= -params.top_db - 1e-4


def test_a_low_tone_lies_in_a_low_band() -> None:
    params = make_mel_params()
    bands = []
    for frequency in (200, 800, 3000):
        tone = np.sin(2 * np.pi * frequency * np.arange(8000) / 8000).astype(np.float32)
        bands.append(mel.log_mel(tone, params=params).mean(axis=0).argmax())
    assert bands == sorted(set(bands))


def test_digital_silence_is_a_spectrogram_of_numbers() -> None:
    assert np.isfinite(mel.log_mel(np.zeros(4000, np.float32), params=make_mel_params())).all()


def test_packing_keeps_float16_exactly() -> None:
    spectrogram = np.random.default_rng(0).uniform(-80, 0, (33, 16)).astype(np.float32)
    unpacked = mel.unpack(mel.pack(spectrogram), num_mels=16)
    np.testing.assert_array_equal(unpacked, spectrogram.astype(np.float16))


def test_packed_bytes_are_little_endian_rows_of_frames() -> None:
    assert mel.pack(np.float32([[1, 2], [-2, 0]])) == bytes.fromhex("003c 0040 00c0 0000")


def test_the_description_is_enough_to_make_the_same_again() -> None:
    params = make_mel_params()
    description = mel.describe(params)
    assert description["frame_rate"] == 8000 / 128
    kept = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "top_db")
    assert {key: description[key] for key in kept} == {key: getattr(params, key) for key in kept}
