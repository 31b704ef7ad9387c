"""Claims about docs/RESULTS.md and docs/results/: every figure is from a record, and says how sure it is."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from support.builders import ROOT
from support.entries import committed
from support.measured import DETAILS, TEMPLATE, Project, invoke, make_project

from genrepro.base.errors import GenreproError
from genrepro.evaluate.intervals import clustered, difference, unpaired
from genrepro.experiments import answers, entries, hits, measured, page, ranking, records, rows


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


def wilson(num_correct: int, num_tracks: int) -> str:
    """By statsmodels."""
    low, high = proportion_confint(num_correct, num_tracks, method="wilson")
    return f"{low:.3f}-{high:.3f}"


def drawn(share: float, num_tracks: int, seed: int) -> list[bool]:
    return list(np.random.default_rng(seed).random(num_tracks) < share)


def artists(num_tracks: int) -> np.ndarray:
    """The groups of `Project.tested`."""
    return np.array([f"artist {number // 3}" for number in range(num_tracks)])


# ----------------------------------------------------------------------------------------------------
# The committed pages


def test_the_committed_pages_are_what_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    pages, bars = page.render()
    assert len(pages) == 9 and page.FIGURE.exists()
    for path, text in pages.items():
        assert path.read_text("utf-8") == text
    assert 2 <= len(bars) <= rows.MOST_IN_FRONT


def test_every_committed_experiment_is_recorded_or_in_the_list_of_what_has_not_run() -> None:
    known = committed()
    pages = [ROOT / "docs" / "RESULTS.md", *sorted((ROOT / "docs" / "results").glob("*.md"))]
    lines = [line for path in pages if "template" not in path.name for line in path.read_text().splitlines()]
    named = [match[1] for line in lines if (match := re.match(r"\| `([^`]+)` \|", line))]
    counts = {name: named.count(name) for name in known}
    # A sweep has a row for each of its seeds.
    assert all(count == 1 or (count and known[name].sweep) for name, count in counts.items())


def test_the_first_screen_is_short() -> None:
    """A visitor scrolls no further than the figure: one table, one picture, few words."""
    text = (ROOT / "docs" / "RESULTS.md").read_text()
    first = text[: text.index("\n## ")]
    assert sum(line.startswith("|") for line in first.splitlines()) <= rows.MOST_IN_FRONT + 2
    assert first.count("![") == 1 and len(first.splitlines()) < 45


def test_published_intervals_are_statsmodels() -> None:
    known = committed()
    found = [of.published for of in known.values() if of.published and of.published.num_tracks]
    # The ViT report's, and three of another body beside them. Nobody says the others' number of tracks.
    assert len(found) == 7
    for published in found:
        assert published.num_correct and published.num_tracks
        low, high = wilson(published.num_correct, published.num_tracks).split("-")
        assert rows.published_text(published).endswith(f" [{low}-{high}] of {published.num_tracks}")


# ----------------------------------------------------------------------------------------------------
# From records to the pages


def test_an_accuracy_is_the_mean_over_seeds_with_an_interval_over_artists(project: Project) -> None:
    right = [drawn(0.6, 99, seed) for seed in (0, 1)]
    for seed in (0, 1):
        project.tested("songs", right[seed], seed=seed)
    assert invoke("collect") == "2 runs recorded\n"
    low, high = clustered(np.mean(right, axis=0), artists(99))
    counts = [sum(of) for of in right]
    assert project.row("songs") == [
        "two epochs", "row 1", "0.6263", wilson(62, 99), "99",
        f"{sum(counts) / 198:.3f}", f"{low:.3f}-{high:.3f}",
        f"{min(counts) / 99:.3f}-{max(counts) / 99:.3f}, 2 of 3 seeds", "99 tracks, 33 artists",
        "`random` 800 / 100 / 99, drawn by seed", "1",
    ]  # fmt: skip
    assert f"It is {sum(counts) / 198:.3f} ({low:.3f}-{high:.3f}) good." in "\n".join(project.pages())


def test_a_run_that_keeps_no_predictions_has_an_accuracy_without_an_interval(project: Project) -> None:
    project.ran("songs", seed=2, num_correct=60)
    invoke("collect")
    assert not hits.path("songs").exists()
    row = project.row("songs")
    assert row[5:9] == ["0.606", "-", "1 of 3 seeds", "99 tracks"] and row[9] == "`random` 800 / 100 / 99"
    assert project.row("songs-s2") == ["0.606", "-", "99", "0.500", "800 / 100 / 99", "7", "1"]
    assert "It is (not measured yet) good." in "\n".join(project.pages())


def test_seeds_of_one_split_and_of_several_are_told_apart(project: Project) -> None:
    for seed in (0, 1):
        project.ran("songs", seed=seed, num_correct=60)
    invoke("collect")
    path = records.path("songs")
    path.write_text(path.read_text().replace("split 1", "split 0"))
    assert project.row("songs")[9] == "`random` 800 / 100 / 99, one for all"


def test_what_has_not_run_is_folded_and_says_what_it_needs(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert (
        "<details><summary>3 of 4 experiments have not run, most for want of data or weights.</summary>"
        in (project.pages())
    )
    assert project.row("pictures") == ["from pictures", "0.7800", "gtzan_images, ImageNet's weights"]
    assert project.row("question") == ["what if", "an open question", "nothing"]


def test_the_first_table_has_the_committed_run_and_what_is_surely_known(project: Project) -> None:
    project.tested("songs", drawn(0.6, 99, 0))
    project.ran("question", seed=0, num_correct=60)  # keeps no predictions
    invoke("collect")
    start = next(number for number, row in enumerate(project.table()) if row[0] == "model")
    first, second, after = project.table()[start + 2 : start + 5]
    assert first == [
        "CNN, `make repro`", "`synthetic`", "`artist`", "0.750", "0.500-0.875",
        "79/16/1", "398 k", "-", "nothing",
    ]  # fmt: skip
    assert second[:4] == [
        "Singer",
        "`synthetic`",
        "`random`, **leaky**",
        f"{sum(drawn(0.6, 99, 0)) / 99:.3f}",
    ]
    assert second[5:] == ["99/33/1", "1.2 M", "-", "nothing"]
    assert after[0] == "question"


# ----------------------------------------------------------------------------------------------------
# Questions


def pairs(project: Project) -> list[list[str]]:
    found = project.table()
    start = next(number for number, row in enumerate(found) if row[:2] == ["question", "A"]) + 2
    return [row for row in found[start:] if len(row) == len(found[start - 2])]


def test_two_experiments_on_the_same_tracks_are_paired(project: Project) -> None:
    a, b = drawn(0.4, 120, 0), drawn(0.8, 120, 1)
    project.tested("songs", a)
    project.tested("question", b, leaky=0)
    invoke("collect")
    expected = difference(np.subtract(b, a, dtype=float), artists(120))
    first, second = pairs(project)
    assert first == [
        "Which is better?", "`songs`", "`question`", f"{np.mean(a):.3f}", f"{np.mean(b):.3f}",
        f"{expected.value:+.3f}", f"{expected.low:+.3f} to {expected.high:+.3f}", "< 0.001", "< 0.001", "yes",
        "1 seed", "120", "800", "1 / 0",
    ]  # fmt: skip
    assert second[0] == "And backwards?" and second[5] == f"{-expected.value:+.3f}"
    answer = next(row for row in project.table() if row[0] == "Which is better?")
    assert answer[1].startswith(
        f"**Yes**: the question was right on {np.mean(b):.3f} of the tracks, the song on {np.mean(a):.3f} "
        "(synthetic, random against artist)"
    )
    assert (
        f": {expected.value:+.3f}, 95 % interval over artists {expected.low:+.3f} to {expected.high:+.3f}, "
        in ("".join(project.pages()))
    )
    back = next(row for row in project.table() if row[0] == "And backwards?")
    assert back[1].startswith("**No, it is the reverse**: A was right on")


def test_two_test_sets_are_not_paired(project: Project) -> None:
    a, b = drawn(0.4, 99, 0), drawn(0.8, 40, 1)
    project.tested("songs", a)
    project.tested("question", b)
    invoke("collect")
    expected = unpaired(np.array(a), artists(99), np.array(b), artists(40))
    (first, *_) = pairs(project)
    assert first[6] == f"{expected.low:+.3f} to {expected.high:+.3f}" and first[9] == "no"
    assert first[11] == "99 / 40"


def test_seeds_of_both_experiments_are_compared_one_by_one(project: Project) -> None:
    file = YAML().load(entries.PATH)
    file["experiments"]["question"]["seeds"] = [0, 1]
    YAML().dump(file, entries.PATH)
    project.commit()
    right = {name: [drawn(0.6, 99, base + seed) for seed in range(3)] for name, base in
             [("songs", 0), ("question", 10)]}  # fmt: skip
    for name, number in [("songs", 3), ("question", 2)]:
        for seed in range(number):
            project.tested(name, right[name][seed], seed=seed)
    invoke("collect")
    (answer, *_) = pairs(project)
    means = {name: np.mean(of[:2]) for name, of in right.items()}  # of the seeds that both have
    assert answer[3:5] == [f"{means['songs']:.3f}", f"{means['question']:.3f}"]
    change = np.subtract(np.mean(right["question"][:2], axis=0), np.mean(right["songs"][:2], axis=0))
    expected = difference(change, artists(99))
    assert answer[6] == f"{expected.low:+.3f} to {expected.high:+.3f}"
    assert answer[10].endswith(", 2 seeds")


def test_a_pair_half_of_which_has_run_is_not_shown_and_its_question_is_open(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert "No pair has run." in project.pages()
    answer = next(row for row in project.table() if row[0] == "Which is better?")
    assert answer[1:] == ["**Open**: it has not run, and needs ImageNet's weights, gtzan_images.", *["-"] * 4]


def test_a_pair_without_kept_predictions_has_a_difference_and_no_verdict(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    project.ran("question", seed=0, num_correct=66)
    invoke("collect")
    (first, *_) = pairs(project)
    assert first[5:10] == ["+0.061", "-", "-", "-", "-"]
    answer = next(row for row in project.table() if row[0] == "Which is better?")
    assert answer[1] == (
        "**Not judged**: the question was right on 0.667 of the tracks, the song on 0.606 "
        "(synthetic, random against artist), but the records do not say on which."
    )


def test_a_difference_that_is_not_shown_says_what_would_have_stayed_unseen(project: Project) -> None:
    project.tested("songs", drawn(0.6, 99, 0))
    project.tested("question", drawn(0.6, 99, 1))
    invoke("collect")
    answer = next(row for row in project.table() if row[0] == "Which is better?")
    assert answer[1].startswith("**Not shown**") and "; a difference below 0." in answer[1]


def test_holms_correction_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for number in (1, 2, 7, 30):
        p_values = list(rng.random(number) ** 3)
        expected = multipletests(p_values, method="holm")[1]
        assert answers.holm(p_values) == pytest.approx(list(expected))
    assert answers.holm([]) == []


# ----------------------------------------------------------------------------------------------------
# Staleness


def test_a_clean_clone_writes_the_same_pages(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the experiments' references, which a clone does not bring."""
    project.tested("songs", drawn(0.6, 99, 0))
    invoke("collect")
    first = project.pages()
    assert project.pages() == first
    project.commit()
    project.git("clone", "--quiet", ".", "clone")
    monkeypatch.chdir(project.path / "clone")
    for path in Path("docs").rglob("*.md"):
        if "template" not in path.name:
            path.unlink()
    clone = Project.__new__(Project)
    clone.path = Path()
    assert clone.pages() == first


