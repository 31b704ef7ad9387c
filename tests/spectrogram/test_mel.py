"""Claims about log-mel spectrograms and MFCCs: they are librosa's."""

import pickle
from collections.abc import Callable

import hypothesis.strategies as st
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from support.builders import make_mel_params, make_music

from genrepro.base import tables
from genrepro.base.params import Mel
from genrepro.features import packing
from genrepro.spectrogram import mel

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


def librosas(samples: np.ndarray, params: Mel) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=params.sample_rate,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        n_mels=params.n_mels,
        fmin=params.fmin,
        fmax=params.fmax,
    )
    return librosa.power_to_db(power, ref=np.max, top_db=params.top_db).T


def test_a_log_mel_is_librosas(subtests: pytest.Subtests) -> None:
    for changes in SETS.values():
        with subtests.test(changes=changes):
            params = make_mel_params(**changes)
            samples = make_music(duration=2.0, sample_rate=params.sample_rate)
            spectrogram = mel.log_mel(samples, params=params)
            assert spectrogram.dtype == np.float32
            np.testing.assert_allclose(spectrogram, librosas(samples, params), atol=1e-3)


@st.composite
def transforms(draw: st.DrawFn) -> Mel:
    """Parameters from the sensible to the absurd: windows of two samples, gaps, empty bands."""
    sample_rate = draw(st.sampled_from([4000, 8000, 16000, 22050, 44100]))
    n_fft = draw(st.sampled_from([256, 512, 1024, 2048, 4096]) | st.integers(2, 4096))
    fmax = draw(st.floats(0.1, 1)) * sample_rate / 2
    return make_mel_params(
        sample_rate=sample_rate,
        n_fft=n_fft,
        hop_length=draw(st.integers(max(1, n_fft // 8), 2 * n_fft)),
        n_mels=draw(st.integers(1, 200)),
        fmin=draw(st.sampled_from([0.0]) | st.floats(0, 0.9)) * fmax,
        fmax=fmax,
        top_db=draw(st.sampled_from([80.0]) | st.floats(1, 100)),
    )


def noise(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    return rng.standard_normal(len(time))


def tones(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Up to 80 dB apart, below half the lowest sample rate or far above: some fall outside the bands."""
    return sum(10 ** rng.uniform(-4, 0) * np.sin(2 * np.pi * rng.uniform(0, 4000) * time) for _ in range(3))


def almost_silence(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    return 10 ** rng.uniform(-8, -3) * rng.standard_normal(len(time))


def silence(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    return np.zeros(len(time))


def impulses(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    samples = np.zeros(len(time))
    samples[rng.integers(len(time), size=3)] = 10 ** rng.uniform(-5, 0, 3)
    return samples


def tone_beside_an_offset(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """The mel bands do not see a constant, but float32 does."""
    return 1 + 10 ** rng.uniform(-6, 0) * np.sin(2 * np.pi * rng.uniform(0, 4000) * time)


def fading_tone(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * rng.uniform(0, 4000) * time) * np.exp(-50 * time)


Sound = Callable[[np.random.Generator, np.ndarray], np.ndarray]
SOUNDS: list[Sound] = [noise, tones, almost_silence, silence, impulses, tone_beside_an_offset, fading_tone]


@pytest.mark.filterwarnings("ignore:n_fft=", "ignore:Empty filters")
@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    params=transforms(),
    sound=st.sampled_from(SOUNDS),
    num_samples=st.integers(1, 100) | st.integers(100, 40_000),
    seed=st.integers(0, 2**32),
)
def test_every_log_mel_is_librosas(params: Mel, sound: Sound, num_samples: int, seed: int) -> None:
    time = np.arange(num_samples) / params.sample_rate
    samples = sound(np.random.default_rng(seed), time).astype(np.float32)
    spectrogram = mel.log_mel(samples, params=params)
    expected = librosas(samples, params)
    assert spectrogram.shape == expected.shape
    np.testing.assert_allclose(spectrogram, expected, rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:n_fft=", "ignore:Empty filters")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    params=transforms(), sound=st.sampled_from(SOUNDS), n_mfcc=st.integers(1, 40), seed=st.integers(0, 2**32)
)
def test_every_mfcc_is_librosas_from_the_samples_on(
    params: Mel, sound: Sound, n_mfcc: int, seed: int
) -> None:
    samples = sound(np.random.default_rng(seed), np.arange(9000) / params.sample_rate).astype(np.float32)
    coefficients = packing.mfcc(mel.log_mel(samples, params=params), n_mfcc=n_mfcc)
    expected = librosa.feature.mfcc(S=librosas(samples, params).T, n_mfcc=n_mfcc).T
    assert coefficients.shape == expected.shape
    # The transform is orthonormal: 0.001 dB in each band are at most so much in a coefficient.
    np.testing.assert_allclose(coefficients, expected, rtol=1e-6, atol=1e-3 * np.sqrt(params.n_mels))


def test_only_doubtful_frames_cost_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loud tone makes float32 miss what is quiet beside it; noise does not, and neither does silence."""
    precisions = []
    spectrum = mel._spectrum

    def spy(*arguments: np.ndarray) -> np.ndarray:
        precisions.append(arguments[2].dtype)
        return spectrum(*arguments)

    monkeypatch.setattr(mel, "_spectrum", spy)
    params, rng = make_mel_params(), np.random.default_rng(0)
    mel.log_mel(rng.standard_normal(8000).astype(np.float32), params=params)
    assert set(precisions) == {np.dtype(np.float32)}
    tone = np.sin(2 * np.pi * 3000 * np.arange(8000) / 8000).astype(np.float32)
    mel.log_mel(tone, params=params)
    assert np.dtype(np.float64) in precisions


def test_a_transform_travels_to_workers_unchanged() -> None:
    params = make_mel_params()
    there = pickle.loads(pickle.dumps(mel.transform(params)))
    samples = make_music(duration=1, sample_rate=8000)
    np.testing.assert_array_equal(there(samples), mel.log_mel(samples, params=params))


def test_blocks_leave_no_seams() -> None:
    """They begin elsewhere in a cut clip; the maximum, which all is relative to, is in both."""
    params = make_mel_params(n_fft=2048, hop_length=512)
    samples = make_music(duration=20, sample_rate=8000)
    samples[80_000] = 10.0
    whole = mel.log_mel(samples, params=params)
    cut = mel.log_mel(samples[512 * 37 :], params=params)
    np.testing.assert_allclose(whole[37 + 4 :], cut[4:], atol=1e-4)


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
def test_shape_and_range_are_as_documented(subtests: pytest.Subtests) -> None:
    for num_samples in [1, 127, 128, 129, 5000]:
        with subtests.test(num_samples=num_samples):
            params = make_mel_params()
            spectrogram = mel.log_mel(make_music(duration=1, sample_rate=8000)[:num_samples], params=params)
            assert spectrogram.shape == (1 + num_samples // params.hop_length, params.n_mels)
            assert (
                spectrogram.max() == pytest.approx(0, abs=1e-4) and spectrogram.min() >= -params.top_db - 1e-4
            )


def test_digital_silence_is_a_spectrogram_of_numbers() -> None:
    assert np.isfinite(mel.log_mel(np.zeros(4000, np.float32), params=make_mel_params())).all()


def test_packing_keeps_float16_exactly() -> None:
    spectrogram = np.random.default_rng(0).uniform(-80, 0, (33, 16)).astype(np.float32)
    unpacked = tables.unpack_mel(tables.pack_mel(spectrogram), num_mels=16)
    np.testing.assert_array_equal(unpacked, spectrogram.astype(np.float16))


def test_packed_bytes_are_little_endian_rows_of_frames() -> None:
    assert tables.pack_mel(np.float32([[1, 2], [-2, 0]])) == bytes.fromhex("003c 0040 00c0 0000")


def test_the_description_is_enough_to_make_the_same_again() -> None:
    params = make_mel_params()
    description = mel.describe(params)
    assert description["frame_rate"] == 8000 / 128
    kept = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "top_db")
    assert {key: description[key] for key in kept} == {key: getattr(params, key) for key in kept}
