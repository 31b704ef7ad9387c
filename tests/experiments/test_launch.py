"""Claims about `genrepro experiment run` and `list`: what DVC is told, what is refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from support.builders import ROOT
from support.entries import SONGS, committed, load, songs
from support.repository import Repository
from typer.testing import CliRunner

from genrepro.cli import app
from genrepro.experiments import entries, launch
from genrepro.experiments.definitions import Experiment
from genrepro.sweep import grid


def arguments(experiment: Experiment, **options: Any) -> dict[str, list[str]]:
    """By the runs' names, what they set."""
    return {
        name: command[command.index("--set-param") + 1 :: 2]
        for name, command in launch.commands([experiment], **{"queue": False, **options})
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with params.yaml and two experiments, of which one needs pictures."""
    monkeypatch.chdir(tmp_path)
    repository = Repository(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    load(tmp_path, songs=SONGS, pictures=songs(recipes=["quick", "pictures"]))
    repository.commit()
    return repository


def test_a_seed_is_a_run_of_its_own(project: Repository) -> None:
    found = entries.load()["songs"]
    assert arguments(found) == {
        "songs-s0": ["train.epochs=2", "train.lr=0.5", "seed=0"],
        "songs-s3": ["train.epochs=2", "train.lr=0.5", "seed=3"],
    }
    assert list(arguments(found, seeds=[3, 4])) == ["songs-s3"]
    ((_, queued), _) = launch.commands([found], queue=True)
    assert queued[:6] == ["dvc", "exp", "run", "--queue", "--name", "songs-s0"]
    ((_, at_once), _) = launch.commands([found], queue=False)
    assert at_once[3] == "--temp"  # in the workspace it would leave its parameters behind


def test_a_fold_is_a_run_of_its_own(project: Repository) -> None:
    found = load(project.path, songs=songs(folds=3, seeds=[1]))["songs"]
    settings = arguments(found)
    assert list(settings) == ["songs-s1-f0", "songs-s1-f1", "songs-s1-f2"]
    assert settings["songs-s1-f2"][-3:] == ["split.folds=3", "seed=1", "split.fold=2"]


def test_dvc_reads_every_override_back_as_it_stands_in_the_file() -> None:
    """By the grammar of Hydra, which DVC hands it to."""
    parser = OverridesParser.create()
    for experiment in committed().values():
        for settings in arguments(experiment, seeds=[0], extra=["source=auto"]).values():
            # DVC takes a file's name away before Hydra reads what follows it.
            read = {key: parser.parse_override(f"{key.rpartition(':')[2]}={value}").value() for key, value in
                    (setting.split("=", 1) for setting in settings)}  # fmt: skip
            swept = {key: read.pop(key) for key in list(read) if key.startswith("sweeps/params.yaml:sweep.")}
            folded = {"split.fold": read["split.fold"]} if experiment.params.split.folds else {}
            started = {"train.start": experiment.start_name(0)} if experiment.start else {}
            assert read == {**experiment.overrides, "source": "auto", "seed": 0, **folded, **started}
            if experiment.sweep is None:
                assert swept == {}
            else:
                given = {key.rpartition(".")[2]: value for key, value in swept.items()}
                values = {"sweep": given | {"report": "none"}}
                assert grid.parse(values, name="read back") == experiment.sweep


def test_further_settings_go_before_an_experiments_own(project: Repository) -> None:
    found = entries.load()["songs"]
    settings = arguments(found, extra=["train.lr=0.7", "cnn.channels=[4,4]"])["songs-s0"]
    assert settings == ["train.epochs=2", "train.lr=0.7", "seed=0", "cnn.channels=[4,4]"]


def test_data_is_found_below_a_folder_whatever_its_name(
    project: Repository, subtests: pytest.Subtests
) -> None:
    for folder in ["music", "my music, (old) = 50%", "that's it", "ünï\\code", "[1]{2}", "back\\'s"]:
        with subtests.test(folder=folder):
            (project.path / folder / "gtzan_images").mkdir(parents=True)
            settings = arguments(entries.load()["pictures"], data=Path(folder))["pictures-s0"]
            (source,) = (setting for setting in settings if setting.startswith("source="))
            assert OverridesParser.create().parse_override(source).value() == f"{folder}/gtzan_images"
            assert arguments(entries.load()["songs"], data=Path(folder))["songs-s0"][-1] == "seed=0"


def test_a_named_source_goes_before_the_folder(project: Repository) -> None:
    (project.path / "music" / "gtzan_images").mkdir(parents=True)
    found = entries.load()["pictures"]
    settings = arguments(found, data=Path("music"), extra=["source=elsewhere.zip"])["pictures-s0"]
    assert [setting for setting in settings if "source" in setting] == ["source=elsewhere.zip"]


def test_data_that_can_be_downloaded_needs_no_source() -> None:
    settings = arguments(committed()["ast-fma-mini"], extra=[], data=None)["ast-fma-mini-s0"]
    assert not [setting for setting in settings if setting.startswith("source")]


def invoke(*arguments: str) -> str:
    """What is printed, standard error after standard output."""
    return CliRunner().invoke(app, ["experiment", *arguments]).output


def test_a_mistake_on_the_command_line_is_one_sentence(
    project: Repository, subtests: pytest.Subtests
) -> None:
    for arguments, words in [
        (["run", "song"], "there is no experiment 'song'"),
        (["list", "song"], "there is no experiment 'song'"),
        (["collect", "song"], "there is no experiment 'song'"),
        (["run", "pictures"], "pictures needs gtzan_images, which cannot be downloaded"),
        (["run", "*"], "pictures needs gtzan_images, which cannot be downloaded"),
        (["run", "pictures", "--data", "nowhere"], "--data nowhere is not a folder"),
        (["run", "songs", "-S", "train.lr"], "'train.lr' sets nothing: write key=value"),
        (["run", "songs", "-S", "train.rate=1"], "-S train.rate=1: params.yaml has no parameter train.rate"),
        (["run", "songs", "-S", "seed=1"], "choose some of them with --seed"),
        (["run", "songs", "-S", "split.fold=1"], "folds are part of an experiment: write its entry's key"),
        (["run", "songs", "--seed", "1"], "none of these experiments has such a seed"),
    ]:
        with subtests.test(arguments=arguments):
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


def test_the_folds_of_a_recorded_seed_are_left_out(project: Repository) -> None:
    head = project.git("rev-parse", "HEAD")
    load(project.path, songs=songs(folds=2, seeds=[0]))
    project.experiment("songs-s0-f1", baseline=head, commit=head)
    printed = invoke("run", "songs", "--dry-run")
    assert "songs-s0-f1 has run" in printed and "--name songs-s0-f0" in printed


def test_the_list_says_what_was_published_and_how_sure_it_is(project: Repository) -> None:
    assert invoke("list", "songs").splitlines() == [
        "songs: two epochs",
        "  nobody: 0.7500 [0.301-0.954] of 4",
    ]


def test_a_source_of_any_name_reaches_dvc_as_it_is(subtests: pytest.Subtests) -> None:
    """Hydra reads it back as DVC would; what was quoted already is not quoted twice."""
    for value in [
        "~/x",
        "/a, b/c",
        "it's",
        "/m/[old] {x}",
        "a=b",
        "/höre",
        "/a b",
        "'~/x'",
        "back\\slash",
        "(x)",
    ]:
        with subtests.test(value=value):
            (settings,) = launch.commands(
                [committed()["images-cnn-official"]], queue=False, seeds=[0], extra=[f"source={value}"]
            )
            (given,) = [argument for argument in settings[1] if argument.startswith("source=")]
            read = OverridesParser.create().parse_override(given)
            assert not read.is_sweep_override() and read.value() == value.strip(
                "'" if value[0] == "'" else ""
            )


@pytest.fixture
def begun(project: Repository) -> Repository:
    """Entries `first`, with the parameters of the commit, `second`, which begins with it, and `third`."""
    first = songs(recipes=[], overrides={}, published=None)
    later = {"recipes": [], "published": None, "seeds": [0, 1, 3]}
    load(
        project.path, first=first, second=songs(start="first", **later), third=songs(start="second", **later)
    )
    project.commit()
    return project


def names(printed: str) -> list[str]:
    """Of the runs whose commands are printed."""
    return [line.split("--name ")[1].split()[0] for line in printed.splitlines() if "--name " in line]


def test_what_an_experiment_begins_with_runs_first(begun: Repository) -> None:
    printed = invoke("run", "second", "--dry-run")
    assert names(printed) == ["first-s0", "first-s3", "second-s0", "second-s1", "second-s3"]
    starts = [line.rpartition("=")[2] for line in printed.splitlines() if "train.start" in line]
    assert starts == ["first-s0", "first-s0", "first-s3"]  # seed 1 has none of its own
    assert names(invoke("run", "third", "--seed", "1", "--dry-run")) == ["first-s0", "second-s1", "third-s1"]
    everything = names(invoke("run", "third", "first", "--dry-run", "--seed", "0"))
    assert everything == ["first-s0", "second-s0", "third-s0"]
    assert "  begins with first: two epochs" in invoke("list", "second").splitlines()


def test_a_start_finds_its_own_data(begun: Repository) -> None:
    pictures = songs(recipes=[], overrides={"dataset": "gtzan_images"}, published=None)
    second = songs(recipes=[], published=None, start="first")
    load(begun.path, first=pictures, second=second)
    begun.commit()
    refused = invoke("run", "second", "--seed", "0", "--dry-run")
    assert "first needs gtzan_images, which cannot be downloaded" in refused
    data = begun.path / "data"
    (data / "gtzan_images").mkdir(parents=True)
    first, _ = invoke("run", "second", "--seed", "0", "--data", str(data), "--dry-run").splitlines()
    assert "--name first-s0" in first and f"source={data}/gtzan_images " in first


def test_what_has_run_does_not_run_again_before_another(begun: Repository) -> None:
    head = begun.git("rev-parse", "HEAD")
    refused = invoke("run", "second", "--queue", "--dry-run")
    assert "second begins with first-s0, which has not run: run `first` before" in refused
    begun.experiment("first-s0", baseline=head, commit=head)
    for queue in ([], ["--queue"]):
        assert names(invoke("run", "second", "--seed", "0", "--dry-run", *queue)) == ["second-s0"]


def test_what_runs_now_or_ran_with_other_parameters_is_no_start(begun: Repository) -> None:
    running = begun.path / ".dvc" / "tmp" / "exps" / "run" / "a" / "a.run"
    running.parent.mkdir(parents=True)
    running.write_text('{"name": "first-s0", "status": 2}')
    assert "second begins with first-s0, which is queued or running" in invoke("run", "second", "--dry-run")
    head = begun.git("rev-parse", "HEAD")
    begun.experiment("second-s0", baseline=head, commit=head)
    printed = invoke("run", "third", "--seed", "0", "--dry-run")
    assert "third begins with second-s0, which is another one here: it ran with train.start = none" in printed
    assert printed.endswith("`genrepro experiment run second --again` replaces it.\n")
