"""Claims about suspects: a label that models contradict comes first, and its page plays the right file."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from support.builders import make_catalog, write_mels
from support.runs import GENRES, content, table
from typer.testing import CliRunner

from genrepro.base.errors import GenreproError
from genrepro.compare.revisions import Predictions, parse
from genrepro.suspects.page import write_suspects
from genrepro.suspects.ranking import rank

NUM_TRACKS = 200
WRONG = [3, 50, 121]


def predictions(*, seed: int = 0, wrong: tuple[int, ...] = tuple(WRONG), **columns: object) -> Predictions:
    """A model that is fairly sure of the true genre; some tracks have another's label."""
    rng = np.random.default_rng(seed)
    rows = table([True] * NUM_TRACKS)
    true = np.arange(NUM_TRACKS) % len(GENRES)
    logits = rng.normal(0, 0.7, (NUM_TRACKS, len(GENRES)))
    logits[np.arange(NUM_TRACKS), true] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for position, genre in enumerate(GENRES):
        rows[genre] = probabilities[:, position].round(4)
    rows["predicted"] = np.array(GENRES)[probabilities.argmax(axis=1)]
    for number in wrong:
        rows.loc[number, "genre"] = GENRES[(number + 1) % len(GENRES)]
    return parse(content(rows.assign(**columns)), name=f"run {seed}")


def test_labels_that_models_contradict_come_first_and_are_taken_for_wrong() -> None:
    ranked = rank([predictions()])
    wrong = {f"t{number:04}" for number in WRONG}
    assert set(ranked["track_id"][:3]) == wrong
    assert ranked["wrong"][0] and set(ranked["track_id"][ranked["wrong"]]) <= wrong
    assert list(ranked.loc[:2, "likelier"]) == [GENRES[int(name[1:]) % 4] for name in ranked["track_id"][:3]]
    assert ranked["quality"].is_monotonic_increasing and len(ranked) == NUM_TRACKS


def test_a_track_like_no_genre_is_the_least_typical() -> None:
    run = predictions()
    run.probabilities[7] = 0.25
    ranked = rank([run])
    assert ranked.sort_values("typicality")["track_id"].iloc[0] == "t0007"


def test_several_runs_are_averaged() -> None:
    runs = [predictions(seed=seed) for seed in (0, 1)]
    ranked = rank(runs).set_index("track_id")
    mean = np.mean([run.probabilities[10] for run in runs], axis=0)
    mean /= mean.sum()
    assert ranked.loc["t0010", "own_probability"] == pytest.approx(mean[runs[0].label[10]], abs=1e-4)


def test_runs_over_other_tracks_or_without_a_genre_are_one_sentence() -> None:
    with pytest.raises(GenreproError, match=r"cannot be averaged: .* tracks? only in"):
        rank([predictions(), predictions(track_id=[f"u{number:04}" for number in range(NUM_TRACKS)])])
    with pytest.raises(GenreproError, match="has no track of the genre blues"):
        rank([predictions(genre=["rock"] * NUM_TRACKS)])


# ----------------------------------------------------------------------------------------------------
# The page


@pytest.fixture
def page(tmp_path: Path) -> str:
    ranked = rank([predictions()])
    paths = {3: "a & b/söng #1.wav", 50: "x.png", 121: None}
    catalog = make_catalog(
        [
            {
                "track_id": f"t{number:04}",
                "genre": "blues",
                "artist": "<b>One</b>" if number == 3 else None,
                "path": paths.get(number, f"{number}.wav"),
            }
            for number in range(NUM_TRACKS)
        ]
    ).select(["track_id", "artist", "title", "path"])
    rng = np.random.default_rng(0)
    mels = {f"t{number:04}": rng.uniform(-80, 0, (30, 16)) for number in range(NUM_TRACKS)}
    write_mels(tmp_path / "mel.parquet", mels | {"t0121": None})
    write_suspects(tmp_path / "suspects.html", ranked, mel_path=tmp_path / "mel.parquet", catalog=catalog,
                   num_labels=10, num_outliers=4)  # fmt: skip
    return (tmp_path / "suspects.html").read_text("utf-8")


def test_the_page_shows_the_first_labels_and_then_the_least_typical(page: str) -> None:
    names = re.findall(r"<h3>(t\d+)</h3>", page)
    ranked = rank([predictions()])
    doubted = ranked["likelier_probability"] > ranked["own_probability"]
    num_doubted = int(doubted.sum())
    assert 3 <= num_doubted < 10  # no track is listed whose own genre is the likeliest
    assert names[:num_doubted] == list(ranked["track_id"][doubted])
    assert len(names) == len(set(names)) == num_doubted + 4
    assert set(names[:3]) == {f"t{number:04}" for number in WRONG}
    assert page.count('src="data:image/png;base64,') == len(names) - 1  # one has no spectrogram


def test_the_page_plays_the_raw_file_of_each_track_but_pictures(page: str) -> None:
    sources = [
        unquote(source) for source in re.findall(r'<audio controls preload="none" src="([^"]+)"', page)
    ]
    assert "raw/a & b/söng #1.wav" in sources and "raw/x.png" not in sources
    assert len(sources) == page.count("<article>") - 2  # one is a picture and one has no file
    assert "#" not in "".join(re.findall(r'<audio controls preload="none" src="([^"]+)"', page))


def test_no_name_breaks_out_of_the_page(page: str) -> None:
    assert "<b>One" not in page and "&lt;b&gt;One&lt;/b&gt;" in page


# ----------------------------------------------------------------------------------------------------
# The command


def test_without_predictions_or_folds_the_command_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.builders import ROOT

    from genrepro.cli import app

    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "experiments.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    def said(*arguments: str) -> str:
        return CliRunner().invoke(app, ["suspects", *arguments]).output

    assert said() == "genrepro: workspace has no predictions: metrics/predictions.csv does not exist.\n"
    assert "is not one experiment with folds" in said("images-cnn-official")
    assert "images-cnn-folds has no pooled predictions yet" in said("images-cnn-folds")
    assert "there is no experiment 'nothing'" in said("nothing")


def test_the_command_ranks_the_test_tracks_of_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.builders import ROOT

    from genrepro.base import files, tables
    from genrepro.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    run = predictions()
    rows = pd.DataFrame({"track_id": run.track_ids})
    rows["genre"] = [GENRES[label] for label in run.label]
    rows["predicted"] = [GENRES[label] for label in run.predicted]
    rows["group"] = rows["track_id"]
    for position, genre in enumerate(GENRES):
        rows[genre] = run.probabilities[:, position]
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "predictions.csv").write_bytes(content(rows))
    folder = tmp_path / "data" / "synthetic"
    catalog = make_catalog(
        [{"track_id": name, "genre": "?", "path": f"{name}.wav"} for name in rows["track_id"]]
    )
    files.write_parquet(folder / "catalog.parquet", [catalog], tables.CATALOG)
    write_mels(folder / "mel.parquet", {name: np.zeros((20, 16)) for name in rows["track_id"]})
    result = CliRunner().invoke(app, ["suspects", "--labels", "5"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "data/synthetic/suspects.html"
    assert f"of {NUM_TRACKS} labels are probably wrong" in result.output
    written = pd.read_csv(folder / "suspects.csv", dtype={"track_id": "str"})
    assert set(written["track_id"][:3]) == {f"t{number:04}" for number in WRONG}
    html = (folder / "suspects.html").read_text("utf-8")
    first, _, rest = html.partition("<h2>Like no genre")
    assert first.count("<article>") <= 5 and rest.count("<article>") == 20
