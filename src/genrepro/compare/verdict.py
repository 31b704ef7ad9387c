"""Report a comparison in words, first in one sentence, then in detail, for a terminal or a pull request.

Users choose the names of tracks, genres and revisions. In Markdown each name is therefore code, so that it
cannot break a table, become a link, or mention a person.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from genrepro.base.errors import one_line
from genrepro.compare.pairs import SIGNIFICANCE, Comparison, Flip
from genrepro.compare.seeds import SeedComparison
from genrepro.evaluate.intervals import POWER, Difference

_MAX_FLIPS = 10  # listed of each kind, the others are counted
_TEST_SETS = {
    "drawn by seed": "Every seed drew its own test set, shared by A and B: only accuracies are compared. "
    "Such test sets overlap, which makes the p values too small (Nadeau and Bengio 2003).",
    "different": "A and B were tested on different tracks: only accuracies are compared, and part of the "
    "difference may be the tracks'.",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a report."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    names: frozenset[int] = frozenset({0})
    """Columns that hold names given by users."""
    folded: bool = False
    """Whether to show it on request only, in Markdown."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The contents of a report, the same for terminal and Markdown."""

    verdict: str
    names: tuple[str, ...]
    """Names of A and B. Empty if a table has them."""
    tables: list[Table]
    notes: list[str]


def verdict(comparison: Comparison) -> str:
    """The answer in one sentence. A second one if only the probabilities changed."""
    change = comparison.accuracy
    if comparison.identical:
        return f"Nothing changed at all: the predictions are identical on all {comparison.num_tracks} tracks."
    if not comparison.beyond_noise:
        said = (
            f"Nothing changed beyond noise in accuracy: B - A is {_signed_points(change)}, "
            f"{_p(change.p_value)} over {_tested(comparison)}."
        )
        if change.smallest:
            said += f" A difference below {100 * change.smallest:.1f} points would often be missed here."
        if not comparison.log_loss.includes_zero:
            better = "better" if comparison.log_loss.value < 0 else "worse"
            said += f" Its probabilities did become {better}: log loss {_signed(comparison.log_loss)}."
        return said
    return f"B is {_better(change)}, {_p(change.p_value)} over {_tested(comparison)}."


def seed_verdict(comparison: SeedComparison) -> str:
    """The answer over seeds in one sentence. A second one if there are too few test tracks."""
    num_seeds = len(comparison.accuracy_a)
    t_p_value = comparison.t_p_value
    over_seeds = comparison.difference, comparison.low, comparison.high
    if (comparison.accuracy_a == comparison.accuracy_b).all():
        return f"Nothing changed at all: A and B are equally accurate in each of {num_seeds} seeds."
    test = (
        f"{_p(comparison.wilcoxon_p_value)} (Wilcoxon"
        if t_p_value is None
        else f"{_p(t_p_value)} (paired t-test"
    )
    test += f", {num_seeds} seeds)"
    if not comparison.beyond_noise:
        return f"Nothing changed beyond noise in accuracy: B - A is {_points(*over_seeds)}, {test}."
    said = f"B is {_better_by(*over_seeds)}, {test}."
    if comparison.over_groups and comparison.over_groups.includes_zero:
        change = comparison.over_groups
        said += (
            f" That holds of these {comparison.num_tracks} tracks; they are too few to say it of others: "
            f"the interval over artists is {_bounds(change.low, change.high)}."
        )
    return said


