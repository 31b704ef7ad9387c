"""The page of near duplicates: what is on it, in which order, and that nothing can break out of it."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.builders import make_catalog, write_mels

from genrepro.audit import page as report
from genrepro.audit.duplicates import Pair


def pair(first: str, second: str, *, similarity: float = 0.9, offset: float = 0.0) -> Pair:
    return Pair(first=first, second=second, offset=offset, similarity=similarity, overlap=27.5)


@pytest.fixture
def catalog() -> pa.Table:
    return make_catalog(
        [
            {"track_id": "a", "genre": "blues", "artist": "One", "title": "Same"},
            {"track_id": "b", "genre": "blues", "artist": "One", "title": "Same"},
            {"track_id": "c", "genre": "blues", "artist": "Two", "title": None},
            {"track_id": "d", "genre": "rock", "artist": None, "title": None},
            {"track_id": "e", "genre": "blues", "artist": "<b>&\"'", "title": "<script>alert(1)</script>"},
        ]
    )


@pytest.fixture
def mel_path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    clips = {name: rng.uniform(-80, 0, (300, 128)) for name in "abce"} | {"d": rng.uniform(-80, 0, (90, 218))}
    return write_mels(tmp_path / "mel.parquet", clips)


def write(path: Path, pairs: list[Pair], mel_path: Path, catalog: pa.Table, **limit: int) -> str:
    report.write_pairs(path, pairs, mel_path=mel_path, catalog=catalog, **limit)
    return path.read_text("utf-8")


def shown(page: str) -> list[tuple[str, str]]:
    return re.findall(r'alt="spectrograms of (\w) above (\w)"', page)


def test_the_worst_come_first(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    pairs = [
        pair("a", "b", similarity=1.0),
        pair("a", "c"),
        pair("b", "c", similarity=0.95),
        pair("c", "d", similarity=0.7),
    ]
    page = write(tmp_path / "pairs.html", pairs, mel_path, catalog)
    # Contradicting genres, then two artists by similarity, then the exact copy by one artist.
    assert shown(page) == [("c", "d"), ("b", "c"), ("a", "c"), ("a", "b")]


def test_only_contradicting_genres_are_marked(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    page = write(tmp_path / "pairs.html", [pair("a", "c"), pair("c", "d")], mel_path, catalog)
    first, second = page.split("<article>")[1:]
    assert "contradicting" in first and '<span class="contradicting">rock</span>' in first
    assert "contradicting" not in second


def test_a_pair_shows_what_is_known_of_it(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    pairs = [pair("a", "c", similarity=0.8125, offset=2.5), pair("a", "b", offset=-1.25), pair("a", "d")]
    page = write(tmp_path / "pairs.html", pairs, mel_path, catalog)
    for text in (
        "similarity 0.812, the second cut 2.50 s later, 27.5 s in common",
        "the second cut 1.25 s earlier",
        "cut at the same place",
        "<dt>a</dt><dd>blues; One: Same</dd>",
        "unknown artist: unknown title",
    ):
        assert text in page


def test_what_is_left_out_is_counted(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    pairs = [pair("a", "b"), pair("a", "c"), pair("b", "d")]
    page = write(tmp_path / "pairs.html", pairs, mel_path, catalog, max_pairs=2)
    assert len(shown(page)) == 2
    assert "same recording: 3, of them 1 under contradicting genres, 1 across artists. The 2 worst" in page


def test_no_pairs_are_said_to_be_none(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    page = write(tmp_path / "pairs.html", [], mel_path, catalog)
    assert "No two tracks hold the same recording." in page
    assert "<img" not in page


def test_names_cannot_break_out_of_the_page(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    page = write(tmp_path / "pairs.html", [pair("a", "e")], mel_path, catalog)
    assert "<script" not in page and "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_nothing_is_loaded_from_outside(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    page = write(tmp_path / "pairs.html", [pair("a", "b")], mel_path, catalog)
    assert re.findall(r'(?:src|href)="(.{0,22})', page) == ["data:image/png;base64,"]
    assert "url(" not in page and "@import" not in page


def test_equal_pairs_in_any_order_are_equal_bytes(tmp_path: Path, mel_path: Path, catalog: pa.Table) -> None:
    pairs = [pair("a", "b"), pair("a", "c", offset=3.0), pair("c", "d")]
    write(tmp_path / "one.html", pairs, mel_path, catalog)
    write(tmp_path / "other.html", pairs[::-1], mel_path, catalog)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_equal_moments_stand_one_above_the_other(
    tmp_path: Path, catalog: pa.Table, subtests: pytest.Subtests
) -> None:
    for offset in [0.0, 7.0, -7.0]:
        with subtests.test(offset=offset):
            import base64
            import io

            from PIL import Image

            # A click at 15 s of the first; the second was cut `offset` seconds later.
            clips = {name: np.full((300, 64), -80.0) for name in "ab"}
            clips["a"][150] = 0.0
            clips["b"][150 - round(10 * offset)] = 0.0
            page = write(
                tmp_path / "pairs.html",
                [pair("a", "b", offset=offset)],
                write_mels(tmp_path / "mel.parquet", clips),
                catalog,
            )
            data = re.search(r'base64,([^"]+)"', page)
            assert data is not None
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1])))).astype(int)
            assert pixels.shape[1] == 300 + abs(round(10 * offset))
            assert np.argmax(pixels[0]) == np.argmax(pixels[-1])
            assert pixels[0].max() == pixels[-1].max() == 255
