"""Claims about pictures over seeds: means and bands of the runs there are, and a word on what is missing."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from statsmodels.stats.proportion import proportion_confint
from support.builders import ROOT
from support.repository import Repository
from typer.testing import CliRunner

from genrepro.cli import app
from genrepro.experiments import entries as experiments
from genrepro.experiments import figures, records
from genrepro.figures import plotting, seeds
from genrepro.figures.plotting import save
from genrepro.figures.seeds import Point

COLUMNS = seeds.COLUMNS[1:]


def make_run(seed: int, epochs: int = 6) -> pd.DataFrame:
    values = np.random.default_rng(seed).uniform(0.1, 0.9, (epochs, 4))
    return pd.DataFrame(values, columns=COLUMNS).assign(epoch=range(1, epochs + 1))[seeds.COLUMNS]


def words(figure: Figure) -> str:
    assert figure._supxlabel is not None
    return " ".join(figure._supxlabel.get_text().split())


def edges(band: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge of what `fill_between` drew, by place across."""
    corners = pd.DataFrame(band.get_paths()[0].vertices, columns=["x", "y"]).groupby("x")["y"]
    return corners.min().to_numpy(), corners.max().to_numpy()


# ----------------------------------------------------------------------------------------------------
# Learning curves


def test_curves_are_means_and_bands_over_seeds() -> None:
    runs = [make_run(seed) for seed in range(4)]
    together = np.stack([run[COLUMNS].to_numpy() for run in runs])
    loss, accuracy = seeds.learning_curves(runs).axes
    for axis, places in ((loss, (0, 2)), (accuracy, (1, 3))):
        for line, band, place in zip(axis.get_lines(), axis.collections, places, strict=True):
            np.testing.assert_allclose(line.get_ydata(), together[..., place].mean(0))
            low, high = edges(band)
            np.testing.assert_allclose(low, together[..., place].min(0))
            np.testing.assert_allclose(high, together[..., place].max(0))


def test_one_seed_is_a_line_without_a_band() -> None:
    figure = seeds.learning_curves([make_run(0)], about="Songs.")
    assert [len(axis.get_lines()) for axis in figure.axes] == [2, 2]
    assert not any(axis.collections for axis in figure.axes)
    assert words(figure) == "Songs. One seed."


def test_means_end_where_the_first_seed_stopped() -> None:
    figure = seeds.learning_curves([make_run(0, 6), make_run(1, 4)])
    assert {len(np.asarray(line.get_xdata())) for axis in figure.axes for line in axis.get_lines()} == {4}
    assert "Seeds ended after 4 to 6 epochs." in words(figure)


# ----------------------------------------------------------------------------------------------------
# Accuracy by training tracks

POINTS = [
    Point(num_train=(440,), accuracy=(0.6,), num_tracks=290),
    Point(num_train=(44, 46, 45), accuracy=(0.3, 0.5, 0.4), num_tracks=290),
    Point(num_train=(90, 92), accuracy=(0.45, 0.55), num_tracks=290),
]


def test_a_line_has_the_mean_of_each_share_its_seeds_and_its_wilson_interval() -> None:
    figure = seeds.accuracy_by_samples({"one": POINTS, "other": POINTS[:2]})
    (axis,) = figure.axes
    line, _, (bars,) = axis.containers[0]
    np.testing.assert_allclose(line.get_xdata().astype(float), [45, 91, 440])
    np.testing.assert_allclose(line.get_ydata().astype(float), [0.4, 0.5, 0.6])
    for segment, share in zip(bars.get_segments(), (0.4, 0.5, 0.6), strict=True):
        expected = proportion_confint(round(share * 290), 290, method="wilson")
        np.testing.assert_allclose(segment[:, 1], expected, atol=1e-6)
    bands = [band for band in axis.collections if band.get_paths() and len(band.get_paths()[0].vertices) > 4]
    low, high = edges(bands[0])
    np.testing.assert_allclose(low, [0.3, 0.45, 0.6])
    np.testing.assert_allclose(high, [0.5, 0.55, 0.6])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other"]
    assert "means of 1 to 3 seeds" in words(figure) and "n = 290 test tracks" in words(figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: seeds.learning_curves([make_run(0), make_run(1)]),
        lambda: seeds.accuracy_by_samples({"one": POINTS}),
    ],
    ids=["learning curves", "accuracy by samples"],
)
def test_a_figure_drawn_twice_is_the_same_bytes(tmp_path: Path, draw: Callable[[], Figure]) -> None:
    for name in ("one.png", "other.png"):
        save(draw(), tmp_path / name, dpi=40)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


