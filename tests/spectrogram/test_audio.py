"""Claims about decoding: what libsndfile reads becomes mono at one rate, and the rest says why not."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.builders import make_music

from genrepro.spectrogram import audio
from genrepro.spectrogram.audio import UndecodableError, decode, decode_with_levels, levels

RATE = 22050


def sine(frequency: float, *, rate: int, duration: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(duration * rate)) / rate).astype(np.float32)


def test_a_mono_wav_comes_back_sample_by_sample(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", steps, RATE)
    samples = decode(tmp_path / "a.wav", sample_rate=RATE)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, steps / np.float32(32768))


def test_channels_are_averaged(tmp_path: Path) -> None:
    for num_channels in [2, 3]:
        sound = make_music(duration=0.2, sample_rate=RATE, num_channels=num_channels)
        soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
        mixed = decode(tmp_path / "a.wav", sample_rate=RATE)
        np.testing.assert_allclose(mixed, sound.mean(axis=1), atol=1e-6)


def test_channels_in_opposite_phase_cancel(tmp_path: Path) -> None:
    left = make_music(duration=0.2, sample_rate=RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), RATE, subtype="FLOAT")
    assert not decode(tmp_path / "a.wav", sample_rate=RATE).any()


def test_what_the_new_rate_cannot_hold_does_not_fold_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.5 * sine(15_000, rate=48000), 48000, subtype="FLOAT")
    assert np.abs(decode(tmp_path / "a.wav", sample_rate=RATE)[500:-500]).max() < 1e-4


def test_lossy_formats_keep_pitch_level_and_length(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, rate in [("a.ogg", 44100), ("a.mp3", 44100), ("a.mp3", 22050)]:
        with subtests.test(name=name, rate=rate):
            stereo = np.repeat(0.5 * sine(1000, rate=rate, duration=2.0)[:, None], 2, axis=1)
            soundfile.write(tmp_path / name, stereo, rate)
            samples = decode(tmp_path / name, sample_rate=RATE)
            assert len(samples) / RATE == pytest.approx(2.0, abs=0.1)  # a codec pads to whole frames
            middle = samples[RATE // 2 : RATE // 2 + RATE]  # one second: a bin of its spectrum is 1 Hz
            assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(1000, abs=1)
            assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_what_is_no_audio_is_undecodable(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, content in [
        ("a.wav", b"these are words"),
        ("a.mp3", b"<html>please log in</html>"),
        ("a.wav", b""),
        ("a.flac", b""),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVE"),
    ]:
        with subtests.test(name=name, content=content):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UndecodableError, match=r"^undecodable: "):
                decode(tmp_path / name, sample_rate=RATE)


@pytest.mark.parametrize("suffix", [".au", ".snd", ".gsm", ".vox"])
def test_a_name_alone_makes_no_music(tmp_path: Path, suffix: str) -> None:
    """libsndfile takes whatever has such a name for telephone sound without a header."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"hello world " * 5000)
    for read in (audio.read_header, lambda path: decode(path, sample_rate=RATE)):
        with pytest.raises(UndecodableError, match="undecodable: "):
            read(path)


