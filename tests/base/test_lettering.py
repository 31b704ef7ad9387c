"""Claims about the names in pictures: drawn as they are, and never as a box."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from support.builders import make_catalog, write_mels

from genrepro.base import lettering
from genrepro.base.files import file_name
from genrepro.figures import plotting, training
from genrepro.render.gallery import draw_gallery

NAMES = [
    "Ca$h_$tyle",
    "a^{b",
    r"\alpha $x$",
    "50% #1 {x}",
    "ヒップホップ",
    "jazz 🎷",
    "tab\there",
    "한국 é",
]


@pytest.fixture(autouse=True)
def strict() -> None:
    """A letter that the font lacks is a warning of matplotlib's, and here an error."""
    warnings.simplefilter("error", UserWarning)


def test_every_name_can_be_drawn_in_every_kind_of_figure(
    tmp_path_factory: pytest.TempPathFactory, subtests: pytest.Subtests
) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            tmp_path = tmp_path_factory.mktemp("case")
            predictions = pd.DataFrame({"genre": [name, "rock"], "predicted": ["rock", "rock"]})
            training.confusion_matrix(predictions, genres=[name, "rock"], path=tmp_path / "matrix.png")
            figure, _ = plotting.subplots(1, 1, figsize=(4, 3))
            plotting.caption(figure, f"vit, weights {name}.pth, on folder.")
            plotting.save(figure, tmp_path / "caption.png")
            mels = write_mels(tmp_path / "mel.parquet", {"a": np.zeros((20, 8))})
            catalog = make_catalog([{"track_id": "a", "genre": name, "artist": name}])
            draw_gallery(mels, catalog, folder=tmp_path / "png", per_genre=1)
            with Image.open(tmp_path / "png" / file_name(name, suffix=".png")) as sheet:
                assert sheet.size[0] == 320


def test_what_no_font_has_is_escaped_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_installed", list)
    lettering._font_of.cache_clear()
    assert lettering.drawable("caf\udce9") == "caf\\udce9"  # of a file's name in Latin-1
    assert lettering.drawable("jazz 🎷\n日é $x$") == "jazz \\U0001f3b7\n\\u65e5é $x$"
    lettering._font_of.cache_clear()


def test_what_an_installed_font_has_is_drawn_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib's own mathematical font stands for one that is installed: it has a letter more."""
    from matplotlib import font_manager

    other = font_manager.findfont("STIXGeneral")
    letter = chr(
        min(
            lettering._characters(other)
            - lettering._characters(font_manager.findfont(font_manager.FontProperties()))
        )
    )
    monkeypatch.setattr(lettering, "_installed", lambda: [("STIXGeneral", other)])
    lettering._font_of.cache_clear()
    figure = Figure()
    text = figure.text(0, 0, f"a{letter}")
    plain = figure.text(0, 1, "a")
    before = plain.get_fontfamily()
    lettering.literal(figure)
    assert text.get_text() == f"a{letter}" and text.get_fontfamily()[-1] == "STIXGeneral"
    assert plain.get_fontfamily() == before
    figure.canvas.draw()
    lettering._font_of.cache_clear()
