"""Claims about what is done to the samples: each change is as large as its name says, and nothing else."""

import numpy as np
import pytest

from genrepro.robustness import changes

RATE = 22050
RNG = np.random.default_rng


def tone(frequency: float, *, amplitude: float = 0.3, sample_rate: int = RATE) -> np.ndarray:
    time = np.arange(2 * sample_rate) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def decibels(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples[RATE // 4 : -RATE // 4], dtype=np.float64)))


def peak_frequency(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()])


@pytest.mark.parametrize("name", changes.CHANGES)
def test_every_change_changes_the_sound_repeatably_and_gives_samples_as_it_takes_them(name: str) -> None:
    before = tone(440) + tone(6000, amplitude=0.2) + tone(150, amplitude=0.4)
    after, again = (changes.CHANGES[name](before, RATE, RNG(0)) for _ in range(2))
    assert after.dtype == np.float32 and np.abs(after).max() <= 1.05 and np.isfinite(after).all()
    np.testing.assert_array_equal(after, again)
    common = min(len(before), len(after))
    assert np.abs(after[:common] - before[:common]).max() > 1e-3


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100])
def test_an_mp3_has_its_bit_rate_and_its_length(sample_rate: int) -> None:
    before = tone(440, sample_rate=sample_rate)
    size = len(changes.encoded_as_mp3(before, sample_rate, bit_rate=64_000))
    assert 8 * size / 2 == pytest.approx(64_000, rel=0.12)  # its frames are whole, and the first has no sound
    after = changes.mp3(before, sample_rate, RNG(0), bit_rate=64_000)
    assert len(after) == len(before)
    assert np.corrcoef(before, after)[0, 1] > 0.99  # no delay


@pytest.mark.parametrize("snr", [20.0, 10.0])
def test_noise_lies_as_far_below_the_music_as_asked(snr: float) -> None:
    before = tone(440, amplitude=0.1)
    added = changes.noise(before, RATE, RNG(0), snr=snr) - before
    assert decibels(before) - decibels(added) == pytest.approx(snr, abs=0.2)


@pytest.mark.parametrize("db", [6.0, -6.0])
def test_gain_is_exact_where_nothing_clips(db: float) -> None:
    before = tone(440)
    assert decibels(changes.gain(before, RATE, RNG(0), db=db)) - decibels(before) == pytest.approx(db)


def test_louder_than_full_scale_is_clipped() -> None:
    after = changes.gain(tone(440, amplitude=0.9), RATE, RNG(0), db=6)
    assert np.abs(after).max() == 1 and (np.abs(after) == 1).mean() > 0.3


def test_a_low_pass_keeps_what_lies_below_and_removes_what_lies_above() -> None:
    for frequency, loss in ((1000, 0), (4000, 3), (8000, 85)):
        after = changes.low_pass(tone(frequency), RATE, RNG(0), cutoff=4000)
        assert decibels(tone(frequency)) - decibels(after) == pytest.approx(loss, abs=0.2)


def test_a_low_pass_above_all_that_a_rate_can_hold_changes_nothing() -> None:
    before = tone(1000, sample_rate=8000)
    np.testing.assert_array_equal(changes.low_pass(before, 8000, RNG(0), cutoff=4000), before)


@pytest.mark.parametrize("factor", [1.02, 0.98])
def test_faster_is_shorter_and_higher(factor: float) -> None:
    after = changes.speed(tone(1000), RATE, RNG(0), factor=factor)
    assert len(after) == pytest.approx(2 * RATE / factor, abs=2)
    assert peak_frequency(after) == pytest.approx(1000 * factor, abs=1)
