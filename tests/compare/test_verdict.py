"""Claims about the words: the sentence says what the numbers say, and no name breaks out of the Markdown."""

import re

import pytest
from markdown_it import MarkdownIt
from support.runs import pattern, run

from genrepro.compare import verdict
from genrepro.compare.pairs import Comparison, compare
from genrepro.compare.seeds import compare_seeds


def compared(*, confidence_b: float = 0.7, **counts: int) -> Comparison:
    right_a, right_b = pattern(**counts)
    return compare(
        run(right_a, name="main (1a2b3c4d)"), run(right_b, name="workspace", confidence=confidence_b)
    )


def page(comparison: Comparison) -> str:
    return MarkdownIt("commonmark").enable("table").render(verdict.markdown(verdict.report(comparison)))


def test_the_verdict(subtests: pytest.Subtests) -> None:
    for counts, sentence in [
        (
            {"both": 8, "neither": 2},
            "Nothing changed at all: the predictions are identical on all 10 tracks.",
        ),
        (
            {"both": 30, "gained": 6, "lost": 6, "neither": 8},
            "Nothing changed beyond noise in accuracy: B - A is +0.0 points [-13.8, +13.8], "
            "p = 1 over 50 tracks. A difference below 19.4 points would often be missed here.",
        ),
        (
            {"both": 70, "gained": 20, "lost": 4, "neither": 6},
            "B is better by 16.0 points [6.5, 25.5], p = 0.0014 over 100 tracks.",
        ),
        (
            {"both": 70, "gained": 4, "lost": 20, "neither": 6},
            "B is worse by 16.0 points [6.5, 25.5], p = 0.0012 over 100 tracks.",
        ),
        (
            {"both": 70, "gained": 5, "lost": 0, "neither": 5},
            "Nothing changed beyond noise in accuracy: B - A is +6.2 points [-0.0, +11.6], "
            "p = 0.0631 over 80 tracks. A difference below 7.6 points would often be missed here.",
        ),
    ]:
        with subtests.test(sentence=sentence):
            assert verdict.verdict(compared(**counts)) == sentence


def test_probabilities_may_become_better_where_no_track_does() -> None:
    assert verdict.verdict(compared(both=50, confidence_b=0.9)) == (
        "Nothing changed beyond noise in accuracy: B - A is +0.0 points [+0.0, +0.0], p = 1 over 50 tracks. "
        "Its probabilities did become better: log loss -0.251 [-0.251, -0.251]."
    )


def test_the_verdict_over_seeds(subtests: pytest.Subtests) -> None:
    for right_a, right_b, sentence in [
        (
            [40, 42, 45],
            [40, 42, 45],
            "Nothing changed at all: A and B are equally accurate in each of 3 seeds.",
        ),
        (
            [40, 42, 45],
            [41, 42, 44],
            "Nothing changed beyond noise in accuracy: B - A is +0.0 points [-4.1, +4.1], "
            "p = 1 (paired t-test, 3 seeds).",
        ),
        (
            [40, 42, 45],
            [50, 53, 54],
            "B is better by 16.7 points [12.5, 20.8], p = 0.00332 (paired t-test, 3 seeds).",
        ),
        (
            [30, 31],
            [31, 32],
            "Nothing changed beyond noise in accuracy: B - A is +1.7 points [+1.7, +1.7], "
            "p = 0.5 (Wilcoxon, 2 seeds).",
        ),
    ]:
        with subtests.test(sentence=sentence):
            runs = [
                [run([at < number for at in range(60)]) for number in right] for right in (right_a, right_b)
            ]
            assert verdict.seed_verdict(compare_seeds(*runs)) == sentence


def test_seeds_that_agree_on_too_few_tracks_say_so() -> None:
    """Four seeds find the same two tracks, of ten."""
    a = [run([True] * number + [False] * (10 - number)) for number in (5, 5, 5, 4)]
    b = [run([True] * number + [False] * (10 - number)) for number in (6, 6, 6, 6)]
    said = verdict.seed_verdict(compare_seeds(a, b))
    assert "better" in said and "too few to say it of others: the interval over artists is [-0.0" in said


def test_both_media_show_the_same_numbers() -> None:
    report = verdict.report(compared(both=70, gained=20, lost=4, neither=6))
    plain, marked = verdict.text(report), verdict.markdown(report)
    for words in (
        "main (1a2b3c4d)",
        "74.0 % [64.5, 81.7]",
        "90.0 %",
        "+16: 20 gained, 4 lost",
        "4 tracks became wrong",
    ):
        assert words in plain and words in marked, words


def test_the_markdown_is_a_sentence_tables_and_folded_flips() -> None:
    html = page(compared(both=70, gained=20, lost=4, neither=6))
    assert html.startswith("<p><strong>B is better by 16.0 points")
    assert html.count("<table>") == 4
    assert html.count("<details>") == html.count("</details>") == 2
    assert "| " not in re.sub(r"<[^>]*>", "", html)  # nothing was left undrawn
    assert verdict.markdown(verdict.report(compared(both=8, neither=2))).count("<details>") == 0


def test_few_flips_are_shown_and_all_are_counted() -> None:
    report = verdict.report(compared(both=70, gained=20, lost=4, neither=6))
    lost, gained = report.tables[-2:]
    assert (len(lost.rows), len(gained.rows)) == (4, 10)
    assert gained.title == "20 tracks became right, the 10 that moved most"


HOSTILE = [
    "a|b", "`code`", "<img src=x>", "[x](https://example.org)", "@everyone", "#1", "*b*", "__b__", "a\nb",
    "\\", "a\x1b[31m", " a ", "",
]  # fmt: skip


def compared_tracks_called(name: str) -> Comparison:
    right_a, right_b = pattern(both=4, gained=1, lost=1, neither=1)
    names = [f"{name}{number}" for number in range(7)]
    a, b = (run(right, name=name, track_id=names) for right in (right_a, right_b))
    return compare(a, b)


def test_no_name_breaks_out_of_its_cell(subtests: pytest.Subtests) -> None:
    for name in HOSTILE:
        with subtests.test(name=name):
            html, harmless = (page(compared_tracks_called(each)) for each in (name, "harmless"))
            tags = re.compile(r"</?[a-z]+")
            assert tags.findall(html) == tags.findall(harmless)
            shown = re.sub(
                r"<code>.*?</code>", "", html
            )  # GitHub makes no mention and no link of what is code
            assert shown == re.sub(r"<code>.*?</code>", "", harmless)


def test_no_name_controls_the_terminal() -> None:
    assert "\x1b" not in verdict.text(verdict.report(compared_tracks_called("a\x1b[31m")))
