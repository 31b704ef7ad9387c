"""Claims about other formats: the samples are ffmpeg's, damage costs what it hit, noise is not music."""

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from support.builders import make_params
from support.sounds import DURATION, ENCODED, RATE, as_bytes, encode, music

from genrepro.audit import fingerprint
from genrepro.audit.duplicates import near_duplicates
from genrepro.base import files, tables
from genrepro.spectrogram import audio, ffmpeg, mel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same music in every format."""
    folder = tmp_path_factory.mktemp("formats")
    for name, (codec, kind, rate, container) in ENCODED.items():
        encode(folder / name, music(), codec=codec, kind=kind, rate=rate, container=container)
    return folder


def by_hand(path: Path) -> np.ndarray:
    """The mean of the channels, decoded frame by frame as PyAV's documentation does."""
    with av.open(str(path)) as file:
        frames = [frame for packet in file.demux(audio=0) for frame in packet.decode()]
    parts = []
    for frame in frames:
        values = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, frame.layout.nb_channels).T
        scale = {"s16": 2.0**15, "s16p": 2.0**15}.get(frame.format.name, 1.0)
        parts.append(values / scale)
    return np.concatenate(parts, axis=1).mean(axis=0)


def test_the_samples_are_ffmpegs(folder: Path, subtests: pytest.Subtests) -> None:
    for name in ENCODED:
        with subtests.test(name=name):
            rate = ENCODED[name][2]
            decoded, levels = audio.decode_with_levels(folder / name, sample_rate=rate)
            np.testing.assert_allclose(decoded, by_hand(folder / name), atol=1e-4)
            assert levels.duration == pytest.approx(DURATION, abs=0.1)
            assert levels.channel_difference is not None  # both channels were there


def test_bytes_are_read_as_a_file_is(folder: Path, subtests: pytest.Subtests) -> None:
    for name in ENCODED:
        with subtests.test(name=name):
            of_bytes = audio.decode(BytesIO((folder / name).read_bytes()), sample_rate=8000)
            np.testing.assert_array_equal(of_bytes, audio.decode(folder / name, sample_rate=8000))


def test_the_header_tells_rate_channels_and_length(folder: Path, subtests: pytest.Subtests) -> None:
    for name in ENCODED:
        with subtests.test(name=name):
            found = audio.read_header(folder / name)
            assert (found.sample_rate, found.num_channels) == (ENCODED[name][2], 2)
            if name == "aac.aac":  # the format has no length, and ffmpeg would guess one
                assert found.duration is None
            else:
                assert found.duration == pytest.approx(DURATION, abs=0.1)


def test_what_libsndfile_decodes_never_reaches_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ffmpeg, "blocks", reached)
    monkeypatch.setattr(ffmpeg, "header", reached)
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(as_bytes(music(), kind=kind))
        assert audio.read_header(path).num_channels == 2
        assert len(audio.decode(path, sample_rate=RATE)) > 0


def test_both_decoders_hear_one_recording(folder: Path, tmp_path: Path) -> None:
    """By the audit's own search for duplicates, among other music."""
    params = make_params().mel
    sources = {"a.flac": as_bytes(music(), kind="FLAC"), "other.flac": as_bytes(music(seed=1), kind="FLAC")}
    for name, content in sources.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / "a.flac", folder / "aac.m4a", folder / "opus.webm", tmp_path / "other.flac"]
    rows = []
    for path in paths:
        spectrogram = mel.log_mel(audio.decode(path, sample_rate=params.sample_rate), params=params)
        rows.append({"track_id": path.name, "mel": tables.pack_mel(spectrogram), "fault": None,
                     "num_frames": len(spectrogram), "num_mels": spectrogram.shape[1]})  # fmt: skip
    schema = tables.with_mel_description(mel.describe(params))
    table = tables.pa.Table.from_pylist(sorted(rows, key=lambda row: row["track_id"]), schema=schema)
    files.write_parquet(tmp_path / "mel.parquet", [table], schema)
    pairs = near_duplicates(tmp_path / "mel.parquet", skip=set(), min_similarity=0.65, num_workers=1)
    found = {frozenset((pair.first, pair.second)) for pair in pairs}
    assert {frozenset(("a.flac", "aac.m4a")), frozenset(("a.flac", "opus.webm"))} <= found
    assert not any("other.flac" in pair for pair in found)
    assert fingerprint.FAN_OUT  # the search above stands on fingerprints


def damaged(content: bytes, num_zeros: int) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(num_zeros) + content[middle + num_zeros :]