def test_a_file_without_samples_is_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(UndecodableError, match="no samples"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


def test_a_file_too_short_for_one_sample_of_the_new_rate_is_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(1, np.float32), 48000)
    with pytest.raises(UndecodableError, match="no samples at 22050 Hz"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


def test_samples_that_are_no_numbers_are_undecodable(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for num_channels in [1, 2, 6]:
        for value in [np.nan, np.inf, -np.inf]:
            with subtests.test(num_channels=num_channels, value=value):
                sound = make_music(duration=0.1, sample_rate=RATE, num_channels=num_channels)
                sound[7] = value
                soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
                with pytest.raises(UndecodableError, match="not numbers"):
                    decode(tmp_path / "a.wav", sample_rate=RATE)


def test_samples_whose_power_would_overflow_are_undecodable(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(100, 1e20, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(UndecodableError, match="1e\\+20 times full scale"):
        decode(tmp_path / "a.wav", sample_rate=RATE)


def test_integers_stored_as_floats_are_music_all_the_same(tmp_path: Path) -> None:
    sound = make_music(duration=0.1, sample_rate=RATE) * np.float32(2**31)
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(decode(tmp_path / "a.wav", sample_rate=RATE), sound)


def test_any_rate_and_number_of_channels_becomes_mono(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for rate, num_channels in [(96000, 6), (8000, 1), (192000, 2), (11025, 3), (44100, 2), (48000, 1)]:
        for subtype in ["PCM_16", "PCM_24", "FLOAT"]:
            with subtests.test(rate=rate, subtype=subtype):
                sound = np.repeat(0.5 * sine(440, rate=rate)[:, None], num_channels, axis=1)
                soundfile.write(tmp_path / "a.wav", sound, rate, subtype=subtype)
                samples = decode(tmp_path / "a.wav", sample_rate=RATE)
                inside = slice(500, RATE - 500)
                np.testing.assert_allclose(samples[inside], 0.5 * sine(440, rate=RATE)[inside], atol=2e-4)


def test_one_sample_is_a_clip(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in ["wav", "au", "flac", "aiff"]:
        with subtests.test(suffix=suffix):
            soundfile.write(tmp_path / f"a.{suffix}", np.float32([0.5]), RATE, subtype="PCM_16")
            np.testing.assert_array_equal(
                decode(tmp_path / f"a.{suffix}", sample_rate=RATE), np.float32([0.5])
            )


def claim_samples(path: Path, num_samples: int) -> None:
    """Write another number of samples into a FLAC's header: the last 36 bits before its MD5."""
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | num_samples >> 32
    content[22:26] = (num_samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "num_samples", [0, 2 * RATE, 1800 * RATE, 2**36 - 1], ids=["unknown", "too many", "half an hour", "weeks"]
)
def test_a_flac_is_decoded_as_far_as_it_goes_whatever_its_header_claims(
    tmp_path: Path, num_samples: int
) -> None:
    path = tmp_path / "a.flac"  # 0 stands for unknown: `ffmpeg -f flac -` and recorders leave it open
    soundfile.write(path, make_music(duration=0.5, sample_rate=RATE), RATE)
    whole = decode(path, sample_rate=RATE)
    claim_samples(path, num_samples)
    samples, measured = decode_with_levels(path, sample_rate=RATE)
    np.testing.assert_array_equal(samples, whole)
    assert measured.duration == 0.5


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF, 200_000], ids=["streamed", "largest", "too many"])
def test_a_wav_is_decoded_as_far_as_it_goes_whatever_its_header_claims(tmp_path: Path, claim: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(duration=0.5, sample_rate=RATE), RATE)
    whole, content = decode(path, sample_rate=RATE), bytearray(path.read_bytes())
    content[4:8] = content[40:44] = claim.to_bytes(4, "little")
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(decode(path, sample_rate=RATE), whole)


def understated(path: Path, kind: str) -> np.ndarray:
    """Write 6 s under a header that says less, and return the samples."""
    samples = make_music(duration=6.0, sample_rate=RATE)
    soundfile.write(path, samples, RATE, format=kind)
    whole, content = decode(path, sample_rate=RATE), bytearray(path.read_bytes())
    if kind == "FLAC":
        claim_samples(path, RATE)
        return whole
    if kind == "MP3":  # the frames that the first one's tag counts
        at = content.index(b"Xing") + 8
        content[at : at + 4] = (30).to_bytes(4, "big")
    elif kind == "AU":
        content[8:12] = (2 * RATE).to_bytes(4, "big")
    elif kind == "AIFF":
        at = content.index(b"SSND") + 4
        content[at : at + 4] = (2 * RATE + 8).to_bytes(4, "big")
    else:
        content[40:44] = (2 * RATE).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    return whole


@pytest.mark.parametrize("kind", ["FLAC", "MP3", "AU", "AIFF", "WAV"])
def test_a_header_that_says_too_little_hides_no_music(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    whole = understated(path, kind)
    samples = decode(path, sample_rate=RATE)
    frame = 2400 if kind == "MP3" else 0  # without the tag, what the encoder added at the ends is not known
    assert 0 <= len(samples) - len(whole) <= frame
    if kind != "MP3":
        np.testing.assert_array_equal(samples, whole)
    assert audio.read_header(path).duration == pytest.approx(6.0, abs=0.15)


@pytest.mark.parametrize("kind", ["WAV", "AU"])
def test_a_recorder_that_died_before_it_wrote_the_length_has_recorded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(duration=0.5, sample_rate=RATE), RATE, format=kind)
    whole, content = decode(path, sample_rate=RATE), bytearray(path.read_bytes())
    content[slice(40, 44) if kind == "WAV" else slice(8, 12)] = bytes(4)
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(decode(path, sample_rate=RATE), whole)
    assert audio.read_header(path).duration == 0.5


def test_two_mp3_files_in_one_are_both_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"  # as `cat` joins them: the first one's tag counts the first alone
    soundfile.write(path, make_music(duration=2.0, sample_rate=RATE), RATE, format="MP3")
    path.write_bytes(2 * path.read_bytes())
    assert decode_with_levels(path, sample_rate=RATE)[1].duration == pytest.approx(4.0, abs=0.2)
    assert audio.read_header(path).duration == pytest.approx(4.0, abs=0.2)


def test_what_follows_the_music_of_a_wav_is_no_music(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"  # tags, as editors append them
    soundfile.write(path, make_music(duration=0.5, sample_rate=RATE), RATE)
    whole, content = decode(path, sample_rate=RATE), path.read_bytes()
    for after in (b"LIST\x04\0\0\0INFO", b"id3 \x05\0\0\0ID3\4\0\0", b"TAG" + bytes(125), bytes(100)):
        path.write_bytes(content + after)
        np.testing.assert_array_equal(decode(path, sample_rate=RATE), whole)


def test_what_goes_on_for_more_than_an_hour_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(duration=2.0, sample_rate=8000), 8000)
    monkeypatch.setattr(audio, "MAX_DURATION", 1.5)
    with pytest.raises(UndecodableError, match="longer than an hour"):
        decode(path, sample_rate=8000)
    monkeypatch.setattr(audio, "MAX_DURATION", 2.0)
    assert len(decode(path, sample_rate=8000)) == 16000


def test_a_long_file_is_read_in_pieces_without_a_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for num_channels in [1, 2, 5]:
        with subtests.test(num_channels=num_channels):
            path = tmp_path / "a.wav"
            sound = make_music(duration=1.0, sample_rate=8000, num_channels=num_channels)
            soundfile.write(path, sound, 8000, subtype="FLOAT")
            whole, measured = decode_with_levels(path, sample_rate=8000)
            monkeypatch.setattr(audio, "_READ", 1000)
            monkeypatch.setattr(audio, "_MIX", 64)
            pieces, again = decode_with_levels(path, sample_rate=8000)
            np.testing.assert_array_equal(pieces, whole)
            assert again.channel_difference == pytest.approx(measured.channel_difference)


def test_a_file_cut_anywhere_is_shorter_or_undecodable(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for suffix in ["wav", "flac", "ogg", "mp3"]:
        with subtests.test(suffix=suffix):
            path = tmp_path / f"a.{suffix}"
            soundfile.write(path, make_music(duration=1.0, sample_rate=RATE, num_channels=2), RATE)
            content, whole = path.read_bytes(), len(decode(path, sample_rate=RATE))
            for cut in (1, 4, 12, 40, 44, 100, 1000, len(content) // 2, len(content) - 1):
                path.write_bytes(content[:cut])
                try:
                    assert len(decode(path, sample_rate=RATE)) <= whole
                except UndecodableError as error:
                    assert str(error).startswith("undecodable: ")


def test_levels_tell_stereo_from_mono_in_stereo(tmp_path: Path) -> None:
    left, right = make_music(duration=0.5, sample_rate=RATE, num_channels=2).T
    expected = np.sqrt(np.mean((left - right) ** 2) / np.mean(((left + right) / 2) ** 2))
    for channels, difference in [
        ([left], None),
        ([left, left], 0.0),
        ([left, right], expected),
        ([left, right, (left + right) / 2], expected),  # what lies between the outermost adds nothing
        ([left, -left], np.inf),
        ([0 * left, 0 * left], 0.0),
    ]:
        soundfile.write(tmp_path / "a.wav", np.stack(channels, axis=1), RATE, subtype="FLOAT")
        _, measured = decode_with_levels(tmp_path / "a.wav", sample_rate=RATE)
        if difference is None:
            assert measured.channel_difference is None
        else:
            assert measured.channel_difference == pytest.approx(difference, rel=1e-3)


def test_levels_are_those_of_the_file_and_not_of_the_resampled_sound(tmp_path: Path) -> None:
    sound = np.clip(2 * sine(100, rate=44100), -1, 1)
    soundfile.write(tmp_path / "a.wav", sound, 44100, subtype="FLOAT")
    _, measured = decode_with_levels(tmp_path / "a.wav", sample_rate=8000)
    assert measured == levels(sound, sample_rate=44100)
    assert measured.clipped_share > 0.5


def test_a_truncated_wav_gives_what_there_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", make_music(duration=1.0, sample_rate=RATE), RATE)
    path = tmp_path / "a.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * 1000])
    assert len(decode(path, sample_rate=RATE)) == 1000


def test_levels_of_hand_made_clips(subtests: pytest.Subtests) -> None:
    for samples, expected in [
        ([0.0, 0.0, 0.0, 0.0], (0.0, 0.0)),
        ([0.5, 0.5, -0.5, 0.5], (0.5, 0.0)),  # a run, but far from full scale
        ([0.1, 1.0, 0.1, 0.1], (1.0, 0.0)),  # one sample at full scale is normalisation
        ([0.1, 1.0, 1.0, 0.1], (1.0, 0.5)),
        ([0.1, -1.0, -1.0, 0.1], (1.0, 0.5)),
        ([1.0, 1.0, 0.1, 1.0], (1.0, 0.5)),  # the run counts, the single one does not
        ([1.0, 0.1, 0.1, 1.0], (1.0, 0.0)),  # the ends are no neighbours
        ([32767 / 32768, 32767 / 32768, 0.0, 0.0], (32767 / 32768, 0.5)),  # 16 bits end one step below 1
    ]:
        with subtests.test(samples=samples):
            measured = levels(np.float32(samples), sample_rate=RATE)
            assert (measured.peak, measured.clipped_share) == pytest.approx(expected)
            assert measured.rms == pytest.approx(np.sqrt(np.mean(np.square(samples))))
            assert measured.duration == len(samples) / RATE


def test_a_clip_driven_too_hard_is_clipped_where_it_exceeds_full_scale() -> None:
    sound = 2 * sine(100, rate=RATE)
    measured = levels(np.clip(sound, -1, 1), sample_rate=RATE)
    assert measured.peak == 1.0
    assert measured.clipped_share == pytest.approx(np.mean(np.abs(sound) >= 1), abs=0.001)


@pytest.mark.parametrize("offset", [1.0, 0.5, -0.25, 0.001])
def test_a_constant_is_silence_and_music_beside_one_is_not(offset: float) -> None:
    constant = np.full(22050, offset, np.float32)
    assert levels(constant, sample_rate=22050).rms < 1e-6
    noise = (1e-5 * np.random.default_rng(0).standard_normal(22050)).astype(np.float32)
    assert levels(constant + noise, sample_rate=22050).rms == pytest.approx(1e-5, rel=0.1)
    music = 0.8 * offset * np.sqrt(2) * sine(440, rate=22050)
    measured = levels((constant + music).astype(np.float32), sample_rate=22050).rms
    assert measured == pytest.approx(abs(offset) * np.sqrt(1 + 0.64), rel=1e-3)


def test_a_name_in_latin_1_is_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    with path.open("wb") as file:
        soundfile.write(file, sine(440, rate=22050), 22050, format="WAV")
    assert len(decode(path, sample_rate=22050)) == 22050
