"""Claims about experiments.yaml and how its entries become runs of DVC; a mistake in it is one sentence."""

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from builders import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from repository import Repository
from ruamel.yaml import YAML
from typer.testing import CliRunner

from genrepro import experiments, grid, launching, params
from genrepro.cli import app
from genrepro.errors import GenreproError
from genrepro.experiments import Experiment

COMMITTED = experiments.load(ROOT / "experiments.yaml", ROOT / "params.yaml")
SONGS: dict[str, Any] = {
    "group": "mine",
    "title": "two epochs",
    "source": "nobody",
    "recipes": ["quick"],
    "overrides": {"train.lr": 0.5},
    "seeds": [0, 3],
    "published": {"accuracy": 0.75, "num_correct": 3, "num_tracks": 4},
}
FILE: dict[str, Any] = {
    "recipes": {"quick": {"train.epochs": 2, "train.lr": 0.1}, "pictures": {"dataset": "gtzan_images"}},
    "experiments": {"songs": SONGS},
}


def load(path: Path, **entries: Any) -> dict[str, Experiment]:
    """Entries, by default `SONGS` alone, as a file's experiments."""
    YAML().dump({**FILE, "experiments": entries or FILE["experiments"]}, path / "experiments.yaml")
    return experiments.load(path / "experiments.yaml", ROOT / "params.yaml")


def songs(**changes: Any) -> dict[str, Any]:
    """`SONGS` with other keys; None leaves one out."""
    changed = copy.deepcopy(SONGS) | changes
    return {key: value for key, value in changed.items() if value is not None}


def complaint(path: Path, **entries: Any) -> str:
    with pytest.raises(GenreproError) as caught:
        load(path, **entries)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message.replace(str(path), "")


def arguments(experiment: Experiment, **options: Any) -> dict[str, list[str]]:
    """By the runs' names, what they set."""
    return {
        name: command[command.index("--set-param") + 1 :: 2]
        for name, command in launching.commands([experiment], **{"queue": False, **options})
    }


# ----------------------------------------------------------------------------------------------------
# The committed file


def test_every_committed_experiment_is_one_that_the_stages_accept() -> None:
    """Its parameters are those of a params.yaml into which its overrides were written."""
    yaml = YAML(typ="safe")
    for experiment in COMMITTED.values():
        values = yaml.load(ROOT / "params.yaml")
        for dotted, value in experiment.overrides.items():
            *above, key = dotted.split(".")
            place = values
            for section in above:
                place = place[section]
            assert key in place
            place[key] = value
        assert params.build(params.Params, values, name="params.yaml", prefix="") == experiment.params


def test_every_committed_run_has_a_name_that_git_accepts() -> None:
    for experiment in COMMITTED.values():
        reference = f"refs/exps/00/00/{experiment.run_name(0)}"
        assert subprocess.run(["git", "check-ref-format", reference], check=False).returncode == 0