def report(comparison: Comparison) -> Report:
    """The report on two runs."""
    a, b = comparison.a, comparison.b
    num_gained, num_lost = len(comparison.gained), len(comparison.lost)
    scores: list[tuple[str, ...]] = [
        ("accuracy", _share(a.accuracy, a.low, a.high), _share(b.accuracy, b.low, b.high),
         _signed_points(comparison.accuracy)),
        (f"right of {comparison.num_tracks}", f"{a.num_correct}", f"{b.num_correct}",
         f"{b.num_correct - a.num_correct:+d}: {num_gained} gained, {num_lost} lost"),
        ("log loss", f"{a.log_loss:.3f}", f"{b.log_loss:.3f}", _signed(comparison.log_loss)),
        ("calibration error", f"{a.calibration_error:.3f}", f"{b.calibration_error:.3f}",
         f"{b.calibration_error - a.calibration_error:+.3f}"),
    ]  # fmt: skip
    tables = [Table(title="", header=("", "A", "B", "B - A"), rows=scores, names=frozenset())]
    changed = [genre for genre in comparison.genres if genre.gained or genre.lost]
    if changed:
        rows = [
            (g.genre, f"{g.num_tracks}", f"{g.correct_a}", f"{g.correct_b}", f"{g.gained}", f"{g.lost}")
            for g in changed
        ]
        tables.append(
            Table(
                title=f"{len(changed)} of {len(comparison.genres)} genres changed",
                header=("genre", "tracks", "right in A", "right in B", "gained", "lost"),
                rows=rows,
            )
        )
    tables += _flip_tables("became wrong", comparison.lost) + _flip_tables("became right", comparison.gained)
    notes = [
        "Brackets: 95 %, over groups of tracks: those of one artist and copies of one recording are right or "
        f"wrong together. The test flips the signs of whole groups: {_p(comparison.accuracy.p_value)} "
        f"for {num_gained} gained against {num_lost} lost. Both get wrong, each in its own way: "
        f"{comparison.num_otherwise_wrong}.",
        "This is the noise of the test tracks. What another seed would change, several runs show: "
        "`genrepro compare a1,a2,a3 b1,b2,b3`.",
    ]
    if comparison.accuracy.smallest:
        notes.insert(
            1,
            f"The smallest difference that these tracks would show {100 * POWER:.0f} % of the time is "
            f"{100 * comparison.accuracy.smallest:.1f} points.",
        )
    if comparison.num_groups is None:
        notes.insert(
            1,
            "Neither table names artists, so each track counts by itself and the intervals are too narrow: "
            "`dvc repro` writes the column `group`.",
        )
    if comparison.identical:
        notes = []
    return Report(verdict=verdict(comparison), names=(a.name, b.name), tables=tables, notes=notes)


def seed_report(comparison: SeedComparison) -> Report:
    """The report on runs over seeds."""
    num_seeds = len(comparison.accuracy_a)
    differences = comparison.accuracy_b - comparison.accuracy_a
    summary = [
        (name, f"{100 * values.mean():{sign}.1f}", f"{100 * values.std(ddof=1):.1f}",
         f"{100 * values.min():{sign}.1f} to {100 * values.max():{sign}.1f}")
        for name, values, sign in (
            ("A", comparison.accuracy_a, ""), ("B", comparison.accuracy_b, ""), ("B - A", differences, "+")
        )
    ]  # fmt: skip
    rows = [
        (a, f"{100 * x:.1f}", b, f"{100 * y:.1f}", f"{100 * (y - x):+.1f}")
        for a, x, b, y in zip(
            comparison.names_a, comparison.accuracy_a, comparison.names_b, comparison.accuracy_b, strict=True
        )
    ]
    tables = [
        Table(
            title="",
            header=("accuracy in %", "mean", "standard deviation", "range"),
            rows=summary,
            names=frozenset(),
        ),
        Table(
            title="Pairs",
            header=("A", "%", "B", "%", "B - A"),
            rows=rows,
            names=frozenset({0, 2}),
            folded=True,
        ),
    ]
    wilcoxon = f"Wilcoxon's signed ranks: {_p(comparison.wilcoxon_p_value)}"
    if 2 ** (1 - num_seeds) >= SIGNIFICANCE:
        wilcoxon += f", which with {num_seeds} seeds cannot fall below {2 ** (1 - num_seeds):.3g}"
    t_test = (
        "The differences are all equal, so the t-test has no spread to go by."
        if comparison.t_p_value is None
        else f"Paired t-test: {_p(comparison.t_p_value)}; over seeds, B - A is "
        f"{_points(comparison.difference, comparison.low, comparison.high)} (95 %, Student's t)."
    )
    notes = [f"{t_test} {wilcoxon}."]
    if comparison.over_groups:
        notes.append(
            f"Every run was tested on the same {comparison.num_tracks} tracks. Over their artists, B - A is "
            f"{_signed_points(comparison.over_groups)} (95 %)."
        )
    else:
        notes.append(_TEST_SETS[comparison.test_sets])
    return Report(verdict=seed_verdict(comparison), names=(), tables=tables, notes=notes)


