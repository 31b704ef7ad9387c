"""Hostile and broken inputs on their whole way: each ends in one sentence or in a counted fault, and nothing
is half accepted. What each package refuses by itself is in its own tests."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.builders import make_music, make_params
from support.layouts import APPLE_DOUBLE, BROKEN_WAV, make_audio

from genrepro import datasets
from genrepro.audit import faults
from genrepro.base import tables
from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.catalog import tracks
from genrepro.render import write

CLIP = make_audio(seed=0, duration=1.0)
SOUND = {
    f"{genre}/{number}.wav": make_audio(seed=10 * place + number, duration=1.0)
    for place, genre in enumerate(("folk", "rock"))
    for number in range(2)
}


# --- inputs that no stage may accept ------------------------------------------------------------------------


def as_zip(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path / "music.zip", "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path / "music.zip"


def as_tar(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path / "music.tar.gz", "w:gz", errors="surrogateescape") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path / "music.tar.gz"


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def file(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        file(path / name, data)
    return path


def cut(path: Path, share: float) -> Path:
    return file(path, path.read_bytes()[: int(path.stat().st_size * share)])


REJECTED: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "zip slip": ("folder", lambda path: as_zip(path, ("../../rock/a.wav", CLIP)), r"\.\."),
    "symbolic link": (
        "gtzan",
        lambda path: as_tar(path, (entry("blues/blues.00000.wav", tarfile.SYMTYPE, "/etc/passwd"), b"")),
        "link",
    ),
    "zip bomb": ("folder", lambda path: as_zip(path, ("rock/a.wav", bytes(400_000_000))), "200 times"),
    "truncated tar": (
        "folder",
        lambda path: cut(as_tar(path, (entry("rock/a.wav"), np.random.default_rng(0).bytes(200_000))), 0.5),
        "download",
    ),
    "page instead of tar": (
        "gtzan",
        lambda path: file(path / "genres.tar.gz", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        "HTML",
    ),
    "text instead of zip": (
        "fma_small",
        lambda path: file(path / "fma_small.zip", b"no archive"),
        "fma_metadata",
    ),
    "only AppleDouble files": (
        "folder",
        lambda path: folder(path, {"rock/._a.wav": APPLE_DOUBLE}),
        "no audio file",
    ),
}


def test_it_is_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in REJECTED:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            dataset, make, words = REJECTED[name]
            (tmp_path / "source").mkdir()
            source = make(tmp_path / "source")
            before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            raw = tmp_path / "data" / "raw"
            module = datasets.module(dataset)
            with pytest.raises(GenreproError, match=words) as raised:
                with replacing(raw) as partial:
                    partial.mkdir()
                    module.acquire(params=make_params(dataset=dataset, source=str(source)), raw=partial)
                tracks.build(module.read_catalog(raw), raw, num_workers=1)
            assert str(raised.value).endswith(".") and "\n" not in str(raised.value)
            after = {
                path: path.read_bytes()
                for path in tmp_path.rglob("*")
                if path.is_file() and raw not in path.parents
            }
            assert after == before  # nothing outside raw was written, and what the user had is untouched
            assert not raw.with_name("raw.partial").exists()


# --- files that keep their row ------------------------------------------------------------------------------


def wav(samples: np.ndarray, rate: int = 22050, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def claiming(num_bytes: int) -> bytes:
    """A WAV whose data chunk says that it has ``num_bytes``."""
    data = bytearray(make_audio(seed=99, duration=1.0))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", num_bytes)
    data[4:8] = struct.pack("<I", min(num_bytes + 36, 0xFFFFFFFF))
    return bytes(data)


music = make_music(duration=1.0, sample_rate=22050, seed=7)
FILES: dict[str, tuple[str, bytes, str | None]] = {
    "0-byte MP3": ("odd.mp3", b"", "undecodable"),
    "text named .wav": ("odd.wav", b"la la la, not a sound file\n" * 50, "undecodable"),
    "page named .mp3": ("odd.mp3", b"<!doctype html><html>404</html>" * 50, "undecodable"),
    "header without audio": ("odd.wav", BROKEN_WAV, "undecodable"),
    "no samples": ("odd.wav", wav(np.zeros(0, np.float32)), "undecodable"),
    "one sample": ("odd.wav", wav(music[:1]), "short"),
    "a sample that is not a number": (
        "odd.wav",
        wav(np.where(np.arange(len(music)) == 9, np.nan, music)),
        "undecodable",
    ),
    "an infinite sample": (
        "odd.wav",
        wav(np.where(np.arange(len(music)) == 9, np.inf, music)),
        "undecodable",
    ),
    "a header that promises 4 GB": ("odd.wav", claiming(0xFFFFFFF0), None),
    "a fifth of the clip": ("odd.wav", wav(music[: len(music) // 5]), "short"),
    "silence": ("odd.wav", wav(np.zeros(22050, np.float32)), "silent"),
    "clipping": ("odd.wav", wav(np.clip(20 * music, -1, 1)), "clipped"),
    "96 kHz, 5.1": (
        "odd.wav",
        wav(make_music(duration=1, sample_rate=96000, num_channels=6), 96000),
        "odd_sample_rate",
    ),
    "8 kHz": ("odd.wav", wav(make_music(duration=1, sample_rate=8000), 8000), "odd_sample_rate"),
    "mono in stereo": ("odd.wav", wav(np.stack([music, music], axis=1)), "mono_in_stereo"),
    "a copy": ("odd.wav", SOUND["rock/1.wav"], "duplicate"),
}


def test_it_keeps_its_row_and_the_others_are_rendered(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in FILES:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            file_name, data, finding = FILES[name]
            source = folder(tmp_path / "source", SOUND | {f"rock/{file_name}": data})
            params = make_params(dataset="folder", source=str(source))
            raw = tmp_path / "raw"
            raw.mkdir()
            module = datasets.module("folder")
            module.acquire(params=params, raw=raw)
            table = tracks.build(module.read_catalog(raw), raw, num_workers=1)
            mel, levels = tmp_path / "mel.parquet", tmp_path / "levels.parquet"
            write.render(table, raw=raw, params=params.mel, mel_path=mel, levels_path=levels, num_workers=1)
            found = faults.findings(
                table, tables.read(levels, tables.LEVELS), tables.read_mels(mel), params=params.audit
            )
            result = faults.audit(found, [], params=params.audit)
            reasons = dict(zip(result["track_id"].to_pylist(), result["reasons"].to_pylist(), strict=True))
            assert list(reasons) == ["folk/0", "folk/1", "rock/0", "rock/1", "rock/odd"]
            assert reasons.pop("rock/odd") == [finding] * (finding is not None)
            assert not any(reasons.values())
            rows = {row["track_id"]: row for row in tables.read_mels(mel)}
            assert all(rows[track_id]["num_frames"] == 44 for track_id in reasons)
            assert_numbers(rows["rock/odd"])


def assert_numbers(row: dict) -> None:
    """Either a fault and no frames, or frames of finite numbers."""
    assert (row["fault"] is None) == (row["num_frames"] > 0) == (row["mel"] is not None)
    if row["mel"] is not None:
        assert np.isfinite(np.frombuffer(row["mel"], "<f2")).all()