def test_every_row_of_both_reports_tables_is_there() -> None:
    published = {
        name: (found.published.accuracy, found.published.num_correct, found.published.num_tracks)
        for name, found in COMMITTED.items()
        if found.published
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
    first, second = COMMITTED["vit-sweep-1"].params, COMMITTED["vit-sweep-2"].params
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
    ast = COMMITTED["ast-fma-small"].params
    assert (ast.train.batch_size, ast.train.lr, ast.train.weight_decay) == (64, 0.001, 0.01)
    assert (ast.segments.duration, ast.segments.max_mels, ast.ast.num_heads) == (5.0, 32, 6)


def test_a_control_differs_from_its_experiment_in_the_weights_alone() -> None:
    for name in ("sweep-1", "sweep-2", "sweep-1-by-loss", "sweep-2-by-accuracy", "stratified", "official"):
        one, other = (COMMITTED[f"vit{kind}-{name}"].params for kind in ("", "-random-weights"))
        values, control = experiments.recipe(one), experiments.recipe(other)
        assert {key for key in values if values[key] != control[key]} == {"vit.weights"}


def test_dvc_reads_every_override_back_as_it_stands_in_the_file() -> None:
    """By the grammar of Hydra, which DVC hands it to."""
    parser = OverridesParser.create()
    for experiment in COMMITTED.values():
        for settings in arguments(experiment, seeds=[0], extra=["source=auto"]).values():
            # DVC takes a file's name away before Hydra reads what follows it.
            read = {key: parser.parse_override(f"{key.rpartition(':')[2]}={value}").value() for key, value in
                    (setting.split("=", 1) for setting in settings)}  # fmt: skip
            swept = {key: read.pop(key) for key in list(read) if key.startswith("sweeps/params.yaml:sweep.")}
            assert read == {**experiment.overrides, "source": "auto", "seed": 0}
            if experiment.sweep is None:
                assert swept == {}
            else:
                given = {key.rpartition(".")[2]: value for key, value in swept.items()}
                values = {"sweep": given | {"report": "none"}}
                assert grid.parse(values, name="read back") == experiment.sweep


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


def test_what_must_be_brought_is_told_from_the_parameters() -> None:
    assert COMMITTED["vit-sweep-1"].needs == ("gtzan_images", "ImageNet's weights")
    assert COMMITTED["vit-random-weights-sweep-1"].needs == ("gtzan_images",)
    assert COMMITTED["ast-audioset-fma-mini"].needs == ("fma_mini", "AudioSet's weights")
    assert COMMITTED["synthetic-ast-report-artist"].needs == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"overrides": {"train.learning_rate": 1}}, "params.yaml has no parameter train.learning_rate"),
        ({"overrides": {"train": {}}}, "params.yaml has no parameter train."),
        ({"overrides": {"train.lr.x": 1}}, "params.yaml has no parameter train.lr.x"),
        ({"overrides": {"train.lr": "0.1"}}, "train.lr = '0.1' must be a finite number"),
        ({"overrides": {"train.lr": -1}}, "train.lr = -1.0 must be above 0"),
        ({"overrides": {"model": "svm"}}, "model = 'svm' is unknown"),
        ({"overrides": {"seed": 1}}, "seed is no override"),
        ({"overrides": {"source": "music"}}, "source is no override"),
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
        ({"vary": {"train.lr": [1.0], "seed": [1]}}, "vary must name one key and list its values"),
        ({"vary": {"train.lr": 0.1}}, "vary must name one key and list its values"),
        ({"vary": {"train.lr": [0.1]}}, "an entry that varies a key has no published figure"),
        ({"vary": {"train.lr": [0.1, 0.1]}, "published": None}, "songs-0.1 occurs twice"),
        ({"vary": {"seed": [1]}, "published": None}, "seed is no override"),
        ({"sweep": {"lr": [0.1], "weight_decay": [0.1]}}, "sweep.lr must be first, last and step"),
        ({"sweep": {"momentum": [0.1]}}, "unknown key sweep.momentum"),
        ({"sweep": {"lr": [], "weight_decay": [0.1]}}, "sweep.lr has no value"),
    ],
)
def test_a_mistake_in_an_entry_is_one_sentence(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    message = complaint(tmp_path, songs=songs(**changes))
    assert message.startswith("/experiments.yaml: songs: ")
    assert words in message


@pytest.mark.parametrize("name", ["Songs", "so ngs", "-songs", "songs.lock.", "a/b", "so..ngs", "söngs", ""])
def test_a_name_that_git_or_a_file_system_may_refuse_is_refused(tmp_path: Path, name: str) -> None:
    assert f"{name!r} is no name" in complaint(tmp_path, **{name: SONGS})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("experiments: {}", "the key recipes is missing"),
        ("[]", "the file must be a mapping"),
        ("recipes: {}\nexperiments: {a: 1}", "the entry: the file must be a mapping"),
        ("recipes: {}\nexperiments: {a: 1}\nexperiments: {}", "is not valid YAML"),
        ("recipes: [", "is not valid YAML"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "e.yaml").write_text(content)
    with pytest.raises(GenreproError) as caught:
        experiments.load(tmp_path / "e.yaml", ROOT / "params.yaml")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_names_and_patterns_choose_each_experiment_once() -> None:
    chosen = experiments.select(COMMITTED, ["vit-sweep-2", "vit-sweep-?"])
    assert [found.name for found in chosen] == ["vit-sweep-2", "vit-sweep-1"]


def test_an_unknown_experiment_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(
        GenreproError, match=r"no experiment 'vit-swep-1' .* near it are vit-sweep-1, vit-sweep-2"
    ):
        experiments.select(COMMITTED, ["vit-swep-1"])
    with pytest.raises(GenreproError, match=r"no experiment 'zzz' .* `genrepro experiment list` names them"):
        experiments.select(COMMITTED, ["zzz"])
    with pytest.raises(
        GenreproError, match=r"'vit-sweep-1-s3' .* a run of vit-sweep-1: --seed 3 runs it alone"
    ):
        experiments.select(COMMITTED, ["vit-sweep-1-s3"])


# ----------------------------------------------------------------------------------------------------
# Runs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with params.yaml and two experiments, of which one needs pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    repository = Repository(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    load(tmp_path, songs=SONGS, pictures=songs(recipes=["quick", "pictures"]))
    repository.commit()
    return repository


def test_a_seed_is_a_run_of_its_own(project: Repository) -> None:
    found = experiments.load()["songs"]
    assert arguments(found) == {
        "songs-s0": ["train.epochs=2", "train.lr=0.5", "seed=0"],
        "songs-s3": ["train.epochs=2", "train.lr=0.5", "seed=3"],
    }
    assert list(arguments(found, seeds=[3, 4])) == ["songs-s3"]
    ((_, queued), _) = launching.commands([found], queue=True)
    assert queued[:6] == ["dvc", "exp", "run", "--queue", "--name", "songs-s0"]
    ((_, at_once), _) = launching.commands([found], queue=False)
    assert at_once[3] == "--temp"  # in the workspace it would leave its parameters behind


def test_further_settings_go_before_an_experiments_own(project: Repository) -> None:
    found = experiments.load()["songs"]
    settings = arguments(found, extra=["train.lr=0.7", "cnn.channels=[4,4]"])["songs-s0"]
    assert settings == ["train.epochs=2", "train.lr=0.7", "seed=0", "cnn.channels=[4,4]"]


@pytest.mark.parametrize(
    "folder", ["music", "my music, (old) = 50%", "that's it", "ünï\\code", "[1]{2}", "back\\'s"]
)
def test_data_is_found_below_a_folder_whatever_its_name(project: Repository, folder: str) -> None:
    (project.path / folder / "gtzan_images").mkdir(parents=True)
    settings = arguments(experiments.load()["pictures"], data=Path(folder))["pictures-s0"]
    (source,) = (setting for setting in settings if setting.startswith("source="))
    assert OverridesParser.create().parse_override(source).value() == f"{folder}/gtzan_images"
    assert arguments(experiments.load()["songs"], data=Path(folder))["songs-s0"][-1] == "seed=0"


def test_a_named_source_goes_before_the_folder(project: Repository) -> None:
    (project.path / "music" / "gtzan_images").mkdir(parents=True)
    found = experiments.load()["pictures"]
    settings = arguments(found, data=Path("music"), extra=["source=elsewhere.zip"])["pictures-s0"]
    assert [setting for setting in settings if "source" in setting] == ["source=elsewhere.zip"]


def test_data_that_can_be_downloaded_needs_no_source() -> None:
    settings = arguments(COMMITTED["ast-fma-mini"], extra=[], data=None)["ast-fma-mini-s0"]
    assert not [setting for setting in settings if setting.startswith("source")]


def invoke(*arguments: str) -> str:
    """What is printed, standard error after standard output."""
    return CliRunner().invoke(app, ["experiment", *arguments]).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "song"], "there is no experiment 'song'"),
        (["list", "song"], "there is no experiment 'song'"),
        (["collect", "song"], "there is no experiment 'song'"),
        (["run", "pictures"], "pictures needs gtzan_images, which cannot be downloaded"),
        (["run", "*"], "pictures needs gtzan_images, which cannot be downloaded"),
        (["run", "pictures", "--data", "nowhere"], "--data nowhere is no folder"),
        (["run", "songs", "-S", "train.lr"], "'train.lr' sets nothing: write key=value"),
        (["run", "songs", "-S", "train.rate=1"], "-S train.rate=1: params.yaml has no parameter train.rate"),
        (["run", "songs", "-S", "seed=1"], "choose some of them with --seed"),
        (["run", "songs", "--seed", "1"], "none of these experiments has such a seed"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    project: Repository, arguments: list[str], words: str
) -> None:
    printed = invoke(*arguments)
    assert printed.startswith("genrepro: ") and words in printed
    assert len(printed.splitlines()) == 1 and printed.endswith(".\n")