# ----------------------------------------------------------------------------------------------------
# The command

ENTRIES: dict[str, Any] = {
    "songs": {"overrides": {"train.epochs": 2}},
    "songs-samples": {"overrides": {"train.epochs": 2}, "vary": {"split.train_share": [0.25, 0.5]}},
    "hymns-samples": {"overrides": {"model": "lstm"}, "vary": {"split.train_share": [0.25, 0.5, 0.75]}},
}
COMMON = {"group": "mine", "title": "songs", "source": "row 1", "recipes": [], "seeds": [0, 1]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plotting, "DPI", 40)
    found = Repository(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    entries = {name: COMMON | entry for name, entry in ENTRIES.items()}
    YAML().dump({"recipes": {}, "experiments": entries}, tmp_path / "experiments.yaml")
    found.commit()
    return found


def record(name: str, *accuracy: float, num_train: int, **changes: Any) -> None:
    """What `genrepro experiment collect` would have written."""
    runs = [
        {
            "seed": seed,
            "accuracy": value,
            "accuracy_low": 0.1,
            "accuracy_high": 0.9,
            "segment_accuracy": value,
            "num_tracks": 80,
            "leaky": 0,
            "best_epoch": 1,
            "num_train": num_train + seed,
            "num_validation": 40,
            "num_test": 80,
            "split_sha256": "a",
            "features_sha256": "b",
        }
        | changes
        for seed, value in enumerate(accuracy)
    ]
    params = experiments.recipe(experiments.load()[name].params)
    records.path(name).parent.mkdir(parents=True, exist_ok=True)
    records.path(name).write_text(json.dumps({"params": params, "runs": runs}))


def ran(project: Repository, name: str, *, seed: int, curves: str | None, **overrides: Any) -> None:
    """An experiment of DVC's that began at HEAD."""
    head = project.git("rev-parse", "HEAD")
    values = YAML(typ="safe").load(project.path / "params.yaml")
    changed = experiments.load()[name].overrides | {"seed": seed} | overrides
    YAML().dump(experiments.overridden(values, changed), project.path / "params.yaml")
    if curves is not None:
        (project.path / "metrics").mkdir(exist_ok=True)
        (project.path / "metrics" / "curves.csv").write_text(curves)
    project.experiment(f"{name}-s{seed}", baseline=head, commit=project.commit())
    project.git("reset", "--quiet", "--hard", head)


def invoke(*arguments: str) -> tuple[list[str], str]:
    """What `genrepro experiment figures` prints, and what it says to be missing."""
    done = CliRunner().invoke(app, ["experiment", "figures", *arguments])
    assert done.exit_code == 0, done.output
    assert len(done.stderr.splitlines()) <= 1
    return done.stdout.split(), done.stderr


def test_nothing_recorded_is_nothing_drawn_and_said_in_one_sentence(project: Repository) -> None:
    paths, missing = invoke()
    assert paths == [] and not (project.path / "docs").exists()
    assert missing == (
        "genrepro: not drawn: accuracy by samples of songs-samples, hymns-samples, with fewer than 3 "
        "recorded shares; curves of 6 experiments, of which DVC has no run in this clone.\n"
    )


def test_a_family_has_its_shares_and_the_experiment_on_all_tracks(project: Repository) -> None:
    found = figures.families(experiments.load())
    assert {name: [member.name for member in members] for name, members in found.items()} == {
        "songs-samples": ["songs-samples-0.25", "songs-samples-0.5", "songs"],
        "hymns-samples": ["hymns-samples-0.25", "hymns-samples-0.5", "hymns-samples-0.75"],
    }


def test_families_of_one_data_set_and_split_share_a_figure(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}

    def look(lines: Any, *, about: str) -> Figure:
        drawn.update(lines)
        assert about == "synthetic, split artist."
        return Figure()

    monkeypatch.setattr(seeds, "accuracy_by_samples", look)
    for share, name in enumerate(("songs-samples-0.25", "songs-samples-0.5", "songs")):
        record(name, 0.25, 0.5, num_train=100 * (share + 1))
    record("hymns-samples-0.25", 0.25, num_train=100)
    record("hymns-samples-0.5", 0.5, num_train=200)
    record("hymns-samples-0.75", 0.75, num_train=300)
    assert invoke("--output", "pictures")[0] == ["pictures/samples-synthetic-artist.png"]
    assert drawn["cnn: songs-samples"] == [
        Point(num_train=(number, number + 1), accuracy=(0.25, 0.5), num_tracks=80)
        for number in (100, 200, 300)
    ]
    assert [point.accuracy for point in drawn["lstm: hymns-samples"]] == [(0.25,), (0.5,), (0.75,)]


def test_a_family_with_a_start_is_drawn_beside_the_one_without(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {name: COMMON | entry for name, entry in ENTRIES.items()}
    entries["noise"] = COMMON | {"overrides": {"train.epochs": 9}}
    shares = {"split.train_share": [0.25, 0.5, 0.75]}
    for name, start in (("alone", "none"), ("begun", "noise")):
        entries[name] = COMMON | {"overrides": {"train.epochs": 3}, "start": start, "vary": shares}
    YAML().dump({"recipes": {}, "experiments": entries}, project.path / "experiments.yaml")
    for share in (0.25, 0.5, 0.75):
        record(f"alone-{share}", 0.5, num_train=round(400 * share))
    assert invoke()[0] == []  # without a start there is nothing to compare
    for share in (0.25, 0.5, 0.75):
        record(f"begun-{share}", 0.75, num_train=round(400 * share), num_groups=20)
    drawn = {}
    monkeypatch.setattr(seeds, "accuracy_by_samples", lambda lines, about: drawn.update(lines) or Figure())
    assert invoke()[0] == ["docs/figures/pretraining-cnn-synthetic-artist.png"]
    assert list(drawn) == ["from scratch", "with synthetic pretraining"]
    assert [point.interval for point in drawn["with synthetic pretraining"]] == [(0.1, 0.9)] * 3


def test_where_all_intervals_over_artists_are_known_they_are_the_bands() -> None:
    points = [dataclasses.replace(point, interval=(0.125, 0.875)) for point in POINTS]
    figure = seeds.accuracy_by_samples({"one": points})
    (band,) = figure.axes[0].collections
    lower, upper = edges(band)
    assert set(lower) == {0.125} and set(upper) == {0.875}
    assert "bands: 95 % intervals of the mean over artists" in words(figure)


def test_shares_measured_with_other_parameters_do_not_count(project: Repository) -> None:
    for name in ("songs-samples-0.25", "songs-samples-0.5", "songs"):
        record(name, 0.5, num_train=100)
    assert invoke()[0] == ["docs/figures/samples-synthetic-artist.png"]
    file = records.path("songs")
    file.write_text(file.read_text().replace('"train.epochs": 2', '"train.epochs": 3'))
    paths, missing = invoke()
    assert paths == [] and "songs-samples, hymns-samples, with fewer than 3" in missing


def test_curves_of_the_runs_that_dvc_has(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def look(runs: list[pd.DataFrame], *, about: str) -> Figure:
        drawn.append(runs)
        assert about == "songs: cnn on synthetic, split artist."
        return Figure()

    monkeypatch.setattr(seeds, "learning_curves", look)
    for seed in (0, 1):
        ran(project, "songs", seed=seed, curves=make_run(seed).to_csv(index=False))
    paths, missing = invoke()
    assert paths == ["docs/figures/curves-songs.png"] and "curves of 5 experiments" in missing
    for seed, run in enumerate(drawn[0]):
        pd.testing.assert_frame_equal(run, make_run(seed))


@pytest.mark.parametrize("content", [None, "", "epoch,loss\n1,2\n", "epoch\n\x00"])
def test_a_run_without_curves_is_counted(project: Repository, content: str | None) -> None:
    ran(project, "songs", seed=0, curves=content)
    paths, missing = invoke()
    assert paths == [] and "1 runs, which have other parameters than their entry or no sound" in missing


def test_a_run_with_other_parameters_is_counted(project: Repository) -> None:
    ran(project, "songs", seed=0, curves=make_run(0).to_csv(index=False), **{"train.epochs": 3})
    paths, missing = invoke()
    assert paths == [] and "1 runs, which have other parameters than their entry or no sound" in missing
