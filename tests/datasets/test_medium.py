"""Claims about recording media: they keep their band and loudness, and add what they should."""

from dataclasses import replace

import numpy as np
import pytest

from genrepro.datasets.synthesis.medium import KINDS, LOUDNESS, Medium, draw_medium, record
from genrepro.datasets.synthesis.signals import SAMPLE_RATE
from genrepro.exact.streams import generator

CLEAN = Medium(
    kind="full",
    tilt=0.0,
    peaks=(),
    band=(20, 10500),
    slope=24,
    compression=0.0,
    drive=-20,
    hiss=-90,
    hiss_corner=1000,
    crackle=None,
    hum=None,
    drift=0.0,
    fade=0.0,
    silence=0.0,
    loudness=-20,
)


def noise(seconds: float = 4.0) -> np.ndarray:
    return generator(0, "music").standard_normal(round(seconds * SAMPLE_RATE), dtype=np.float32)


def play(music: np.ndarray, medium: Medium) -> np.ndarray:
    return record(music, medium=medium, rng=generator(0, "press")).astype(np.float64) / 32768


def decibels(sound: np.ndarray) -> float:
    return 10 * np.log10(np.mean(sound**2) + 1e-12)


def power(sound: np.ndarray, low: float, high: float) -> float:
    """Mean power of a hertz [dB]."""
    frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    within = np.abs(np.fft.rfft(sound))[(frequency >= low) & (frequency < high)]
    return decibels(within)


def drawn(count: int) -> list[Medium]:
    return [draw_medium(generator(0, f"{number}")) for number in range(count)]


def test_every_kind_of_medium_has_its_share() -> None:
    kinds = [medium.kind for medium in drawn(2000)]
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)
    for name, kind in KINDS.items():
        assert kinds.count(name) / 2000 == pytest.approx(kind.share, abs=0.03)


def test_the_loudness_is_what_was_drawn() -> None:
    music = noise()
    for medium in drawn(40):
        heard = play(music, medium)
        assert heard.shape == music.shape
        assert decibels(heard) == pytest.approx(medium.loudness, abs=2.5)  # the limiter takes up to 2 dB
        assert LOUDNESS[0] - 0.5 < decibels(heard) < LOUDNESS[1] + 0.5


@pytest.mark.parametrize("kind", ["telephone", "codec"])
def test_nothing_is_heard_outside_the_band(kind: str) -> None:
    medium = next(medium for medium in drawn(500) if medium.kind == kind and medium.band[1] < 7000)
    medium = replace(medium, tilt=0.0, peaks=(), loudness=-25)
    heard = play(noise(), medium)
    low, high = medium.band
    middle = power(heard, 1.5 * low, high / 1.5)
    assert power(heard, 1.5 * high, 11025) < middle - 18
    assert low < 100 or power(heard, 20, low / 2) < middle - 18


def test_the_equaliser_has_its_slope_and_peaks() -> None:
    heard = play(noise(), replace(CLEAN, tilt=3.0, peaks=((1000, 6, 0.3),)))
    assert power(heard, 3800, 4200) - power(heard, 230, 270) == pytest.approx(12, abs=1)
    assert power(heard, 950, 1050) - power(heard, 450, 550) == pytest.approx(9, abs=1)


def test_compression_brings_soft_and_loud_passages_together() -> None:
    music = noise() * np.repeat(np.float32([1, 0.2]), 2 * SAMPLE_RATE)
    contrast = [
        decibels(heard[:SAMPLE_RATE]) - decibels(heard[-SAMPLE_RATE:])
        for heard in (play(music, replace(CLEAN, compression=share)) for share in (0.0, 0.5))
    ]
    assert contrast[0] == pytest.approx(14, abs=0.5) and contrast[1] == pytest.approx(7, abs=0.7)


def test_saturation_adds_harmonics() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    clean, driven = (play(tone, replace(CLEAN, drive=level)) for level in (-20.0, 2.0))
    assert power(driven, 1480, 1520) > power(clean, 1480, 1520) + 30


def test_noise_hum_and_dust_sound_before_the_music() -> None:
    still = replace(CLEAN, silence=1.0)
    parts = {
        "hiss": replace(still, hiss=-20.0),
        "hum": replace(still, hum=(50.0, -20.0)),
        "crackle": replace(still, crackle=-10.0),
    }
    assert decibels(play(noise(), still)[: SAMPLE_RATE // 2]) < -90
    for medium in parts.values():
        assert decibels(play(noise(), medium)[: SAMPLE_RATE // 2]) > -60
    lead = play(noise(), parts["hum"])[: SAMPLE_RATE // 2]
    assert np.argmax(np.abs(np.fft.rfft(lead))) * SAMPLE_RATE / len(lead) == pytest.approx(50, abs=3)


def test_a_fade_in_begins_in_silence() -> None:
    heard = play(noise(), replace(CLEAN, fade=0.8))
    assert decibels(heard[:2000]) < decibels(heard[-2000:]) - 15


def test_silence_stays_silent() -> None:
    assert not play(np.zeros(SAMPLE_RATE, np.float32), replace(CLEAN, hiss=-200.0)).any()
