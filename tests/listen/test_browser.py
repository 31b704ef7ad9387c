"""Claims about `genrepro listen` in a real browser: Debian's Chromium, headless, driven by selenium."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
import soundfile
from support.builders import ROOT
from support.listening import RATE, make_repository, noise, wrong
from support.registered import OGG

from genrepro.serve.predictor import Predictor

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `page` is not installed"),
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="no browser: install Debian's chromium and chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_repository(tmp_path_factory.mktemp("browser"))
    soundfile.write(folder / "own.wav", noise(4.0), RATE)
    return folder


@pytest.fixture(scope="module")
def address(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running `genrepro listen`; its temporary folder is gone when it has ended."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = tmp_path_factory.mktemp("temporary")
    process = subprocess.Popen(
        [sys.executable, "-m", "genrepro", "listen", "--port", str(port)],
        cwd=repository,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "TMPDIR": str(temporary),
            "GENREPRO_ACCELERATOR": "cpu",
        },
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < deadline, "the page never came"
        try:
            requests.get(url, timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.2)
    assert list(temporary.glob("genrepro-listen-*"))
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not list(temporary.glob("genrepro-listen-*"))


@pytest.fixture
def browser(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    fake = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")  # a microphone that beeps
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "no-proxy-server", *fake):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1280,1150")
    options.add_argument(f"--user-data-dir={tmp_path}")
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        driver.get(address)
        yield driver
    finally:
        driver.quit()


def wait(browser: Any, found: Callable[[Any], Any]) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(found)


def elements(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def probabilities(browser: Any, where: str) -> dict[str, float]:
    wait(browser, lambda _: elements(browser, f"{where} .genre"))
    return {
        row.get_attribute("data-genre"): float(row.get_attribute("data-probability"))
        for row in elements(browser, f"{where} .genre")
    }


def upload(browser: Any, path: Path) -> None:
    wait(browser, lambda _: elements(browser, "#upload input[type=file]"))[0].send_keys(str(path))


@pytest.mark.parametrize("clip", ["own.wav", *OGG], ids=lambda clip: Path(clip).name)
def test_the_page_shows_predicts_digits_and_plays(browser: Any, repository: Path, clip: str | Path) -> None:
    path = repository / clip
    upload(browser, path)
    assert probabilities(browser, "#heard") == Predictor(repository / "models")(path).probabilities
    player = elements(browser, "#heard .track audio")[0]
    duration = wait(browser, lambda _: player.get_property("duration"))
    assert duration == pytest.approx(soundfile.info(path).duration, abs=0.1)
    browser.execute_script("arguments[0].currentTime = arguments[0].duration / 2", player)
    cursor = elements(browser, "#heard .cursor")[0]
    wait(browser, lambda _: cursor.get_property("style") and "left: 5" in cursor.get_attribute("style"))
    picture = elements(browser, "#heard .picture")[0]
    lane = elements(browser, "#heard .genre svg")[0]
    assert (picture.rect["x"], picture.rect["width"]) == pytest.approx(
        (lane.rect["x"], lane.rect["width"]), abs=1
    )
    assert len(elements(browser, "#heard .near audio")) == 5


def test_a_wrong_track_is_heard_and_seen_after_a_click(browser: Any, repository: Path) -> None:
    wait(browser, lambda _: len(elements(browser, "button[role=tab]")) == 2)
    elements(browser, "button[role=tab]")[1].click()
    first = sorted(wrong(repository))[0]
    cells = wait(
        browser,
        lambda _: [
            cell
            for cell in elements(browser, "#tracks td, #tracks [role=gridcell]")
            if cell.text.strip() == first
        ],
    )
    cells[0].click()
    said = probabilities(browser, "#shown")
    path = repository / "data" / "synthetic" / "raw" / first.split(".")[0] / f"{first}.wav"
    assert said == pytest.approx(Predictor(repository / "models")(path).probabilities)
    assert max(said, key=said.__getitem__) != first.split(".")[0]
    player = elements(browser, "#shown .track audio")[0]
    assert wait(browser, lambda _: player.get_property("duration")) == pytest.approx(6.0, abs=0.1)


def test_a_hostile_file_gets_a_sentence(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=document.title='mine'>.wav"
    path.write_bytes(b"<html>no sound</html>")
    upload(browser, path)
    problem = wait(browser, lambda _: elements(browser, "#heard .problem"))[0]
    assert "undecodable" in problem.text and browser.title == "genrepro: hear and see"


def test_a_recording_is_heard(browser: Any) -> None:
    def button(words: str) -> Any:
        found = [each for each in elements(browser, "button") if each.text.strip() == words]
        return found[0] if found else None

    wait(browser, lambda _: button("Record")).click()
    stop = wait(browser, lambda _: button("Stop"))
    time.sleep(2)
    stop.click()
    said = probabilities(browser, "#heard")
    assert sum(said.values()) == pytest.approx(1)
