"""Draw the README's pictures from the default run's data. Run it after `dvc repro`, at the repository's root:

    python docs/pictures.py                     # needs Debian's chromium and chromium-driver for the page
    python docs/pictures.py --clip song.ogg     # the file that the page's first picture shows

-> docs/figures/: spectrograms.png, page-file.png, page-data-set.png
"""

import argparse
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

FIGURES = Path("docs", "figures")
GENRES = ("classical", "jazz", "metal", "hiphop")
PORT = 7869


def spectrograms() -> None:
    """One training track of each of four genres."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import pandas as pd

    from genrepro.base import tables

    split = tables.read_split(Path("data", "synthetic", "split.csv"))
    train = split.loc[split["split"] == "train", "track_id"]
    description = tables.read_mel_description(Path("data", "synthetic", "mel.parquet"))
    chosen = {genre: train[train.str.startswith(genre)].iloc[0] for genre in GENRES}
    mels = pd.read_parquet(
        Path("data", "synthetic", "mel.parquet"), filters=[("track_id", "in", list(chosen.values()))]
    ).set_index("track_id")
    figure, axes = plt.subplots(2, 2, figsize=(10, 4.2), sharex=True, sharey=True, layout="constrained")
    for axis, (genre, track_id) in zip(axes.flat, chosen.items(), strict=True):
        row = mels.loc[track_id]
        mel = tables.unpack_mel(row["mel"], num_mels=row["num_mels"])
        extent = (0, len(mel) / description["frame_rate"], 0, mel.shape[1])
        axis.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
        axis.set_title(genre, fontsize=11)
    figure.supxlabel("time [s]", fontsize=10)
    figure.supylabel("mel band", fontsize=10)
    with BytesIO() as file:
        figure.savefig(file, dpi=100)
        _write(Image.open(file), "spectrograms.png")


def page(clip: Path) -> None:
    """Both tabs of `genrepro listen`."""
    command = [sys.executable, "-m", "genrepro", "listen", "--port", str(PORT)]
    process = subprocess.Popen(command)
    try:
        browser = _browser(f"http://127.0.0.1:{PORT}")
        _first(browser, "#upload input[type=file]").send_keys(str(clip.resolve()))
        _first(browser, "#heard .genre")
        time.sleep(2)  # until the player knows how long it is
        player = _first(browser, "#heard audio")
        browser.execute_script("arguments[0].currentTime = arguments[0].duration * 0.4", player)
        _shoot(browser, "page-file.png")
        browser.find_elements("css selector", "button[role=tab]")[1].click()
        while not (cells := [cell for cell in _cells(browser) if cell.text.strip()]):
            time.sleep(0.2)
        cells[0].click()
        _first(browser, "#shown .genre")
        _shoot(browser, "page-data-set.png")
        browser.quit()
    finally:
        process.terminate()
        process.wait()


def _browser(address: str) -> Any:
    import requests
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    while True:
        try:
            requests.get(address, timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.5)
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("headless=new", "no-sandbox", "no-proxy-server", "window-size=1200,1060"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.get(address)
    return browser


def _first(browser: Any, selector: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(lambda it: it.find_elements("css selector", selector))[0]


def _cells(browser: Any) -> list[Any]:
    return browser.find_elements("css selector", "#tracks td, #tracks [role=gridcell]")


def _shoot(browser: Any, name: str) -> None:
    time.sleep(1)
    _write(Image.open(BytesIO(browser.get_screenshot_as_png())), name)


def _write(picture: Image.Image, name: str) -> None:
    picture.convert("RGB").quantize(192).save(FIGURES / name, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=None)
    given = parser.parse_args()
    spectrograms()
    page(given.clip or sorted(Path("data", "synthetic", "raw", "jazz").glob("*.wav"))[0])