def markdown(report: Report) -> str:
    """The report as Markdown for a pull request, ending with a line feed."""
    parts = [f"**{report.verdict}**"]
    if report.names:
        parts.append("A is {}, the baseline; B is {}.".format(*map(_code, report.names)))
    for table in report.tables:
        lines = ["| " + " | ".join(table.header) + " |", "|" + " --- |" * len(table.header)]
        for row in table.rows:
            cells = [_code(cell) if at in table.names else cell for at, cell in enumerate(row)]
            lines.append("| " + " | ".join(cells) + " |")
        drawn = "\n".join(lines)
        if table.folded:
            drawn = f"<details><summary>{table.title}</summary>\n\n{drawn}\n\n</details>"
        elif table.title:
            drawn = f"{table.title}:\n\n{drawn}"
        parts.append(drawn)
    return "\n\n".join([*parts, *report.notes]) + "\n"


def text(report: Report) -> str:
    """The report as text for a terminal, ending with a line feed."""
    parts = [report.verdict]
    if report.names:
        parts.append("A is {}, the baseline; B is {}.".format(*map(_printable, report.names)))
    for table in report.tables:
        grid = [table.header, *table.rows]
        grid = [tuple(map(_printable, row)) for row in grid]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in grid
        ]
        parts.append("\n".join([f"{table.title}:"] * bool(table.title) + [f"  {line}" for line in lines]))
    return "\n\n".join([*parts, *report.notes]) + "\n"


def _flip_tables(what: str, flips: Sequence[Flip]) -> list[Table]:
    if not flips:
        return []
    rows = [
        (
            one_line(flip.track_id),
            flip.genre,
            flip.predicted_a,
            flip.predicted_b,
            f"{flip.true_a:.2f} to {flip.true_b:.2f}",
        )
        for flip in flips[:_MAX_FLIPS]
    ]
    title = f"{len(flips)} {'track' if len(flips) == 1 else 'tracks'} {what}"
    if len(flips) > _MAX_FLIPS:
        title += f", the {_MAX_FLIPS} that moved most"
    header = ("track", "genre", "A says", "B says", "probability of the true genre")
    return [Table(title=title, header=header, rows=rows, names=frozenset(range(4)), folded=True)]


def _share(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _tested(comparison: Comparison) -> str:
    """``80 tracks of 40 artists``."""
    of = "" if comparison.num_groups is None else f" of {comparison.num_groups} artists"
    return f"{comparison.num_tracks} tracks{of}"


def _bounds(low: float, high: float) -> str:
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points {_bounds(low, high)}"


def _signed_points(change: Difference) -> str:
    return _points(change.value, max(-1.0, change.low), min(1.0, change.high))


def _signed(change: Difference) -> str:
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def _better(change: Difference) -> str:
    return _better_by(change.value, change.low, change.high)


def _better_by(value: float, low: float, high: float) -> str:
    """A change that is not zero, with its interval turned so that more of it is a larger number."""
    sign = 1 if value > 0 else -1
    low, high = sorted((100 * sign * low, 100 * sign * high))
    return f"{'better' if sign > 0 else 'worse'} by {100 * abs(value):.1f} points [{low:.1f}, {high:.1f}]"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3g}"


def _code(name: str) -> str:
    """A name as code. Characters that could end the code, the cell or the line become entities."""
    if re.fullmatch(r"[\w.\-+/()=]([\w.\-+/()= ]*[\w.\-+/()=])?", name):
        return f"`{name}`"
    return "<code>" + re.sub(r"[^\w .-]|_", lambda found: f"&#{ord(found[0])};", _printable(name)) + "</code>"


def _printable(name: str) -> str:
    """A name with ? for line breaks and terminal codes."""
    return "".join(character if character.isprintable() else "?" for character in name)
