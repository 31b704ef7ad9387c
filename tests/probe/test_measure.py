"""Claims about the probe: chosen on validation and tested once, against scikit-learn's own figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from support.builders import make_split

from genrepro import models
from genrepro.base.errors import GenreproError
from genrepro.models.shared import layers
from genrepro.models.shared.segments import borrowed
from genrepro.probe import classifiers, measure
from genrepro.probe.spread import spread

GENRES = ["blues", "jazz", "rock"]
NUM_TRACKS = 120
TRACKS = [f"t{number:03d}" for number in range(NUM_TRACKS)]
LABEL = np.arange(NUM_TRACKS) % 3
GENRE = pd.Series(np.array(GENRES)[LABEL], index=TRACKS)
GROUP = pd.Series([f"artist {number // 4}" for number in range(NUM_TRACKS)], index=TRACKS)
SPLIT = make_split(
    {one: ("train", "train", "validation", "test")[number // 12 % 4] for number, one in enumerate(TRACKS)}
)


def table(path: Path, *, informative: int, num_layers: int = 3, tracks: list[str] = TRACKS) -> Path:
    """Two segments a track; one layer says something of the genre, the others nothing."""
    rng = np.random.default_rng(0)
    rows = [TRACKS.index(one) for one in tracks for _ in range(2)]
    found = [rng.standard_normal((len(rows), 6)).astype(np.float32) for _ in range(num_layers)]
    found[informative][:, :3] += 1.5 * np.eye(3, dtype=np.float32)[LABEL[rows]]
    given = ([one for one in tracks for _ in range(2)], [0, 1] * len(tracks), found)
    description = {"kind": "given", "parts": ["mean"], "sha256": "-"}
    layers.write(path, [given], sizes=[6] * num_layers, dtype="float32", description=description)
    return path


def probe(path: Path, **changes: object) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    given = {"genre": GENRE, "group": GROUP, "pooling": "mean", "seed": 0, "confidence": 0.95, **changes}
    return measure.run(path, given.pop("split", SPLIT), **given)  # type: ignore[arg-type]


def run(path: Path, **changes: object) -> tuple[dict, pd.DataFrame]:
    return probe(path, **changes)[:2]


def test_validation_finds_the_layer_that_says_something(tmp_path: Path) -> None:
    for informative in (0, 2):
        summary, rows = run(table(tmp_path / "e.parquet", informative=informative))
        assert summary["logistic"]["layer"] in (informative, "all")
        assert summary["neighbours"]["accuracy"] > 0.6
        assert rows["layer"].tolist() == [0, 1, 2, "mean", "all"]
        silent = rows[~rows["layer"].isin([informative, "mean", "all"])]
        assert (silent["logistic_validation_accuracy"] < 0.6).all()


def test_the_test_is_scikit_learns_own_figure(tmp_path: Path) -> None:
    path = table(tmp_path / "e.parquet", informative=1)
    summary, _ = run(path)
    index, found = layers.by_track(*layers.read(path, layer=summary["logistic"]["layer"], pooling="mean"))
    side = SPLIT.set_index("track_id")["split"].loc[index["track_id"]].to_numpy()
    scaler = StandardScaler().fit(found[side == "train"])
    model = LogisticRegression(C=summary["logistic"]["penalty"], max_iter=2000)
    model.fit(scaler.transform(found[side == "train"]), LABEL[side == "train"])
    expected = model.score(scaler.transform(found[side == "test"]), LABEL[side == "test"])
    assert summary["logistic"]["accuracy"] == pytest.approx(expected, abs=1e-6)
    assert summary["logistic"]["accuracy_low"] < expected < summary["logistic"]["accuracy_high"]
    assert (summary["num_train"], summary["num_validation"], summary["num_tracks"]) == (72, 24, 24)
    assert summary["num_groups"] == 6


def test_once_chosen_it_learns_again_from_validation_tracks_too(tmp_path: Path) -> None:
    path = table(tmp_path / "e.parquet", informative=1)
    sides = np.array(["train", *["validation"] * 4, *["test"] * 5])[np.arange(NUM_TRACKS) // 12]
    summary, _, predictions = probe(path, split=make_split(dict(zip(TRACKS, sides, strict=True))))
    refit = summary["logistic_refit"]
    for chosen in ("layer", "penalty", "validation_accuracy"):
        assert refit[chosen] == summary["logistic"][chosen]
    _, found = layers.by_track(*layers.read(path, layer=refit["layer"], pooling="mean"))
    test, scaler = sides == "test", StandardScaler().fit(found[sides != "test"])
    model = LogisticRegression(C=refit["penalty"], max_iter=2000)
    model.fit(scaler.transform(found[~test]), GENRE[~test])
    assert predictions["logistic_refit"].tolist() == model.predict(scaler.transform(found[test])).tolist()
    assert refit["accuracy"] > summary["logistic"]["accuracy"]  # from 60 tracks instead of 12


def test_every_prediction_is_kept_and_gives_the_accuracies(tmp_path: Path) -> None:
    summary, _, predictions = probe(table(tmp_path / "e.parquet", informative=1))
    tested = SPLIT.loc[SPLIT["split"] == "test", "track_id"].tolist()
    assert predictions["track_id"].tolist() == tested
    assert predictions["genre"].tolist() == GENRE.loc[tested].tolist()
    assert predictions["group"].tolist() == GROUP.loc[tested].tolist()
    right = predictions.drop(columns=["track_id", "group"]).eq(predictions["genre"], axis=0).mean()
    for name in ("logistic", "logistic_refit", "neighbours"):
        assert right[name] == pytest.approx(summary[name]["accuracy"], abs=1e-6)
    draws = [right[f"few_shot_{number}"] for number in range(classifiers.DRAWS)]
    assert np.mean(draws) == pytest.approx(summary["few_shot"]["accuracy"], abs=1e-6)
    assert max(draws) == pytest.approx(summary["few_shot"]["highest_draw"], abs=1e-6)


def test_labels_of_test_tracks_choose_and_teach_nothing(tmp_path: Path) -> None:
    path = table(tmp_path / "e.parquet", informative=1)
    before, rows, predicted = probe(path)
    wrong = GENRE.copy()
    tested = SPLIT.loc[SPLIT["split"] == "test", "track_id"]
    wrong.loc[tested] = np.roll(wrong.loc[tested].to_numpy(), 1)
    after, same, again = probe(path, genre=wrong)
    assert rows.equals(same)
    assert predicted.drop(columns="genre").equals(again.drop(columns="genre"))
    assert before["logistic"]["accuracy"] != after["logistic"]["accuracy"]
    assert before["logistic"]["penalty"] == after["logistic"]["penalty"]


def test_eight_tracks_a_genre_are_drawn_by_the_seed() -> None:
    label = np.repeat([0, 1, 2], [20, 30, 5])
    draws = list(classifiers.few(label, seed=0))
    assert len(draws) == classifiers.DRAWS
    assert all(np.bincount(label[rows]).tolist() == [8, 8, 5] for rows in draws)
    assert not np.array_equal(draws[0], draws[1])
    assert np.array_equal(draws[0], next(classifiers.few(label, seed=0)))
    assert not np.array_equal(draws[0], next(classifiers.few(label, seed=1)))


def test_a_collapsed_body_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.parquet"
    rng = np.random.default_rng(0)
    alike = 10 + rng.standard_normal((NUM_TRACKS, 6)).astype(np.float32)
    given = (TRACKS, [0] * NUM_TRACKS, [alike])
    description = {"kind": "given", "parts": ["mean"], "sha256": "-"}
    layers.write(path, [given], sizes=[6], dtype="float32", description=description)
    summary, _ = run(path)
    assert summary["mean_cosine"] > 0.9
    assert "WARNING: two different tracks have a cosine of 0.99 on average" in capsys.readouterr().out
    run(table(tmp_path / "f.parquet", informative=1))
    assert "WARNING" not in capsys.readouterr().out


def test_cosine_and_rank_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 8)) + 0.5
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    found = spread(vectors)
    assert found["mean_cosine"] == pytest.approx(cosines[~np.eye(30, dtype=bool)].mean(), abs=1e-4)
    singular = np.linalg.svd(np.cov(vectors.T) * 29, compute_uv=False) ** 0.5
    share = singular / singular.sum()
    assert found["effective_rank"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), abs=1e-2)
    assert spread(np.outer(np.arange(1, 9), np.ones(4)))["effective_rank"] == pytest.approx(1, abs=0.01)


def test_training_artists_validate_where_no_validation_track_has_embeddings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = SPLIT.loc[SPLIT["split"] != "validation", "track_id"].tolist()
    moved = borrowed(SPLIT, there, genre=GENRE, artist=GROUP)
    assert 0 < len(moved) < 72 / 3
    assert set(GROUP.loc[sorted(moved)]).isdisjoint(GROUP.loc[sorted(set(there) - moved)])
    assert not borrowed(SPLIT, TRACKS, genre=GENRE, artist=GROUP)
    summary, _ = run(table(tmp_path / "e.parquet", informative=1, tracks=there))
    assert f"{len(moved)} training tracks take their place" in capsys.readouterr().out
    assert (summary["num_train"], summary["num_validation"]) == (72 - len(moved), len(moved))
    assert summary["logistic"]["accuracy"] > 0.6


def test_what_cannot_be_probed_is_one_sentence(tmp_path: Path) -> None:
    layers.write(tmp_path / "e.parquet", [], sizes=[], dtype="float32", description=layers.NONE)
    with pytest.raises(GenreproError, match=r"there are no kept embeddings: it needs model = pretrained"):
        run(tmp_path / "e.parquet")
    path = table(tmp_path / "f.parquet", informative=1)
    with pytest.raises(GenreproError, match=r"choose another split\.strategy than segment"):
        run(path, split=SPLIT.assign(segment=0))
    with pytest.raises(GenreproError, match=r"no training track of jazz has embeddings"):
        jazz = GENRE == "jazz"
        side = SPLIT["split"].mask(jazz.to_numpy() & (SPLIT["split"] == "train").to_numpy(), "excluded")
        run(path, split=SPLIT.assign(split=side))


def test_a_body_that_has_seen_the_labels_is_a_leak() -> None:
    section = {"trained_on": ["gtzan", "fma_large"]}
    assert [
        models.has_seen(section, one) for one in ("gtzan", "gtzan_images", "fma_small", "synthetic", "hub")
    ] == [True, True, True, False, False]
    assert not models.has_seen({}, "gtzan")