@pytest.mark.parametrize(("dotted", "value"), [("segments.duration", 3.0)])
def test_a_default_that_changed_since_makes_a_record_stale(project: Project, dotted: str, value: Any) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    assert project.row("songs")[5] == "0.606"
    before = entries.load()["songs"].params
    old = getattr(getattr(before, dotted.split(".")[0]), dotted.split(".")[1])
    project.set(dotted, value)
    assert project.row("songs")[2] == f"nothing; its record had {dotted} = {old}, now {value}"
    assert not [row for row in project.table() if row[0] == "`songs-s0`"]


def test_an_entry_that_changed_since_makes_a_record_stale(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    path = project.path / "experiments.yaml"
    path.write_text(path.read_text().replace("train.epochs: 2", "train.epochs: 4"))
    assert project.row("songs")[2] == "nothing; its record had train.epochs = 2, now 4"


def test_a_parameter_that_came_later_does_not_make_a_record_stale(project: Project) -> None:
    project.ran("songs", seed=0, num_correct=60)
    invoke("collect")
    path = records.path("songs")
    record = json.loads(path.read_text())
    del record["params"]["train.patience"]
    path.write_text(json.dumps(record))
    assert project.row("songs")[5] == "0.606"


# ----------------------------------------------------------------------------------------------------
# Bad input


def test_a_broken_record_is_one_sentence(project: Project, subtests: pytest.Subtests) -> None:
    for content in ("", "{", "[]", "{}", '{"runs": [{}], "params": {}}', '{"runs": []}'):
        with subtests.test(content=content):
            path = records.path("songs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            printed = invoke("table")
            assert printed.startswith(f"genrepro: {path}") and len(printed.splitlines()) == 1


def test_hits_that_do_not_belong_to_their_record_are_one_sentence(
    project: Project, subtests: pytest.Subtests
) -> None:
    project.tested("songs", drawn(0.6, 99, 0))
    invoke("collect")
    path = hits.path("songs")
    sound = path.read_text()
    for content in (
        "",
        "track_id,s0\na,1\n",
        sound.replace(",1\n", ",0\n", 1),
        sound.replace(",1\n", ",x\n"),
    ):
        with subtests.test(content=content[:20]):
            path.write_text(content)
            printed = invoke("table")
            assert printed == f"genrepro: {path} is not of songs's record: take both from git again.\n"


def test_a_record_of_no_experiment_is_one_sentence(project: Project) -> None:
    path = records.path("hymns")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert f"{path} is of no experiment in experiments.yaml" in invoke("table")


def test_a_template_that_loses_something_is_one_sentence(project: Project, subtests: pytest.Subtests) -> None:
    for template, words in [
        (TEMPLATE + "<!-- experiments: yours -->\n", "<!-- experiments: yours --> is unknown"),
        (TEMPLATE + "<!-- hymns: mine -->\n", "<!-- hymns: mine --> is unknown"),
        (TEMPLATE + "Good: <!-- accuracy: hymns -->\n", "<!-- accuracy: hymns --> is unknown"),
        (TEMPLATE.replace("<!-- questions -->", ""), "has <!-- questions -->: a part would be left out"),
        (TEMPLATE.replace("<!-- open -->", ""), "has <!-- open -->: a part would be left out"),
    ]:
        with subtests.test(words=words):
            (project.path / "docs" / "RESULTS.template.md").write_text(template)
            printed = invoke("table")
            assert printed.startswith("genrepro: ") and words in printed and len(printed.splitlines()) == 1
    (project.path / "docs" / "RESULTS.template.md").write_text(TEMPLATE)
    details = project.path / "docs" / "results" / "details.template.md"
    details.write_text(DETAILS.replace("<!-- experiments: asked -->", ""))
    assert "has <!-- experiments: asked -->: a part would be left out" in invoke("table")


def test_without_a_template_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenreproError, match="no template of a page: run from the repository root"):
        page.write()


def test_a_first_table_that_is_too_long_is_one_sentence(project: Project) -> None:
    project.tested("songs", drawn(0.6, 99, 0))
    invoke("collect")
    known = entries.load()
    found = measured.measure(known, records.read(known))
    many = {f"songs{number}": "Singer" for number in range(rows.MOST_IN_FRONT)}
    with pytest.raises(GenreproError, match="front lists more than 11 measured experiments"):
        rows.front(many, dict.fromkeys(many, found["songs"]))


# ----------------------------------------------------------------------------------------------------
# Rankings


def test_a_ranking_pairs_every_experiment_with_the_best_over_all_its_seeds(project: Project) -> None:
    right = [drawn(0.5, 60, seed) for seed in range(3)]
    for seed, of_seed in enumerate(right):
        project.tested("songs", of_seed, seed=seed)
    project.tested("question", drawn(0.9, 60, 7), seed=0)
    invoke("collect")
    known = entries.load()
    found = measured.measure(known, records.read(known))
    # The same data and split, as heads on one body have.
    same = dataclasses.replace(known["question"], params=known["songs"].params)
    leaky = {name: found[name].leaky for name in ("songs", "question")}
    assert len(set(leaky.values())) == 1
    found["question"] = dataclasses.replace(found["question"], experiment=same)
    lines = ranking.table([known["songs"], same], found)
    header, _, best, other = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    place = header.index("against the best")
    assert best[0] == "`question`" and best[place] == "the best"
    mean = np.mean(right, axis=0) - drawn(0.9, 60, 7)
    change = difference(mean, artists(60))
    expected = f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), p < 0.001"
    assert change.p_value < 0.001 and other[place] == expected


def test_other_data_or_splits_are_ranked_by_themselves(project: Project) -> None:
    project.tested("songs", drawn(0.5, 60, 0), seed=0)
    project.tested("question", drawn(0.9, 60, 7), seed=0)
    invoke("collect")
    known = entries.load()
    lines = ranking.table(list(known.values()), measured.measure(known, records.read(known)))
    assert [line.count("the best") for line in lines] == [1, 0, 1, 1]
