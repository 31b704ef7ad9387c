"""Claims about experiments.yaml: what its entries mean, and that a mistake in it is one sentence."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.builders import ROOT
from support.entries import FILE, SONGS, committed, load, songs

from genrepro.base import params
from genrepro.base.errors import GenreproError
from genrepro.experiments import entries as experiments


def complaint(path: Path, **entries: Any) -> str:
    with pytest.raises(GenreproError) as caught:
        load(path, **entries)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message.replace(str(path), "")


# ----------------------------------------------------------------------------------------------------
# The committed file


def test_every_committed_experiment_is_one_that_the_stages_accept() -> None:
    """Its parameters are those of a params.yaml into which its overrides were written."""
    yaml = YAML(typ="safe")
    for experiment in committed().values():
        values = yaml.load(ROOT / "params.yaml")
        for dotted, value in experiment.overrides.items():
            *above, key = dotted.split(".")
            place = values
            for section in above:
                place = place[section]
            assert key in place
            place[key] = value
        values["train"]["start"] = experiment.start.name if experiment.start else "none"
        assert params.build(params.Params, values, name="params.yaml", prefix="") == experiment.params


def test_every_committed_run_has_a_name_that_git_accepts() -> None:
    for experiment in committed().values():
        reference = f"refs/exps/00/00/{experiment.run_name(0)}"
        assert subprocess.run(["git", "check-ref-format", reference], check=False).returncode == 0


def test_every_row_of_both_reports_tables_is_there() -> None:
    published = {
        name: (found.published.accuracy, found.published.num_correct, found.published.num_tracks)
        for name, found in committed().items()
        if found.published and not found.group.startswith("bodies")
    }
    assert published == {
        "vit-sweep-1": (0.6263, 62, 99),
        "vit-sweep-2": (0.6566, 65, 99),
        "vit-grid-1": (0.6263, 62, 99),
        "vit-grid-2": (0.6566, 65, 99),
        "ast-fma-mini": (0.265, None, None),
        "cnn-fma-mini": (0.2187, None, None),
        "ast-fma-small": (0.4075, None, None),
        "cnn-fma-small": (0.5424, None, None),
        "lstm-fma-small-pieces": (0.5713, None, None),
        "cnn-fma-small-pieces": (0.5159, None, None),
        "vit-fma-small-pieces": (0.5685, None, None),
        "vit-gtzan-six-pieces": (0.78, None, None),
    }


def test_the_reports_cells_are_as_the_reports_say() -> None:
    first, second = committed()["vit-sweep-1"].params, committed()["vit-sweep-2"].params
    assert (first.train.lr, first.train.weight_decay, first.train.epochs) == (0.0026, 0.005, 25)
    assert (second.train.lr, second.train.weight_decay, second.train.epochs) == (0.0016, 0.012, 15)
    assert (first.train.select, second.train.select) == ("validation_accuracy", "validation_loss")
    for config in (first, second):
        assert (config.dataset, config.split.strategy, config.vit.weights) == (
            "gtzan_images",
            "random",
            "imagenet",
        )
        assert (config.train.batch_size, config.vit.trainable_blocks, config.segments.max_mels) == (
            100,
            0,
            218,
        )
    ast = committed()["ast-fma-small"].params
    assert (ast.train.batch_size, ast.train.lr, ast.train.weight_decay) == (64, 0.001, 0.01)
    assert (ast.segments.duration, ast.segments.max_mels, ast.ast.num_heads) == (5.0, 32, 6)


def test_a_control_differs_from_its_experiment_in_the_weights_alone() -> None:
    for name in ("sweep-1", "sweep-2", "sweep-1-by-loss", "sweep-2-by-accuracy", "stratified", "official"):
        kind = "" if name in ("sweep-1", "sweep-2") else "-imagenet"
        one, other = (committed()[f"vit{weights}-{name}"].params for weights in (kind, "-random-weights"))
        values, control = experiments.recipe(one), experiments.recipe(other)
        assert {key for key in values if values[key] != control[key]} == {"vit.weights"}


# ----------------------------------------------------------------------------------------------------
# What an entry means


def test_an_entrys_own_overrides_go_before_those_of_its_recipes(tmp_path: Path) -> None:
    found = load(tmp_path)["songs"]
    assert found.overrides == {"train.epochs": 2, "train.lr": 0.5}
    assert (found.params.train.epochs, found.params.train.lr) == (2, 0.5)


def test_later_recipes_go_before_earlier_ones(tmp_path: Path) -> None:
    both = FILE["recipes"] | {"slow": {"train.epochs": 9}}
    YAML().dump(
        {"recipes": both, "experiments": {"songs": songs(recipes=["quick", "slow"])}}, tmp_path / "e.yaml"
    )
    assert experiments.load(tmp_path / "e.yaml", ROOT / "params.yaml")["songs"].params.train.epochs == 9


def test_a_varied_key_stands_for_as_many_experiments(tmp_path: Path) -> None:
    entry = songs(vary={"split.train_share": [0.1, 1.0]}, published=None)
    found = load(tmp_path, songs=entry)
    assert {name: of.params.split.train_share for name, of in found.items()} == {
        "songs-0.1": 0.1,
        "songs-1.0": 1.0,
    }
    assert found["songs-0.1"].title == "two epochs; train share 0.1"


def test_several_varied_keys_stand_for_every_combination(tmp_path: Path) -> None:
    """Recipes among them; braces say where a value stands in name and title."""
    entry = songs(
        vary={"recipe": ["pictures", "quick"], "model": ["cnn", "lstm"]},
        title="{model} by {recipe}",
        group="{recipe}",
        published=None,
    )
    found = load(tmp_path, **{"{recipe}-songs": entry})
    assert list(found) == [
        "pictures-songs-cnn", "pictures-songs-lstm", "quick-songs-cnn", "quick-songs-lstm",
    ]  # fmt: skip
    last, first = found["quick-songs-lstm"], found["pictures-songs-cnn"]
    assert (last.group, first.group) == ("quick", "pictures")
    assert (last.title, last.params.model, last.params.dataset) == ("lstm by quick", "lstm", "synthetic")
    assert (first.params.model, first.params.dataset, first.params.train.lr) == ("cnn", "gtzan_images", 0.5)


def test_an_entry_with_folds_has_a_run_for_each_and_one_recipe_for_all(tmp_path: Path) -> None:
    found = load(tmp_path, songs=songs(folds=3))["songs"]
    assert found.folds == (0, 1, 2) and found.params.split.folds == 3
    assert found.run_name(0, 2) == "songs-s0-f2"
    recipe = experiments.recipe(found.params)
    assert recipe["split.folds"] == 3 and "split.fold" not in recipe
    (one,) = load(tmp_path)["songs"].folds
    assert one is None


def test_what_must_be_brought_is_told_from_the_parameters() -> None:
    assert committed()["vit-sweep-1"].needs == ("gtzan_images", "ImageNet's weights")
    assert committed()["vit-random-weights-sweep-1"].needs == ("gtzan_images",)
    assert committed()["ast-audioset-fma-mini"].needs == ("fma_mini", "AudioSet's weights")
    assert committed()["synthetic-ast-report-artist"].needs == ()


def test_a_mistake_in_an_entry_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for changes, words in [
        ({"overrides": {"train.learning_rate": 1}}, "params.yaml has no parameter train.learning_rate"),
        ({"overrides": {"train": {}}}, "params.yaml has no parameter train."),
        ({"overrides": {"train.lr.x": 1}}, "params.yaml has no parameter train.lr.x"),
        ({"overrides": {"train.lr": "0.1"}}, "train.lr = '0.1' must be a finite number"),
        ({"overrides": {"train.lr": -1}}, "train.lr = -1.0 must be above 0"),
        ({"overrides": {"model": "svm"}}, "model = 'svm' is unknown"),
        ({"overrides": {"seed": 1}}, "seed is not an override"),
        ({"overrides": {"source": "music"}}, "source is not an override"),
        ({"overrides": ["train.lr"]}, "overrides = ['train.lr'] must be a mapping of keys to values"),
        ({"recipes": ["slow"]}, "unknown recipe slow; known are quick, pictures"),
        ({"recipes": None}, "the key recipes is missing"),
        ({"colour": "red"}, "unknown key colour"),
        ({"seeds": []}, "seeds = [] must be different whole numbers"),
        ({"seeds": [1, 1]}, "seeds = [1, 1] must be different"),
        ({"seeds": [-1]}, "seeds = [-1] must be different"),
        ({"seeds": 3}, "seeds = 3 must be a list, each item a whole number"),
        ({"title": 7}, "title = 7 must be text"),
        ({"published": 0.5}, "published = 0.5 must be a mapping of keys to values or left out"),
        ({"published": {"accuracy": 62.63}}, "published.accuracy = 62.63 must lie in 0 .. 1"),
        ({"published": {"num_tracks": 9}}, "the key published.accuracy is missing"),
        ({"published": {"accuracy": 0.5, "num_tracks": 4}}, "needs both of num_correct and num_tracks"),
        ({"published": {"accuracy": 0.5, "num_correct": 5, "num_tracks": 4}}, "must be at most"),
        ({"published": {"accuracy": 0.5, "num_correct": 3, "num_tracks": 4}}, "0.5 is not 3 of 4"),
        ({"vary": {"train.lr": 0.1}}, "vary: train.lr must list its values"),
        ({"vary": {"train.lr": []}}, "vary: train.lr must list its values"),
        ({"vary": {"recipe": ["slow"]}, "published": None}, "unknown recipe slow; known are quick, pictures"),
        ({"vary": {"train.lr": [0.1]}}, "an entry that varies a key has no published figure"),
        ({"vary": {"train.lr": [0.1, 0.1]}, "published": None}, "songs-0.1 occurs twice"),
        ({"vary": {"seed": [1]}, "published": None}, "seed is not an override"),
        ({"overrides": {"split.folds": 5}}, "split.folds is not an override: write the entry's key `folds`"),
        ({"folds": 1}, "split.folds = 1 must be 0 (one hold-out) or at least 2"),
        (
            {"folds": 5, "overrides": {"split.strategy": "random"}},
            "split.folds = 5 needs the strategy artist",
        ),
        ({"folds": 5, "sweep": {"lr": [0.1], "weight_decay": [0.1]}}, "a sweep has no folds"),
        ({"sweep": {"lr": [0.1], "weight_decay": [0.1]}}, "sweep.lr must be first, last and step"),
        ({"sweep": {"momentum": [0.1]}}, "unknown key sweep.momentum"),
        ({"sweep": {"lr": [], "weight_decay": [0.1]}}, "sweep.lr has no value"),
    ]:
        with subtests.test(words=words):
            message = complaint(tmp_path, songs=songs(**changes))
            assert message.startswith("/experiments.yaml: songs: ")
            assert words in message


def test_a_name_that_git_or_a_file_system_may_refuse_is_refused(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for name in ["Songs", "so ngs", "-songs", "songs.lock.", "a/b", "so..ngs", "söngs", ""]:
        with subtests.test(name=name):
            assert f"{name!r} is not a name" in complaint(tmp_path, **{name: SONGS})


def test_a_broken_file_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for content, words in [
        ("experiments: {}", "the key recipes is missing"),
        ("[]", "the file must be a mapping"),
        ("recipes: {}\nexperiments: {a: 1}", "the entry: the file must be a mapping"),
        ("recipes: {}\nexperiments: {a: 1}\nexperiments: {}", "is not valid YAML"),
        ("recipes: [", "is not valid YAML"),
    ]:
        with subtests.test(words=words):
            (tmp_path / "e.yaml").write_text(content)
            with pytest.raises(GenreproError) as caught:
                experiments.load(tmp_path / "e.yaml", ROOT / "params.yaml")
            assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_question_that_no_two_experiments_answer_is_one_sentence(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for pairs, words in [
        ([["songs"]], "Why?: ['songs'] must name two experiments."),
        ([["songs", "songs"]], "Why?: ['songs', 'songs'] must name two experiments."),
        ([["song*", "songs"]], "Why?: ['song*', 'songs'] must name two experiments."),
        ([["songs", "song"]], "there is no experiment 'song'"),
        ([["songs", 1]], "questions.pairs = 1 must be text."),
        ("songs", "questions.pairs = 'songs' must be a list"),
    ]:
        with subtests.test(words=words):
            path = tmp_path / "experiments.yaml"
            question = {"name": "why", "asks": "Why?", "a": "A", "b": "B", "pairs": pairs}
            YAML().dump({**FILE, "questions": [question]}, path)
            with pytest.raises(GenreproError) as caught:
                experiments.questions(experiments.load(path, ROOT / "params.yaml"), path)
            assert words in str(caught.value) and "\n" not in str(caught.value)


def test_names_and_patterns_choose_each_experiment_once() -> None:
    chosen = experiments.select(committed(), ["vit-sweep-2", "vit-sweep-?"])
    assert [found.name for found in chosen] == ["vit-sweep-2", "vit-sweep-1"]


def test_an_unknown_experiment_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(
        GenreproError, match=r"no experiment 'vit-swep-1' .* near it are vit-sweep-1, vit-sweep-2"
    ):
        experiments.select(committed(), ["vit-swep-1"])
    with pytest.raises(GenreproError, match=r"no experiment 'zzz' .* `genrepro experiment list` names them"):
        experiments.select(committed(), ["zzz"])
    with pytest.raises(
        GenreproError, match=r"'vit-sweep-1-s3' .* a run of vit-sweep-1: --seed 3 runs it alone"
    ):
        experiments.select(committed(), ["vit-sweep-1-s3"])
    with pytest.raises(GenreproError, match=r"a run of images-cnn-folds: --seed 0 runs it alone"):
        experiments.select(committed(), ["images-cnn-folds-s0-f3"])


def test_a_start_must_be_one_trained_model_of_the_file(tmp_path: Path) -> None:
    first, plain = songs(published=None), {"published": None}
    for changes, words in [
        ({"start": "nothing"}, "it cannot begin with nothing: there is no such experiment"),
        ({"start": "second"}, "it cannot begin with second: that begins with this one"),
        ({"start": "folded"}, "it cannot begin with folded: a run of it is not one trained model"),
        (
            {"overrides": {"train.start": "x"}},
            "train.start is not an override: write the entry's key `start`",
        ),
        ({"overrides": {"train.epochs": 0}}, "train.epochs = 0 must be above 0, or 0 to keep a train.start"),
    ]:
        with pytest.raises(GenreproError, match=re.escape(words)):
            load(tmp_path, first=first, folded=songs(folds=2, **plain), second=songs(**plain, **changes))


def test_an_entry_may_vary_its_start(tmp_path: Path) -> None:
    first = songs(published=None, overrides={"train.lr": 0.5, "dataset": "gtzan"})
    found = load(tmp_path, first=first, **{
        "from-{start}": songs(published=None, vary={"start": ["none", "first"]}, overrides={"train.lr": 0.3})
    })  # fmt: skip
    begun = {name: of.start.name if of.start else None for name, of in found.items()}
    assert begun == {"first": None, "from-none": None, "from-first": "first"}
    assert found["from-first"].needs == ("gtzan",)  # what its start needs
    wanted = experiments.wanted(found["from-first"])
    assert (wanted["train.start"], wanted["train.lr"], wanted["first: train.lr"]) == ("first", 0.3, 0.5)
