"""Claims about taking files out of folders and archives, most of them about archives of ill will."""

import bz2
import gc
import gzip
import io
import lzma
import os
import resource
import shutil
import stat
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from support.builders import ROOT

from genrepro.base.errors import GenreproError
from genrepro.download import archives, disk
from genrepro.download.archives import extract

MUSIC = np.random.default_rng(0).bytes(300_000)
FILES = {"a/one.wav": MUSIC, "a/two.wav": b"two", "b/three.wav": b"", "b/readme.txt": b"text"}
WANTED = {name: content for name, content in FILES.items() if name.endswith(".wav")}
COMPRESSIONS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def write_folder(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path: Path, files: Mapping[str, bytes] = FILES, *, compression: str = "deflate") -> Path:
    with zipfile.ZipFile(path, "w", COMPRESSIONS[compression]) as archive:
        archive.mkdir("a")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes] = FILES, *, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            add(archive, name, content=content)
    return path


def add(archive: tarfile.TarFile, name: str, *, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    archive.addfile(info, io.BytesIO(content))


WAYS: dict[str, Callable[[Path], Path]] = {
    "folder": write_folder,
    **{f"zip of {name}": lambda path, name=name: write_zip(path, compression=name) for name in COMPRESSIONS},
    **{mode: lambda path, mode=mode: write_tar(path, mode=mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")},
}


def wav(name: PurePosixPath) -> str | None:
    return str(name) if name.suffix == ".wav" else None


def taken(source: Path, place: Callable[[PurePosixPath], str | None] = wav) -> dict[str, bytes]:
    """What lands in an empty folder, by its place there."""
    into = source.with_name("into")
    num_files = extract(source, into=into, place=place)
    found = {path.relative_to(into).as_posix(): path for path in into.rglob("*") if not path.is_dir()}
    assert num_files == len(found) and not any(path.is_symlink() for path in found.values())
    return {name: path.read_bytes() for name, path in found.items()}


def complaint(source: Path, place: Callable[[PurePosixPath], str | None] = wav) -> str:
    before = set(source.parent.rglob("*"))
    with pytest.raises(GenreproError) as caught:
        taken(source, place)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and str(source) in message
    beside = set(source.parent.rglob("*")) - before
    assert all(path.is_relative_to(source.with_name("into")) for path in beside)
    return message


# What is taken ------------------------------------------------------------------------------------------


def test_a_source_gives_what_is_wanted_whatever_it_is_called(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for way in WAYS:
        with subtests.test(way=way):
            tmp_path = tmp_path_factory.mktemp("case")
            assert taken(WAYS[way](tmp_path / "source.bin")) == WANTED


def test_names_are_those_inside_the_source_and_targets_are_the_callers(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "a.tar", {"./top/a/one.wav": MUSIC}, mode="w")
    assert taken(source, lambda name: f"x/{'-'.join(name.parts)}") == {"x/top-a-one.wav": MUSIC}


def test_what_macos_adds_is_left_without_asking(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for write in [write_folder, write_zip, write_tar]:
        with subtests.test(write=write.__name__):
            tmp_path = tmp_path_factory.mktemp("case")
            litter = ("a/._one.wav", "__MACOSX/a/._one.wav", "__MACOSX/a/one.wav", "a/.DS_Store")
            assert taken(write(tmp_path / "source", {**dict.fromkeys(litter, b"x"), **FILES})) == WANTED


def test_nothing_wanted_is_no_error(tmp_path: Path) -> None:
    assert taken(write_zip(tmp_path / "a.zip"), lambda name: None) == {}


def test_a_target_outside_is_the_callers_mistake(tmp_path_factory: pytest.TempPathFactory) -> None:
    for target in ("/etc/passwd", "../up.wav", "a/../../up.wav", ""):
        tmp_path = tmp_path_factory.mktemp("case")
        with pytest.raises(ValueError, match="must name a path below"):
            extract(
                write_folder(tmp_path / "source"), into=tmp_path / "into", place=lambda name, at=target: at
            )


def test_a_folder_is_followed_through_links_but_never_in_a_circle(tmp_path: Path) -> None:
    write_folder(tmp_path / "disk2", {"two.wav": b"two"})
    source = write_folder(tmp_path / "source", {"a/one.wav": b"one"})
    (source / "b").symlink_to(tmp_path / "disk2")
    (source / "c.wav").symlink_to(tmp_path / "disk2" / "two.wav")
    (source / "a" / "circle").symlink_to(source)
    assert taken(source) == {"a/one.wav": b"one", "b/two.wav": b"two", "c.wav": b"two"}


def test_a_folder_that_holds_the_target_does_not_feed_on_itself(tmp_path: Path) -> None:
    write_folder(tmp_path / "source", {"one.wav": b"one"})
    into = tmp_path / "source" / "data" / "raw"
    assert extract(tmp_path / "source", into=into, place=lambda name: f"z/{name.name}") == 1


def test_what_is_no_file_is_refused_in_a_folder_where_it_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for kind in ["fifo", "broken link"]:
        with subtests.test(kind=kind):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write_folder(tmp_path / "source")
            if kind == "fifo":
                os.mkfifo(source / "odd.wav")
            else:
                (source / "odd.wav").symlink_to(tmp_path / "nowhere")
            assert "'odd.wav' is not a regular file" in complaint(source)
            assert len(taken(source, lambda name: None if name.stem == "odd" else wav(name))) == 3


def test_two_files_for_one_place_are_refused(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for write in [write_folder, write_zip, write_tar]:
        with subtests.test(write=write.__name__):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write(tmp_path / "source", {"x/one.wav": b"1", "y/one.wav": b"2"})
            message = complaint(source, lambda name: f"blues/{name.name}")
            assert f"{source} holds blues/one.wav twice: name the folder that is meant" in message


# Members that could do harm -----------------------------------------------------------------------------

HARMFUL = {
    "../evil.wav": "climbs out of the folder",
    "a/../../evil.wav": "climbs out of the folder",
    "a/..": "climbs out of the folder",
    "..\\evil.wav": "climbs out of the folder",
    "/tmp/evil.wav": "has an absolute path",
    "\\evil.wav": "has an absolute path",
    "C:/evil.wav": "has an absolute path",
    "c:evil.wav": "has an absolute path",
    "a\\evil.wav": "has a name that systems read differently",
}


def test_a_name_that_leads_out_refuses_the_archive(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in HARMFUL:
        for write in [write_zip, write_tar]:
            for wanted in [True, False]:
                with subtests.test(name=name, write=write.__name__, wanted=wanted):
                    tmp_path = tmp_path_factory.mktemp("case")
                    source = write(tmp_path / "archive", {**FILES, name: b"evil"})
                    message = complaint(source, wav if wanted else lambda name: None)
                    assert f"{name!r} {HARMFUL[name]}, so nothing of the archive is taken" in message


def test_a_name_with_a_hidden_end_refuses_the_archive(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"one.wav#../evil": b"x"})
    source.write_bytes(source.read_bytes().replace(b"one.wav#..", b"one.wav\0.."))
    assert "so nothing of the archive is taken" in complaint(source)


def test_a_member_without_a_name_refuses_the_archive(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"one.wav": b"x"})
    set_central(source, 28, bytes([0, 0, 0, 0, 7, 0]))  # lengths of name, extra field and comment
    assert "'' has no name, so nothing of the archive is taken" in complaint(source)


def test_a_link_or_a_device_refuses_a_tar(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for kind, reason in [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.FIFOTYPE, "is neither a file nor a folder"),
        (tarfile.CHRTYPE, "is neither a file nor a folder"),
        (tarfile.BLKTYPE, "is neither a file nor a folder"),
        (b"V", "is neither a file nor a folder"),
    ]:
        for name in ["a/evil.wav", "a/unwanted", "__MACOSX/._evil"]:
            with subtests.test(kind=kind, name=name):
                tmp_path = tmp_path_factory.mktemp("case")
                source = write_tar(tmp_path / "a.tar", FILES, mode="w")
                with tarfile.open(source, "a") as archive:
                    add(archive, name, kind=kind)
                assert f"{name!r} {reason}" in complaint(source)


def test_a_link_or_a_device_refuses_a_zip(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for kind, reason in [
        (stat.S_IFLNK, "is a link"),
        (stat.S_IFIFO, "is neither a file nor a folder"),
        (stat.S_IFCHR, "is neither a file nor a folder"),
    ]:
        with subtests.test(kind=kind):
            tmp_path = tmp_path_factory.mktemp("case")
            with zipfile.ZipFile(write_zip(tmp_path / "a.zip"), "a") as archive:
                info = zipfile.ZipInfo("a/evil.wav")
                info.external_attr = (kind | 0o777) << 16
                archive.writestr(info, "/etc/passwd")
            assert f"'a/evil.wav' {reason}" in complaint(tmp_path / "a.zip")


# Names ----------------------------------------------------------------------------------------------------

LATIN = b"b\xe9la.wav"


def latin_folder(path: Path) -> Path:
    write_folder(path)
    Path(os.fsdecode(os.fsencode(path / "b") + b"/" + LATIN)).write_bytes(b"x")
    return path


def latin_tar(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        add(archive, f"b/{LATIN.decode('latin-1')}", content=b"x")
    return path


def test_a_name_that_is_not_utf8_is_shown_escaped_where_it_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for write in [latin_folder, latin_tar]:
        with subtests.test(write=write.__name__):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write(tmp_path / "source")
            assert r"the name 'b/b\udce9la.wav' is not UTF-8" in complaint(source)
            shutil.rmtree(tmp_path / "into")
            taken(source, lambda name: None if "b" in name.parts else wav(name))


def test_a_zip_with_a_name_that_is_not_the_utf8_it_claims_is_refused(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"béla.wav": b"x"})
    source.write_bytes(source.read_bytes().replace("béla.wav".encode(), b"b\xe9\xe9la.wav"))
    assert r"not UTF-8, b'b\xe9\xe9la.wav'" in complaint(source)


def test_names_of_every_language_are_taken(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for write in [write_folder, write_zip, write_tar]:
        with subtests.test(write=write.__name__):
            tmp_path = tmp_path_factory.mktemp("case")
            files = {"Дискотека/Мумий Тролль.wav": b"1", "音楽/曲.wav": b"2"}
            assert taken(write(tmp_path / "source", files)) == files


# Bounds -------------------------------------------------------------------------------------------------


def bomb_zip(path: Path, *, compression: str) -> Path:
    with zipfile.ZipFile(path, "w", COMPRESSIONS[compression]) as archive:
        archive.writestr("one.wav", bytes(10_000_000))
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    **{
        f"zip of {name}": lambda path, name=name: bomb_zip(path, compression=name)
        for name in ("deflate", "bzip2", "lzma")
    },
    **{
        mode: lambda path, mode=mode: write_tar(path, {"one.wav": bytes(10_000_000)}, mode=mode)
        for mode in ("w:gz", "w:bz2", "w:xz")
    },
}


def test_a_bomb_ends_early(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for way, write in BOMBS.items():
        with subtests.test(way=way), monkeypatch.context() as patch:
            source = write(tmp_path_factory.mktemp("case") / "bomb")
            into = source.with_name("into")
            assert taken(source) == {
                "one.wav": bytes(10_000_000)
            }  # within the slack that a small archive has
            shutil.rmtree(into)
            patch.setattr(archives, "SLACK", 100_000)
            patch.setattr(archives, "MAX_RATIO", 20)
            assert "unpacks to more than" in complaint(source)
            most = 20 * source.stat().st_size + 100_000
            assert sum(path.stat().st_size for path in into.iterdir()) <= most < 1_000_000


def test_a_bomb_in_what_nobody_wants_ends_early_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_tar(tmp_path / "bomb", {"unwanted": bytes(10_000_000)})
    monkeypatch.setattr(archives, "SLACK", 100_000)
    assert "unpacks to more than" in complaint(source)


def test_a_bomb_behind_the_end_of_a_tar_ends_early_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = write_tar(tmp_path / "inside.tar", mode="w").read_bytes()
    (tmp_path / "bomb").write_bytes(gzip.compress(inside + bytes(10_000_000)))
    monkeypatch.setattr(archives, "SLACK", 100_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 2)
    assert "unpacks to more than" in complaint(tmp_path / "bomb")


def test_a_bomb_does_not_fill_the_memory(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for compression in ["bzip2", "lzma"]:
        with subtests.test(compression=compression):
            tmp_path = tmp_path_factory.mktemp("case")
            # zipfile expands at once whatever it reads of these, so it must be fed in small pieces.
            content = b"".join(
                bytes(1_000_000) + MUSIC[start : start + 6000] for start in range(0, 150_000, 6000)
            )
            source = write_zip(tmp_path / "bomb", {"one.wav": content}, compression=compression)
            assert source.stat().st_size < 200_000
            tracemalloc.start()
            try:
                extract(source, into=tmp_path / "into", place=wav)
                assert tracemalloc.get_traced_memory()[1] < len(content) / 2
            finally:
                tracemalloc.stop()


def test_a_zip_that_lies_about_a_size_is_damaged(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for claimed in [10, 10_000_000]:
        with subtests.test(claimed=claimed):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write_zip(tmp_path / "a.zip", {"one.wav": b"x" * 1000})
            set_central(source, 24, claimed.to_bytes(4, "little"))
            assert "is cut off or damaged" in complaint(source)


def test_a_zip_that_lies_about_a_size_and_its_sum_is_damaged(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"one.wav": b"x" * 1000})
    set_central(source, 16, zlib.crc32(b"x" * 1000).to_bytes(4, "little"))
    set_central(source, 24, (2000).to_bytes(4, "little"))
    assert "'one.wav' has 1000 of 2000 bytes" in complaint(source)


def set_central(source: Path, offset: int, value: bytes) -> None:
    """Change a field of the last entry of a zip's directory."""
    whole = bytearray(source.read_bytes())
    start = whole.rindex(b"PK\x01\x02") + offset
    whole[start : start + len(value)] = value
    source.write_bytes(whole)


def test_members_that_lie_inside_another_are_refused(tmp_path: Path) -> None:
    # Fifield's bomb: thousands of names for one and the same compressed content.
    source = write_zip(tmp_path / "a.zip", {"one.wav": MUSIC, "two.wav": MUSIC})
    set_central(source, 42, (len(b"PK\x03\x04") * 8).to_bytes(4, "little"))
    assert "lies inside another member" in complaint(source)


def test_too_many_members_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for write in [write_folder, write_zip, write_tar]:
        with subtests.test(write=write.__name__):
            tmp_path = tmp_path_factory.mktemp("case")
            monkeypatch.setattr(archives, "MAX_MEMBERS", 4)
            assert "has more than 4 members" in complaint(
                write(tmp_path / "source", {f"{n}.wav": b"" for n in range(5)})
            )


def test_what_the_disk_cannot_hold_is_refused_before_it_is_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for way in WAYS:
        with subtests.test(way=way):
            tmp_path = tmp_path_factory.mktemp("case")
            source = WAYS[way](tmp_path / "source")
            monkeypatch.setattr(disk, "MARGIN", 10**18)
            assert "GB that the disk can spare: free some space" in complaint(source)


def test_members_of_a_tar_are_not_kept_in_memory(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "a.tar.gz", {f"{number}.txt": b"x" for number in range(50)})
    alive = {}

    def count(name: PurePosixPath) -> None:
        if name.stem in ("2", "49"):
            alive[name.stem] = sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects())

    extract(source, into=tmp_path / "into", place=count)
    assert alive["49"] <= alive["2"]


# Damage ---------------------------------------------------------------------------------------------------


def test_a_truncated_archive_is_to_be_downloaded_again(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for way in [way for way in WAYS if way != "folder"]:
        for share in [0.01, 0.5, 0.9, 0.999]:
            with subtests.test(way=way, share=share):
                tmp_path = tmp_path_factory.mktemp("case")
                source = WAYS[way](tmp_path / "archive")
                whole = source.read_bytes()
                source.write_bytes(whole[: int(share * len(whole))])
                if way == "w" and share == 0.999:
                    source.write_bytes(
                        whole[: len(whole) // 10240 * 10240 - 10240]
                    )  # tar pads its end with many zeros
                assert "download it again" in complaint(source)


def test_a_tar_that_ends_between_two_members_is_not_whole(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for num_bytes in [512 + 300_032, 512 + 300_032 + 1024]:
        for pack in [bytes, gzip.compress, bz2.compress, lzma.compress]:
            with subtests.test(pack=pack, num_bytes=num_bytes):
                tmp_path = tmp_path_factory.mktemp("case")
                whole = write_tar(tmp_path / "whole.tar", mode="w").read_bytes()
                (tmp_path / "a.tar").write_bytes(pack(whole[:num_bytes]))
                assert "it ends before the mark of its end" in complaint(tmp_path / "a.tar")


def test_a_damaged_header_is_not_taken_for_the_end_of_a_tar(tmp_path: Path) -> None:
    whole = bytearray(write_tar(tmp_path / "a.tar", mode="w").read_bytes())
    whole[whole.index(b"a/two.wav")] ^= 1
    (tmp_path / "a.tar").write_bytes(whole)
    assert "a header is damaged" in complaint(tmp_path / "a.tar")


def test_a_flipped_bit_in_the_content_does_not_go_unseen(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for way in [way for way in WAYS if way not in ("folder", "w")]:
        with subtests.test(way=way):
            tmp_path = tmp_path_factory.mktemp("case")
            source = WAYS[way](tmp_path / "archive")
            whole = bytearray(source.read_bytes())
            whole[len(whole) // 2] ^= 4  # in the middle of the long file
            source.write_bytes(whole)
            assert "is cut off or damaged" in complaint(source)


def test_a_wrong_sum_in_a_zip_does_not_go_unseen(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for compression in COMPRESSIONS:
        with subtests.test(compression=compression):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write_zip(tmp_path / "a.zip", {"one.wav": MUSIC}, compression=compression)
            set_central(source, 16, bytes(4))
            assert "Bad CRC-32" in complaint(source)


def test_a_wrong_sum_at_the_very_end_of_a_gzip_does_not_go_unseen(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "a.tar.gz")
    whole = bytearray(source.read_bytes())
    whole[-8] ^= 1
    source.write_bytes(whole)
    assert "CRC check failed" in complaint(source)


def test_what_is_no_archive_is_said_to_be_something_else(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for content, reason in [
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>log in</html>", "it begins like an HTML page"),
        (b"<HTML>404" + bytes(1000), "it begins like an HTML page"),
        (b"RIFF....WAVE", "it begins with b'RIFF....WAVE'"),
        (b"", "it begins with b''"),
        (np.random.default_rng(1).bytes(5000), "neither a folder nor a zip or tar archive"),
        (gzip.compress(b"just text" * 1000, mtime=0), "what it holds is not a tar archive"),
        (gzip.compress(b"", mtime=0), "is cut off or damaged"),
        (b"Rar!\x1a\x07\x00" + bytes(600), "it begins with b'Rar!"),
    ]:
        with subtests.test(reason=reason):
            tmp_path = tmp_path_factory.mktemp("case")
            (tmp_path / "archive.zip").write_bytes(content)
            assert reason in complaint(tmp_path / "archive.zip")


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", {"inner.wav": b"x"}).read_bytes()
    source = write_tar(tmp_path / "a.tar", {**FILES, "inner.zip": inner}, mode="w")
    assert zipfile.is_zipfile(source)
    assert taken(source) == WANTED


def test_a_zip_behind_a_program_that_unpacks_it_is_a_zip(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip")
    source.write_bytes(b"#!/bin/sh\nexec unzip $0\n" + source.read_bytes())
    assert taken(source) == WANTED


def test_an_encryption_or_compression_that_python_lacks_is_named(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for offset, value, reason in [(8, b"\x01\x00", "password required"), (10, b"\x09\x00", "compression")]:
        with subtests.test(reason=reason):
            tmp_path = tmp_path_factory.mktemp("case")
            source = write_zip(tmp_path / "a.zip", {"one.wav": b"x"})
            set_central(source, offset, value)
            message = complaint(source)
            assert reason in message and "unpack it and name the folder" in message


# The disk -------------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_ends_in_a_sentence(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip", {"one.wav": MUSIC[:150_000]})  # in one piece, of which a part fits
    script = (
        "import sys; from pathlib import Path; from genrepro.download.archives import extract\n"
        "from genrepro.base.errors import GenreproError\n"
        "try: extract(Path(sys.argv[1]), into=Path(sys.argv[2]), place=str)\n"
        "except GenreproError as error: print(error)\n"
    )
    message = subprocess.run(
        [sys.executable, "-c", script, source, tmp_path / "into"],
        cwd=ROOT / "src",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "one.wav cannot be written, file too large: free some space" in message


def test_a_target_that_cannot_be_made_ends_in_a_sentence(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "a.zip")
    (tmp_path / "file").touch()
    with pytest.raises(GenreproError, match="cannot be written, not a directory"):
        extract(source, into=tmp_path / "file" / "into", place=wav)
    with pytest.raises(GenreproError, match="cannot be written, not a directory"):
        extract(source, into=tmp_path, place=lambda name: f"file/below/{name.name}")


def test_a_source_that_is_not_there_ends_in_a_sentence(tmp_path: Path) -> None:
    assert "cannot be read, no such file" in complaint(tmp_path / "nowhere.zip")


@pytest.mark.parametrize("change", ["grows", "shrinks", "goes"])
def test_a_folder_that_changes_while_it_is_copied_is_one_sentence(tmp_path: Path, change: str) -> None:
    song = tmp_path / "mine" / "rock" / "a.wav"
    song.parent.mkdir(parents=True)
    song.write_bytes(b"some music")

    def place(name: PurePosixPath) -> str:
        if change == "goes":
            song.unlink()
        else:
            song.write_bytes(b"some more music" if change == "grows" else b"some")
        return str(name)

    with pytest.raises(GenreproError) as caught:
        archives.extract(tmp_path / "mine", into=tmp_path / "raw", place=place)
    assert "rock/a.wav" in str(caught.value) and "changed while it was copied" in str(caught.value)
