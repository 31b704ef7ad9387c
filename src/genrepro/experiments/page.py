"""Write docs/RESULTS.md and docs/results/ from their templates, experiments.yaml and what is recorded.

A template ``docs/NAME.template.md`` has the prose of the page ``docs/NAME.md`` and marks, each within ``<!--
-->``. A mark on a line of its own becomes a table: ``front`` (the first one), ``default`` (the committed
run), ``questions`` (their answers in short), ``pairs`` (every pair of experiments behind them),
``experiments: GROUP``, ``ranking: GROUP`` (the same by accuracy, each against the best), ``runs: GROUP``,
``sweeps: GROUP``, ``open`` (what has not run). A mark within a line
becomes words: ``answer: QUESTION``, ``accuracy: EXPERIMENT``. Equal inputs give equal bytes.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from genrepro.base.errors import GenreproError
from genrepro.base.files import replacing
from genrepro.experiments import answers, entries, measured, ranking, rows
from genrepro.experiments import records as recorded
from genrepro.experiments.definitions import Experiment
from genrepro.figures import plotting
from genrepro.figures.forest import accuracies

DOCS = Path("docs")
FIGURE = DOCS / "figures" / "accuracies.png"
_ENDING = ".template.md"
_MARK = re.compile(r"<!-- *(\w+)(?:: *([\w.-]+))? *-->")
_WRITTEN_BY = "<!-- Written by `genrepro experiment table`: edit {} and experiments.yaml. -->"
_ABOUT = "Dots: means over seeds. Lines: 95 % intervals over artists, of the tracks that were tested."


def write() -> list[Path]:
    """Write all pages and their figure. Returns their paths."""
    pages, bars = render()
    for path, text in pages.items():
        with replacing(path) as partial:
            partial.write_text(text, "utf-8", newline="\n")
    plotting.save(accuracies(bars, about=_ABOUT), FIGURE, dpi=plotting.DPI)
    return [*pages, FIGURE]


def render() -> tuple[dict[Path, str], list[rows.Bar]]:
    """The text of every page by its path, and the rows of the figure.

    Raises
    ------
    GenreproError
        If a template has an unknown mark, or if no template shows a group of experiments, the questions, or
        what has not run.
    """
    templates = sorted(DOCS.rglob(f"*{_ENDING}"))
    if not templates:
        raise GenreproError(f"{DOCS}/ has no template of a page: run from the repository root.")
    known = entries.load()
    filler = _Filler(known, recorded.read(known))
    pages = {}
    for template in templates:
        name = template.name.removesuffix(_ENDING)
        lines = [_WRITTEN_BY.format(template.as_posix())]
        for line in template.read_text("utf-8").splitlines():
            mark = _MARK.fullmatch(line.strip())
            lines += filler.block(mark, template) if mark else [filler.words(line, template)]
        pages[template.with_name(f"{name}.md")] = "\n".join(lines) + "\n"
    filler.check()
    return pages, filler.bars


class _Filler:
    """What the marks stand for, and which of them occurred."""

    def __init__(self, known: Mapping[str, Experiment], records: Mapping[str, recorded.Record]) -> None:
        self.known = known
        self.found = measured.measure(known, records)
        self.questions = entries.questions(known)
        self.answered = answers.answer(self.questions, self.found)
        front, self.bars = rows.front(entries.front(known), self.found)
        self.whole = {
            "front": front,
            "default": rows.committed(),
            "questions": rows.in_short(self.questions, self.answered, known),
            "pairs": rows.pairs(self.questions, self.answered),
            "open": rows.still_open(known, self.found, records),
        }
        self.of_group: dict[str, Callable[..., list[str]]] = {
            "experiments": rows.experiments,
            "ranking": ranking.table,
            "sweeps": rows.sweeps,
            "runs": rows.runs,
        }
        self.groups = {of.group: [each for each in known.values() if each.group == of.group]
                       for of in known.values()}  # fmt: skip
        self.shown: set[str] = set()

    def block(self, mark: re.Match[str], template: Path) -> list[str]:
        """The lines of a table."""
        kind, group = mark.groups()
        if kind in self.whole and group is None:
            self.shown.add(kind)
            return self.whole[kind]
        if kind in self.of_group and group in self.groups:
            self.shown.add(group)
            return self.of_group[kind](self.groups[group], self.found)
        return [self.words(mark[0], template)]

    def words(self, line: str, template: Path) -> str:
        """A line with the marks in it replaced."""
        return _MARK.sub(lambda mark: self._phrase(mark, template), line)

    def check(self) -> None:
        """Raise GenreproError if something stands on no page."""
        wanted = set(self.groups) | {"front", "open"} | ({"questions", "pairs"} if self.questions else set())
        for missing in sorted(wanted - self.shown):
            mark = f"experiments: {missing}" if missing in self.groups else missing
            raise GenreproError(f"no template in {DOCS}/ has <!-- {mark} -->: a part would be left out.")

    def _phrase(self, mark: re.Match[str], template: Path) -> str:
        kind, name = mark.groups()
        for question, of in zip(self.questions, self.answered, strict=True):
            if kind == "answer" and name == question.name:
                return answers.sentence(question, of, self.known, alone=True)
        if kind == "accuracy" and name in self.known:
            found = self.found.get(name)
            if found is None or found.interval is None:
                return "(not measured yet)"
            return f"{found.accuracy:.3f} ({rows.interval(*found.interval)})"
        raise GenreproError(
            f"{template}: {mark[0]} is unknown; known are {', '.join(self.whole)}, experiments, ranking, "
            f"sweeps or runs of {', '.join(sorted(self.groups))}, answer of a question and accuracy of an "
            "experiment."
        )
