"""Claims about `genrepro listen` without a browser: what it says of a file, and what it refuses."""

import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
import soundfile
from support.listening import EVIL, RATE, make_repository, noise, wrong

from genrepro.datasets.synthesis import seeds
from genrepro.listen import known, sounds
from genrepro.listen.collection import VIEWS
from genrepro.listen.page import Page
from genrepro.serve.predictor import Predictor

# Not importorskip: each worker would import Gradio, four seconds, to collect what one of them runs.
pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `page` is not installed")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("listen"))


@pytest.fixture(scope="module")
def page(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    predictor = Predictor(repository / "models")
    collection = known.collection_of(repository / "data" / "synthetic", repository / "metrics")
    assert collection is not None and known.fits(collection, predictor) is None
    training = known.Known(collection, predictor, min_similarity=0.65)
    uploads = tmp_path_factory.mktemp("uploads")
    return Page(predictor, worth="cnn", uploads=uploads, collection=collection, known=training)


def upload(page: Page, name: str, content: bytes) -> str:
    """The path at which Gradio would leave an upload."""
    path = page.uploads / "0123" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def raw(repository: Path, track_id: str) -> bytes:
    folder = repository / "data" / "synthetic" / "raw" / track_id.split(".")[0]
    return (folder / f"{track_id}.wav").read_bytes()


def left(page: Page) -> list[Path]:
    """Uploads that are still there. Gradio makes an empty file beside each, which goes later."""
    return [path for path in page.uploads.rglob("*") if path.is_file() and path.stat().st_size]


def probabilities(html: str) -> dict[str, float]:
    found = re.findall(r'data-genre="([^"]*)" data-probability="([^"]*)"', html)
    return {genre: float(value) for genre, value in found}


def test_a_file_gets_predicts_digits_and_is_deleted(page: Page, repository: Path) -> None:
    soundfile.write(repository / "own.wav", noise(4.0), RATE)
    path = upload(page, "own.wav", (repository / "own.wav").read_bytes())
    html = page.hear(path)
    assert probabilities(html) == page.predictor(repository / "own.wav").probabilities
    assert html.count("/sound/track/") == 5 and "warning" not in html
    assert not Path(path).exists()


def test_a_file_of_the_training_set_and_a_copy_of_one_are_known(page: Page, repository: Path) -> None:
    html = page.hear(upload(page, "mine.wav", raw(repository, "rock.0")))
    assert "This file is in the data set: rock.0, train side." in html
    assert "Another copy of this recording is in the data set: rock.1, validation side." in html


def test_the_nearest_track_to_a_training_track_is_itself(page: Page, repository: Path) -> None:
    for track_id in ("blues.0", "jazz.3"):
        assert page.known is not None and page.collection is not None
        spectrogram = page.collection.spectrogram(track_id)
        assert spectrogram is not None
        (name, similarity), *_ = page.known.neighbours(spectrogram)
        assert name == track_id and similarity == pytest.approx(1)
        assert track_id not in dict(page.known.neighbours(spectrogram, besides=track_id))


def test_an_embedding_is_what_the_last_layer_reads(page: Page) -> None:
    import torch

    assert page.collection is not None
    spectrogram = page.collection.spectrogram("rock.3")
    assert spectrogram is not None
    embedding = torch.from_numpy(page.predictor.embedding(spectrogram))
    said = page.predictor.of_spectrogram(spectrogram).probabilities
    again = torch.softmax(page.predictor.model.dense(embedding), dim=0)  # type: ignore[operator]
    assert again.tolist() == pytest.approx(list(said.values()), abs=1e-5)  # one voting segment


def test_hostile_files_get_a_sentence_and_leave_nothing(
    page: Page, repository: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (repository / "long.wav").open("wb") as file:
        soundfile.write(file, noise(20.0), RATE, format="WAV")
    monkeypatch.setattr(sounds, "MAX_SECONDS", 15.0)
    cases = {
        "empty.wav": (b"", "undecodable"),
        "text.wav": (b"no sound at all" * 99, "undecodable"),
        "page.wav": (b"<html><script>alert(1)</script></html>", "undecodable"),
        "long.wav": ((repository / "long.wav").read_bytes(), "is longer than 0.25 minutes"),
        f"{EVIL}.wav": (b"x", "undecodable"),
        "\x1b]0;mine\x07.wav": (b"x", "undecodable"),
    }
    for name, (content, words) in cases.items():
        with subtests.test(name=name):
            html = page.hear(upload(page, name.replace("/", ""), content))
            assert words in html and html.startswith('<div class="problem">') and html.count("<") == 2
            assert "\x1b" not in html
    assert left(page) == []


def test_a_sparse_file_of_two_gigabytes_is_refused_unread(page: Page) -> None:
    path = upload(page, "sparse.wav", b"")
    os.truncate(path, 2 << 30)
    assert "has more than 200 MB" in page.hear(path)
    assert not Path(path).exists()


def test_what_a_broken_upload_left_goes_after_a_while(page: Page) -> None:
    old, new = (Path(upload(page, name, b"x")) for name in ("old", "new"))
    os.utime(old, (0, 0))
    page.hear(upload(page, "text.wav", b"no sound"))
    assert not old.exists() and new.exists()
    new.unlink()


def test_three_hours_are_refused_by_the_header(page: Page) -> None:
    path = upload(page, "three-hours.wav", b"")
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        file.write(noise(1.0))
    seconds = 3 * 3600
    with Path(path).open("r+b") as raw_file:  # a sparse file, whose header is right
        raw_file.seek(4)
        raw_file.write((36 + seconds * 8000).to_bytes(4, "little"))
        raw_file.seek(40)
        raw_file.write((seconds * 8000).to_bytes(4, "little"))
        raw_file.truncate(44 + seconds * 8000)
    assert soundfile.info(path).duration == pytest.approx(seconds, rel=0.01)
    began = time.monotonic()
    assert "three-hours.wav is longer than 15 minutes: cut it." in page.hear(path)
    assert time.monotonic() - began < 5


def test_what_would_be_composed_for_too_long_is_refused_before(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = seeds.Seed(genre="rock", artist=0, track=0, duration=1000.0, corpus=0)
    path = upload(page, "rock.seed", seeds.write(track))
    played: list[seeds.Seed] = []
    monkeypatch.setattr(seeds, "play", played.append)
    assert "rock.seed is longer than 15 minutes: cut it." in page.hear(path)
    assert not played


def test_no_other_file_is_read_or_deleted(page: Page, repository: Path) -> None:
    own = repository / "models" / "model.json"
    for path in (str(own), f"{page.uploads}/../{own}", "/etc/passwd", "/dev/zero"):
        assert "is not a file which you uploaded" in page.hear(path)
    assert own.exists()


def test_in_a_fresh_clone_it_hears_files_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genrepro.listen.commands import _page
    from genrepro.serve import default

    monkeypatch.chdir(tmp_path)
    fresh = _page(default.folder(), uploads=tmp_path)
    assert fresh.worth.startswith("cnn on synthetic, split by artist, accuracy ")
    soundfile.write(tmp_path / "own.wav", noise(4.0), RATE)
    html = fresh.hear(str(tmp_path / "own.wav"))
    assert len(probabilities(html)) == 10
    assert "No neighbours are shown: data/synthetic holds no data set." in html
    assert "There is no data set here yet" in str(fresh.blocks().get_config_file())


def test_a_model_of_another_split_gets_no_neighbours(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genrepro.listen.commands import _page
    from genrepro.serve import default

    monkeypatch.chdir(repository)
    other = _page(default.FOLDER, uploads=tmp_path)
    assert other.known is None and "was not trained on the split of data/synthetic" in other.why_unknown


def test_names_of_the_data_set_are_text(page: Page) -> None:
    html = page.show("blues.2")
    assert EVIL not in html and "&lt;img src=x" in html


def test_the_views_are_what_they_say(page: Page, repository: Path) -> None:
    assert page.choose(VIEWS[0], "all", "")["track_id"].tolist() == sorted(wrong(repository))
    assert page.choose("duplicates", "all", "")["note"].tolist() == ["same as rock.1", "same as rock.0"]
    assert set(page.choose("all tracks", "jazz", "")["genre"]) == {"jazz"}
    assert page.choose("all tracks", "all", "aRtIsT 3")["track_id"].tolist() == [
        "blues.3",
        "jazz.3",
        "rock.3",
    ]
    assert page.choose("all tracks", "all", ".*")["track_id"].tolist() == []  # text, not a pattern
    assert page.choose("suspects", "all", "").empty


def test_sounds_come_from_the_data_sets_own_folder_alone(
    page: Page, repository: Path, tmp_path: Path
) -> None:
    assert page.collection is not None
    folder = repository / "data" / "synthetic" / "raw" / "rock"
    moved = tmp_path / "moved.wav"
    (folder / "rock.2.wav").rename(moved)
    try:
        (folder / "rock.2.wav").symlink_to(moved)
        assert page.collection.sound("rock.2") is None
    finally:
        (folder / "rock.2.wav").unlink()
        moved.rename(folder / "rock.2.wav")
    assert page.collection.sound("rock.2") == (folder / "rock.2.wav").resolve()
    assert page.collection.sound("../../etc/passwd") is None


@pytest.fixture(scope="module")
def address(page: Page) -> Iterator[str]:
    """The page on a real port."""
    import socket

    import uvicorn

    from genrepro.listen import site

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(page.uploads))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        app = site.application(page, host="127.0.0.1")
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(10)


def test_twenty_uploads_at_once_are_all_answered_rightly(address: str, page: Page, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    paths = []
    for seed in range(20):
        path = tmp_path / f"{seed}.wav"
        soundfile.write(path, noise(3.0)[seed * 100 :], RATE)
        paths.append(path)
    client = Client(address, verbose=False)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda path: client.predict(handle_file(path), api_name="/hear")[0], paths))
    for path, html in zip(paths, answers, strict=True):
        assert probabilities(html) == page.predictor(path).probabilities
    assert left(page) == []


def test_a_sound_is_sent_in_parts_and_under_no_other_address(address: str) -> None:
    whole = requests.get(f"{address}/sound/track/0", timeout=10)
    assert whole.status_code == 200 and whole.headers["Content-Type"] == "audio/wav"
    part = requests.get(f"{address}/sound/track/0", headers={"Range": "bytes=10-19"}, timeout=10)
    assert part.status_code == 206 and part.content == whole.content[10:20]
    for path in ("/sound/track/99", "/sound/upload/x", "/gradio_api/file=/etc/passwd"):
        assert requests.get(address + path, timeout=10).status_code in (403, 404)


def test_no_other_site_reaches_it_by_a_name_of_its_own(address: str) -> None:
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=10).status_code == 400


def test_too_large_an_upload_is_refused_and_leaves_nothing(address: str, page: Page, tmp_path: Path) -> None:
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(sounds.MAX_BYTES + (1 << 20))
    with (tmp_path / "large.wav").open("rb") as file:
        answer = requests.post(f"{address}/gradio_api/upload", files={"files": file}, timeout=60)
    assert answer.status_code == 413
    assert left(page) == []
