"""Claims about the voice: vowels have formants, the pitch is the note's, each genre has its singers."""

from dataclasses import replace

import librosa
import numpy as np
import pytest

from genrepro.datasets.synthesis.artists import draw_artist
from genrepro.datasets.synthesis.composer import compose
from genrepro.datasets.synthesis.mixing import Studio
from genrepro.datasets.synthesis.signals import SAMPLE_RATE
from genrepro.datasets.synthesis.singing import (
    CUSTOMS,
    DELIVERIES,
    NUM_SYLLABLES,
    VOWELS,
    Singer,
    draw_singer,
)
from genrepro.datasets.synthesis.styles import GENRES
from genrepro.datasets.synthesis.throat import Throat
from genrepro.exact.streams import generator

SINGER = Singer(
    name="singing",
    delivery=replace(DELIVERIES["singing"], glide=(0, 0)),
    stream=3,
    lowest=45,
    size=1.0,
    vibrato=0.0,
    vibrato_rate=5.5,
    breath=-60,
    brightness=400,
    syllables=(("m", "a", "a"), ("m", "i", "i"), ("s", "u", "u"), *[("l", "a", "i")] * (NUM_SYLLABLES - 3)),
    resting=0.0,
    alone=False,
    level=0.0,
)


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE), np.abs(
        np.fft.rfft(sound * np.hanning(len(sound)))
    ) ** 2


def energy(sound: np.ndarray, low: float, high: float) -> float:
    frequency, power = spectrum(sound)
    return 10 * np.log10(power[(frequency > low) & (frequency < high)].sum() + 1e-12)


def pitch(sound: np.ndarray) -> np.ndarray:
    # Frames are short beside a period of the vibrato.
    return librosa.yin(sound, fmin=100, fmax=600, sr=SAMPLE_RATE, frame_length=640, hop_length=128)[8:-8]


@pytest.mark.parametrize("note", [98.0, 147.0, 196.0])
def test_a_vowel_has_energy_at_its_formants_whatever_the_pitch(note: float) -> None:
    throat = Throat(SINGER)
    a, i = (throat.sing(number, frequency=note, duration=1.2)[4000:] for number in (0, 1))
    for own, other, sound in (("a", "i", a), ("i", "a", i)):
        near, far = (
            energy(sound, VOWELS[vowel][1] / 1.15, VOWELS[vowel][1] * 1.15) for vowel in (own, other)
        )
        assert near > far + 8


def test_formants_move_within_a_syllable() -> None:
    sound = Throat(SINGER).sing(5, frequency=110.0, duration=1.2)
    bright = [
        energy(part, 1900, 2700) - energy(part, 600, 1300) for part in (sound[3000:7000], sound[-6000:])
    ]
    assert bright[1] > bright[0] + 10


@pytest.mark.parametrize("note", [110.0, 185.0, 330.0, 523.25])
def test_the_pitch_is_the_note(note: float) -> None:
    sound = Throat(SINGER).sing(0, frequency=note, duration=1.2)[2000:]
    frequency, power = spectrum(sound)
    off = np.abs(frequency / note - np.round(frequency / note)) * note
    heard = (frequency > note / 2) & (frequency < 3000)
    assert power[heard & (off < 0.02 * frequency + 5)].sum() > 0.97 * power[heard].sum()
    assert np.median(pitch(sound)) == pytest.approx(note, rel=0.012)


def test_vibrato_swings_around_the_note() -> None:
    still, swinging = (
        pitch(Throat(replace(SINGER, vibrato=cents)).sing(0, frequency=220.0, duration=2.0)[10000:])
        for cents in (0.0, 80.0)
    )
    assert np.median(swinging) == pytest.approx(np.median(still), rel=0.02)
    assert 1200 * np.log2(swinging / np.median(swinging)).std() == pytest.approx(80 / 2**0.5, rel=0.25)
    assert still.std() < 1


def test_a_rapper_speaks_with_falling_pitch() -> None:
    rapper = replace(SINGER, delivery=replace(DELIVERIES["rapping"], glide=(3, 4)))
    heard = pitch(Throat(rapper).sing(0, frequency=140.0, duration=0.6))
    assert heard[:3].mean() > 1.08 * heard[-3:].mean()


def test_a_consonant_is_noise_before_the_voice() -> None:
    sound = Throat(SINGER).sing(2, frequency=150.0, duration=0.6)
    assert energy(sound[:1500], 4500, 9500) > energy(sound[:1500], 100, 1500)
    assert energy(sound[4000:], 100, 1500) > energy(sound[4000:], 4500, 9500) + 20


def test_a_shout_is_noisier_than_a_song() -> None:
    def between_harmonics(delivery: str) -> float:
        singer = replace(SINGER, delivery=replace(DELIVERIES[delivery], glide=(0, 0)))
        frequency, power = spectrum(Throat(singer).sing(0, frequency=150.0, duration=1.2)[4000:])
        off = np.abs(frequency / 150 - np.round(frequency / 150))
        heard = (frequency > 75) & (frequency < 3000)
        return 10 * np.log10(power[heard & (off > 0.25)].sum() / power[heard].sum())

    assert between_harmonics("shouting") > between_harmonics("singing") + 10


@pytest.mark.parametrize("name", sorted(DELIVERIES))
def test_every_melody_lies_within_the_voice(name: str) -> None:
    singer = replace(SINGER, name=name, delivery=DELIVERIES[name])
    sung = np.array([singer.within_reach(note) for note in range(20, 110)])
    assert sung.min() >= singer.lowest and sung.max() <= singer.lowest + singer.delivery.compass
    if singer.delivery.flatness == 1:
        assert not ((sung - np.arange(20, 110)) % 12).any()


def test_each_genre_has_its_share_of_singers() -> None:
    assert set(CUSTOMS) == set(GENRES)
    for genre, customs in CUSTOMS.items():
        drawn = [draw_singer(genre=genre, index=index, seed=0) for index in range(300)]
        names = [singer.name for singer in drawn if singer]
        assert len(names) / 300 == pytest.approx(sum(customs.values()), abs=0.08)
        assert set(names) == set(customs)


@pytest.mark.parametrize("genre", ["classical", "hiphop", "jazz", "metal", "pop"])
def test_the_band_plays_the_same_with_a_singer_and_the_singer_is_heard(genre: str) -> None:
    levels = []
    for index in range(4):
        artist = draw_artist(genre=genre, index=index, seed=1)
        singer = next(
            singer
            for number in range(index * 100, 1000)
            if (singer := draw_singer(genre=genre, index=number, seed=1))
        )
        singer = replace(singer, alone=False)
        alone, both = (
            compose(style=artist.style, artist=artist, rng=generator(1, f"{index}"), duration=8.0, **singing)
            for singing in ({}, {"singer": singer, "song": generator(1, "song")})
        )
        assert set(both.notes) - set(alone.notes) == {singer.name}
        assert all(np.array_equal(both.notes[name], alone.notes[name]) for name in alone.notes)
        studio = Studio(artist, singer)
        voice = studio.play(replace(both, notes={singer.name: both.notes[singer.name]}, hits={}))
        levels.append(10 * np.log10(np.mean(voice**2) / np.mean(studio.play(alone) ** 2)))
    assert np.median(levels) > -8