@pytest.mark.parametrize(("kind", "zeros", "most"), [("MP3", 4_000, 1.0), ("FLAC", 2_000, 0.5)])
def test_damage_costs_what_it_hit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, zeros: int, most: float
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(damaged(as_bytes(music(), kind=kind), zeros))
    _, levels = audio.decode_with_levels(path, sample_rate=RATE)
    assert DURATION - most < levels.duration < DURATION
    assert audio.read_header(path).duration == pytest.approx(DURATION, abs=0.1)  # so the audit says truncated
    assert capfd.readouterr().err == ""


def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    whole = as_bytes(music(), kind="FLAC")
    path.write_bytes(whole[: len(whole) // 2])
    assert 1 < audio.decode_with_levels(path, sample_rate=RATE)[1].duration < 3


CHAINS = {
    "one rate": [(RATE, 2, "VORBIS"), (RATE, 2, "VORBIS")],
    "another rate and mono": [(RATE, 2, "VORBIS"), (RATE // 2, 1, "VORBIS"), (RATE, 2, "VORBIS")],
    "another codec": [(48_000, 2, "OPUS"), (48_000, 2, "VORBIS")],
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_a_chained_ogg_is_what_its_links_are_one_by_one(
    tmp_path: Path, chain: list[tuple[int, int, str]]
) -> None:
    whole, rate = tmp_path / "a.ogg", chain[0][0]
    alone = []
    for number, (own_rate, num_channels, codec) in enumerate(chain):
        link = tmp_path / f"{number}.ogg"
        samples = music(seed=number)[:, :num_channels]
        soundfile.write(link, samples, own_rate, format="OGG", subtype=codec)
        with whole.open("ab") as file:
            file.write(link.read_bytes())
        # One at another rate is resampled, and only its length is compared.
        alone.append((by_hand(link), own_rate))
    decoded, position = audio.decode(whole, sample_rate=rate), 0
    for samples, own_rate in alone:
        if own_rate == rate:
            np.testing.assert_allclose(decoded[position : position + len(samples)], samples, atol=1e-4)
        position += len(samples) * rate // own_rate
    assert len(decoded) == position
    assert audio.read_header(whole).duration == pytest.approx(position / rate, abs=0.05)


def test_a_damaged_link_costs_only_itself(tmp_path: Path) -> None:
    first, second = as_bytes(music(), kind="OGG"), as_bytes(music(seed=1), kind="OGG")
    broken = second[:60] + bytes(4000) + second[4060:]  # its headers
    (tmp_path / "a.ogg").write_bytes(first + broken + first)
    (tmp_path / "one.ogg").write_bytes(first)
    alone = by_hand(tmp_path / "one.ogg")
    decoded = audio.decode(tmp_path / "a.ogg", sample_rate=RATE)
    assert len(decoded) == 2 * len(alone)
    np.testing.assert_allclose(decoded, np.tile(alone, 2), atol=1e-4)


def test_aac_under_another_name_is_aac(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (folder / "aac.aac").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    for name, prefix in (("a.mp3", b""), ("tagged.mp3", tag)):
        path = tmp_path / name
        path.write_bytes(prefix + content)
        np.testing.assert_array_equal(
            audio.decode(path, sample_rate=8000), audio.decode(folder / "aac.aac", sample_rate=8000)
        )
    assert capfd.readouterr().err == ""


NOT_MUSIC = {
    "text.wav": b"hello world " * 5000,
    "random.mp3": np.random.default_rng(0).bytes(200_000),
    "empty.mp3": b"",
    "zeros.wav": bytes(50_000),
    "page.m4a": b"<!doctype html><title>404</title>" * 100,
    "subtitles.mka": b"1\n00:00:00,000 --> 00:00:01,000\nla la la\n\n" * 50,
}


def test_what_is_not_music_stays_undecodable(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    for name in NOT_MUSIC:
        with subtests.test(name=name):
            path = tmp_path / name
            path.write_bytes(NOT_MUSIC[name])
            for read in (audio.read_header, lambda path: audio.decode(path, sample_rate=8000)):
                with pytest.raises(audio.UndecodableError, match=r"^undecodable: ") as refusal:
                    read(path)
                assert "does not exist" not in str(refusal.value)
            assert capfd.readouterr().err == ""


def test_a_video_gives_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        picture = file.add_stream("mpeg4", rate=5)
        picture.width = picture.height = 32
        sound = file.add_stream("aac", rate=RATE, layout="stereo")
        for _ in range(5):
            file.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        file.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(music().T), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for part in av.AudioResampler("fltp", "stereo", RATE, frame_size=1024).resample(frame):
            file.mux(sound.encode(part))
        file.mux(sound.encode(None))
    assert audio.decode_with_levels(path, sample_rate=RATE)[1].duration == pytest.approx(DURATION, abs=0.1)


def test_libsndfile_still_has_the_word_on_its_own_formats(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", music(), RATE, subtype="PCM_24")
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_allclose(
        audio.decode(tmp_path / "a.wav", sample_rate=RATE), expected.mean(axis=1), atol=1e-7
    )