def test_parameters_that_are_not_committed_would_be_inherited_and_are_refused(project: Repository) -> None:
    path = project.path / "params.yaml"
    path.write_text(path.read_text() + "# a comment changes nothing\n")
    assert "--name songs-s0" in invoke("run", "songs", "--dry-run")
    path.write_text(path.read_text().replace("seed: 0  ", "seed: 1  ", 1))
    assert "params.yaml is not as committed" in invoke("run", "songs", "--dry-run")


def test_outside_a_repository_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert invoke("run", "songs") == "genrepro: params.yaml is missing: run from the repository root.\n"
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    assert invoke("run", "songs") == "genrepro: experiments.yaml is missing: run from the repository root.\n"
    load(tmp_path)
    assert "params.yaml is in no commit here" in invoke("run", "songs")


def test_what_has_run_or_waits_at_this_commit_is_left_out(project: Repository) -> None:
    head = project.git("rev-parse", "HEAD")
    project.experiment("songs-s0", baseline=head, commit=head)
    printed = invoke("run", "songs", "--dry-run")
    assert "songs-s0 has run" in printed and "--name songs-s3" in printed and "--name songs-s0" not in printed
    assert "--name songs-s0" in invoke("run", "songs", "--dry-run", "--again")
    message = f"dvc-exp:{head}:{head}:songs-s3"
    project.git("update-ref", "--create-reflog", "-m", message, "refs/exps/celery/stash", head)
    assert "songs-s3 is in DVC's queue" in invoke("run", "songs", "--dry-run")


def test_the_list_says_what_was_published_and_how_sure_it_is(project: Repository) -> None:
    assert invoke("list", "songs").splitlines() == [
        "songs: two epochs",
        "  nobody: 0.7500 [0.301-0.954] of 4",
    ]
