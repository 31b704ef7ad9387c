"""Claims about naming a run: commits, experiments, workspace, files, and a sentence for what is none."""

from pathlib import Path

import pytest
from support.repository import Repository
from support.runs import content, pattern, run, table
from typer.testing import CliRunner

from genrepro.base.errors import GenreproError
from genrepro.cli import app
from genrepro.compare.revisions import Predictions, parse, read

RIGHT = pattern(both=6, gained=2, lost=1, neither=1)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    return Repository(tmp_path)


def correct(predictions: Predictions) -> int:
    return int(predictions.correct.sum())


def test_a_commit_an_experiment_the_workspace_and_a_file(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit(content(table([True] * 4 + [False] * 6)))
    second = repository.commit(content(table([True] * 5 + [False] * 5)))
    third = repository.commit(content(table([True] * 6 + [False] * 4)))
    repository.git("reset", "--quiet", "--hard", second)
    repository.experiment("eager-lion", baseline=second, commit=third)
    repository.git("tag", "v1", first)
    repository.write(content(table([True] * 7 + [False] * 3)))
    (tmp_path / "elsewhere.csv").write_bytes(content(table([True] * 8 + [False] * 2)))

    names = ["v1", first[:9], "main", "HEAD~1", "eager-lion", "workspace", "elsewhere.csv"]
    assert [correct(read(name)) for name in names] == [4, 4, 5, 4, 6, 7, 8]
    assert read("main").name == f"main ({second[:8]})"
    assert read(first[:9]).name == first[:9]


def test_a_project_below_the_root_of_its_repository(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "music"
    (below / "metrics").mkdir(parents=True)
    (below / "metrics" / "predictions.csv").write_bytes(content(table([True] * 9)))
    repository.commit(content(table([False] * 9)))
    monkeypatch.chdir(below)
    assert correct(read("main")) == 9


def test_of_two_experiments_of_one_name_the_one_that_began_here(repository: Repository) -> None:
    first = repository.commit(content(table([True] * 4 + [False])))
    second = repository.commit(content(table([True] * 5)))
    repository.experiment("eager-lion", baseline=first, commit=first)
    repository.experiment("eager-lion", baseline=second, commit=second)
    assert correct(read("eager-lion")) == 5
    repository.commit(None)
    with pytest.raises(GenreproError, match="2 experiments are called 'eager-lion'"):
        read("eager-lion")


def test_references_that_dvc_keeps_for_itself_are_no_experiments(repository: Repository) -> None:
    commit = repository.commit(content(table([True] * 5)))
    repository.git("update-ref", "refs/exps/exec/EXEC_HEAD", commit)
    with pytest.raises(GenreproError, match="neither a git revision nor an experiment"):
        read("EXEC_HEAD")


def test_an_unknown_revision_is_one_sentence(repository: Repository, subtests: pytest.Subtests) -> None:
    for name in ["nowhere", "--help", "main~7", "", "refs/exps", ":/no such message"]:
        with subtests.test(name=name):
            repository.commit(content(table([True] * 5)))
            with pytest.raises(GenreproError) as refusal:
                read(name)
            assert repr(name) in str(refusal.value)
            assert "\n" not in str(refusal.value)


def test_a_revision_without_predictions_is_one_sentence(repository: Repository) -> None:
    commit = repository.commit(None)
    with pytest.raises(GenreproError) as refusal:
        read("main")
    assert str(refusal.value).startswith(
        f"main ({commit[:8]}) has no metrics/predictions.csv: run `dvc repro`"
    )
    with pytest.raises(GenreproError, match="workspace has no predictions"):
        read("workspace")
    with pytest.raises(GenreproError, match=r"no\.csv has no predictions"):
        read("no.csv")


def test_outside_a_repository_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GenreproError, match="in a git repository"):
        read("main")


GOOD = content(table([True] * 5))


def test_a_broken_table_is_one_sentence(subtests: pytest.Subtests) -> None:
    for broken, words in [
        (b"", "cannot be read as CSV"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "columns do not begin with track_id",
        ),
        (GOOD.replace(b"track_id", b"id"), "columns do not begin with track_id, genre, predicted"),
        (GOOD.splitlines(keepends=True)[0], "4 genres and 0 tracks"),
        (b"track_id,genre,predicted\nt,a,a\n", "0 genres"),
        (GOOD + GOOD.splitlines(keepends=True)[1], "occurs twice"),
        (GOOD.replace(b"t0000", b""), "no name"),
        (GOOD.replace(b"blues,blues", b"blues,soul"), "its predicted holds 'soul'"),
        (GOOD.replace(b"jazz,jazz", b"soul,jazz"), "its genre holds 'soul'"),
        (GOOD.replace(b"0.7000", b"1.7000"), "a probability is not a number from 0 to 1"),
        (GOOD.replace(b"0.7000", b"nan"), "a probability is not a number from 0 to 1"),
        (GOOD.replace(b"0.7000", b"most"), "a probability is not a number from 0 to 1"),
        (GOOD.replace(b"0.7000", b"", 1), "a probability is not a number from 0 to 1"),
        (GOOD.replace(b"\n", b",1\n").replace(b"rock,1", b"rock", 1), "more fields than its header"),
    ]:
        with subtests.test(broken=broken):
            with pytest.raises(GenreproError) as refusal:
                parse(broken, name="run")
            assert words in str(refusal.value)
            assert str(refusal.value).startswith(
                "metrics/predictions.csv of run is not a table of predictions: "
            )
            assert "\n" not in str(refusal.value)


def test_names_are_kept_as_they_are_written(subtests: pytest.Subtests) -> None:
    for name in ["NA", "null", "nan", "007", "1e5", "Ünïcode, with a comma", '7" remix']:
        with subtests.test(name=name):
            rows = table([True] * 5)
            rows.loc[0, "track_id"] = name
            assert name in parse(content(rows), name="run").track_ids.tolist()


def test_the_command_compares_with_the_workspace_by_default(repository: Repository) -> None:
    commit = repository.commit(content(table(RIGHT[0])))
    repository.write(content(table(RIGHT[1])))
    done = CliRunner().invoke(app, ["compare", "main"])
    assert done.exit_code == 0
    assert done.output.startswith("Nothing changed beyond noise")
    assert f"A is main ({commit[:8]}), the baseline; B is workspace." in done.output


def test_the_command_compares_seeds(repository: Repository, tmp_path: Path) -> None:
    for name, right in (("a", RIGHT[0]), ("b", RIGHT[1])):
        for seed in (0, 1):
            (tmp_path / f"{name}{seed}.csv").write_bytes(content(table(right)))
    done = CliRunner().invoke(app, ["compare", "a0.csv,a1.csv", "b0.csv,b1.csv", "--md"])
    assert done.exit_code == 0
    assert "2 seeds" in done.output and "| `a0.csv` |" in done.output


def test_a_mistake_ends_the_command_with_one_sentence(
    repository: Repository, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for arguments in [["nowhere"], ["main", "nowhere"], ["main,main", "main"], ["main", "other.csv"]]:
        with subtests.test(arguments=arguments):
            repository.commit(content(table([True] * 5)))
            (tmp_path / "other.csv").write_bytes(content(table([True] * 6)))
            done = CliRunner().invoke(app, ["compare", *arguments])
            assert done.exit_code == 1
            assert done.output.startswith("genrepro: ")
            assert done.output.endswith(".\n")
            assert len(done.output.splitlines()) == 1


def test_what_is_read_is_sorted_by_track(repository: Repository) -> None:
    repository.commit(content(table(RIGHT[0]).iloc[::-1]))
    found, expected = read("main"), run(RIGHT[0])
    assert found.track_ids.tolist() == sorted(found.track_ids)
    assert found.correct.tolist() == expected.correct.tolist() == RIGHT[0]


@pytest.mark.parametrize("name", ["main", "workspace"])
def test_a_folder_below_the_project_is_named_and_not_the_commit_blamed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for file in ("dvc.yaml", "params.yaml"):
        (tmp_path / file).touch()
    repository.commit(content(table([True] * 9)))
    (tmp_path / "data" / "raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data" / "raw")
    with pytest.raises(GenreproError, match=f"raw/ is not the repository's root: run this in {tmp_path}"):
        read(name)
