"""Claims about what can be downloaded: declared, overridden by the user's file, or named by a URL."""

import json
from pathlib import Path

import pytest

from genrepro.base.errors import GenreproError
from genrepro.download.cache import Remote, declared, remote_of


def test_a_remote_that_cannot_be_is_a_programmers_mistake(subtests: pytest.Subtests) -> None:
    for wrong in [
        {"name": ""},
        {"name": "../music.zip"},
        {"name": ".."},
        {"name": "a\\b"},
        {"name": "a\n"},
        {"urls": ()},
        {"urls": ("ftp://host/music.zip",)},
        {"urls": ("/local/music.zip",)},
        {"urls": ("http://[::1/music.zip",)},
        {"urls": ("http://host:port/music.zip",)},
        {"checksum": "5b3d6ddd"},
        {"checksum": "crc32:5b3d6ddd"},
        {"checksum": "sha1:5b3d6ddd"},
        {"num_bytes": 0},
        {"num_bytes": True},
    ]:
        with subtests.test(wrong=wrong), pytest.raises(ValueError):
            Remote(**{"name": "music.zip", "urls": ("https://host/music.zip",), **wrong})


def test_a_url_names_its_file() -> None:
    for url, name in [
        ("https://host/data/music.zip", "music.zip"),
        ("http://host:8000/music.tar.gz?download=1", "music.tar.gz"),
        ("https://host/my%20music.zip", "my music.zip"),
    ]:
        assert remote_of(url) == Remote(name=name, urls=(url,))


def test_a_url_without_a_file_is_refused(subtests: pytest.Subtests) -> None:
    for url in ["https://host/", "https://host", "https://host/a%2F..", "ftp://host/a.zip", "http://["]:
        with subtests.test(url=url), pytest.raises(GenreproError, match="names no file to download"):
            remote_of(url)


SHA1 = f"sha1:{'0' * 40}"
REMOTES = {
    "small": Remote(name="small.zip", urls=("https://host/small.zip",), checksum=SHA1, num_bytes=5),
    "large": Remote(name="large.zip", urls=("https://host/large.zip",), checksum=SHA1),
}


def test_without_the_variable_remotes_are_as_declared() -> None:
    assert declared(REMOTES) == REMOTES


def test_an_entry_of_the_users_file_replaces_urls_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    override = {"urls": ["http://127.0.0.1:8000/s.zip"], "checksum": None}
    (tmp_path / "remotes.json").write_text(json.dumps({"small": override, "others": override}))
    monkeypatch.setenv("GENREPRO_REMOTES", str(tmp_path / "remotes.json"))
    small = Remote(name="small.zip", urls=("http://127.0.0.1:8000/s.zip",))
    assert declared(REMOTES) == {"small": small, "large": REMOTES["large"]}


def test_a_misshapen_file_of_the_user_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for text, reason in [
        (None, "no such file"),
        ("{", "is not a JSON file"),
        ("[]", "must hold an object"),
        ('{"small": []}', "'small'"),
        ('{"small": {"checksum": null}}', "a list of urls"),
        ('{"small": {"urls": "http://host/a.zip"}}', "a list of urls"),
        ('{"small": {"urls": [1]}}', "1 is not of the form"),
        ('{"small": {"urls": []}}', "at least one mirror"),
        ('{"small": {"urls": ["http://host/a.zip"], "sha1": "1"}}', "'sha1' is not one of"),
        ('{"small": {"urls": ["http://host/a.zip"], "checksum": 1}}', "checksum 1"),
        ('{"small": {"urls": ["http://host/a.zip"], "num_bytes": "1"}}', "num_bytes '1'"),
    ]:
        with subtests.test(text=text):
            if text is not None:
                (tmp_path / "remotes.json").write_text(text)
            monkeypatch.setenv("GENREPRO_REMOTES", str(tmp_path / "remotes.json"))
            with pytest.raises(GenreproError, match=r"remotes\.json") as caught:
                declared(REMOTES)
            assert reason in str(caught.value) and "\n" not in str(caught.value)
