"""Write docs/RESULTS.md, published beside measured, from its template, experiments.yaml and metrics/.

docs/RESULTS.template.md has the prose and marks on lines of their own, each within ``<!-- -->``. A mark
becomes a table: ``default``, the committed run. ``questions``, a row for each pair of experiments.
``experiments: GROUP``, a row for each experiment. ``runs: GROUP``, a row for each seed. ``sweeps: GROUP``, a
row for each grid. A row that is not measured yet says what it needs. Equal inputs give equal bytes.
"""

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genrepro.base import params
from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json, replacing
from genrepro.evaluate.intervals import newcombe, wilson_of_share
from genrepro.experiments.entries import Experiment, Published, Question
from genrepro.experiments.records import Record, Run, changes, fresh

TEMPLATE = Path("docs", "RESULTS.template.md")
TARGET = Path("docs", "RESULTS.md")
_MARK = re.compile(r"<!-- *(\w+)(?:: *([\w-]+))? *-->")
_WRITTEN_BY = (
    "<!-- Written by `genrepro experiment table`: edit docs/RESULTS.template.md and experiments.yaml. -->"
)
_UNKNOWN = "-"


def write(
    known: Mapping[str, Experiment], questions: Sequence[Question], records: Mapping[str, Record]
) -> None:
    """Write docs/RESULTS.md, see `render`."""
    if not TEMPLATE.is_file():
        raise GenreproError(f"{TEMPLATE} is missing: run from the repository root.")
    text = render(TEMPLATE.read_text("utf-8"), known, questions, records)
    with replacing(TARGET) as partial:
        partial.write_text(text, "utf-8")


def render(
    template: str,
    known: Mapping[str, Experiment],
    questions: Sequence[Question],
    records: Mapping[str, Record],
) -> str:
    """The template with its marks filled in.

    Raises
    ------
    GenreproError
        If a mark is unknown, or a group of experiments or the questions have no table.
    """
    shown: set[str] = set()
    groups = {experiment.group for experiment in known.values()}
    tables: dict[str, Callable[[list[Experiment]], list[str]]] = {
        "experiments": lambda chosen: experiments_table(chosen, records),
        "sweeps": lambda chosen: sweeps_table(chosen, records),
        "runs": lambda chosen: runs_table(chosen, records),
    }

    def filled(mark: re.Match[str]) -> list[str]:
        kind, group = mark.groups()
        if kind == "default" and group is None:
            return default_table()
        if kind == "questions" and group is None:
            shown.add(kind)
            return questions_table(questions, known, records)
        if kind not in tables or group not in groups:
            raise GenreproError(
                f"{TEMPLATE}: {mark.group()} is unknown; known are default, questions, and experiments, "
                f"sweeps or runs of {', '.join(sorted(groups))}."
            )
        if kind in ("experiments", "sweeps"):
            shown.add(f"experiments: {group}")
        return tables[kind]([experiment for experiment in known.values() if experiment.group == group])

    lines = [_WRITTEN_BY]
    for line in template.splitlines():
        mark = _MARK.fullmatch(line.strip())
        lines += filled(mark) if mark else [line]
    wanted = {f"experiments: {group}" for group in groups} | ({"questions"} if questions else set())
    for missing in sorted(wanted - shown):
        raise GenreproError(f"{TEMPLATE} has no <!-- {missing} -->: a part would be left out.")
    return "\n".join(lines) + "\n"


def experiments_table(chosen: Sequence[Experiment], records: Mapping[str, Record]) -> list[str]:
    """A row for each experiment: the published accuracy, if any has one, beside the measured one."""
    header, rows = ["experiment", "what", "source"], [[f"`{of.name}`", of.title, of.source] for of in chosen]
    if any(experiment.published for experiment in chosen):
        header += ["published", "95 % interval", "n"]
        rows = [row + _published(of.published) for row, of in zip(rows, chosen, strict=True)]
    header += ["measured", "spread over seeds", "95 % interval", "n", "split", "leaky"]
    return _table(
        header,
        [row + _measured(of, records.get(of.name)) for row, of in zip(rows, chosen, strict=True)],
    )


def runs_table(chosen: Sequence[Experiment], records: Mapping[str, Record]) -> list[str]:
    """A row for each recorded run, or a sentence if there is none."""
    rows = []
    for experiment in chosen:
        for run in fresh(experiment, records.get(experiment.name)):
            rows.append(
                [
                    f"`{experiment.run_name(run.seed)}`",
                    _share(run.accuracy),
                    _interval(run.accuracy_low, run.accuracy_high),
                    str(run.num_tracks),
                    _UNKNOWN if run.segment_accuracy is None else _share(run.segment_accuracy),
                    _sizes(run),
                    str(run.best_epoch),
                    str(run.leaky),
                ]
            )
    if not rows:
        return ["No run yet."]
    header = ["run", "accuracy", "95 % interval", "n", "by segment", "tracks", "kept epoch", "leaky"]
    return _table(header, rows)


def sweeps_table(chosen: Sequence[Experiment], records: Mapping[str, Record]) -> list[str]:
    """A row for each sweep: the published winner beside ours, and its selection optimism."""
    header = ["sweep", "what", "published", "95 % interval", "n", "seed", "winner", "validation", "test"]
    header += ["95 % interval", "n", "selection optimism", "split", "leaky"]
    rows = []
    for of in chosen:
        first = [f"`{of.name}`", of.title, *_published(of.published)]
        runs = fresh(of, records.get(of.name))
        if not runs:
            said, *_ = _measured(of, records.get(of.name))
            rows.append([*first, _UNKNOWN, said, *[_UNKNOWN] * 5, f"`{of.params.split.strategy}`", _UNKNOWN])
        for run in runs:
            best = run.winner
            assert best is not None, "a record of a sweep has its winner"
            cell = (
                f"rate {best.lr:g}, decay {best.weight_decay:g}, epoch {run.best_epoch}, of {best.num_cells}"
            )
            rows.append(
                [
                    *first,
                    str(run.seed),
                    cell,
                    _share(best.validation_accuracy),
                    _share(run.accuracy),
                    _interval(run.accuracy_low, run.accuracy_high),
                    str(run.num_tracks),
                    f"{best.selection_optimism:+.3f}",
                    f"`{of.params.split.strategy}` {_sizes(run)}",
                    str(run.leaky),
                ]
            )
    return _table(header, rows)


def default_table() -> list[str]:
    """The committed run of params.yaml."""
    config = params.load()
    test = read_json(Path("metrics", "test.json"))
    split = read_json(Path("metrics", "split.json"))
    row = [
        f"`{config.model}` on `{config.dataset}`",
        f"`{config.split.strategy}` {split['num_train']} / {split['num_validation']} / {split['num_test']}",
        _share(test["accuracy"]),
        _interval(test["accuracy_low"], test["accuracy_high"]),
        str(test["num_tracks"]),
        str(test["leaky"]),
    ]
    return _table(["default", "split", "accuracy", "95 % interval", "n", "leaky"], [row])


def questions_table(
    questions: Sequence[Question], known: Mapping[str, Experiment], records: Mapping[str, Record]
) -> list[str]:
    """A row for each pair of experiments: second minus first accuracy, over the seeds of both."""
    header = ["question", "A", "B", "accuracy of A", "of B", "B - A", "95 % interval"]
    header += ["seed by seed", "n", "trained on", "leaky"]
    rows: list[list[str]] = []
    for question in questions:
        for names in question.pairs:
            first, second = (fresh(known[name], records.get(name)) for name in names)
            seeds = {run.seed for run in first} & {run.seed for run in second}
            rows.append(
                [
                    question.asks if names is question.pairs[0] else "...",
                    *[f"`{name}`" for name in names],
                    *_difference(*([run for run in runs if run.seed in seeds] for runs in (first, second))),
                ]
            )
    return _table(header, rows)


def published_text(published: Published | None) -> str:
    """A published accuracy in one phrase: ``0.6263 [0.528, 0.715] of 99``."""
    if published is None:
        return "an open question"
    accuracy, interval, num_tracks = _published(published)
    return accuracy if published.num_tracks is None else f"{accuracy} [{interval}] of {num_tracks}"


def _published(published: Published | None) -> list[str]:
    """Accuracy as printed, interval, n."""
    if published is None:
        return [_UNKNOWN] * 3
    if published.num_tracks is None:
        return [f"{published.accuracy:.4f}", "n is not published", _UNKNOWN]
    interval = wilson_of_share(published.accuracy, published.num_tracks)
    return [f"{published.accuracy:.4f}", _interval(*interval), str(published.num_tracks)]


def _measured(experiment: Experiment, record: Record | None) -> list[str]:
    """Accuracy or why there is none, spread, interval, n, split, leak flag."""
    split = f"`{experiment.params.split.strategy}`"
    if experiment.params.split.folds:
        split += f" in {experiment.params.split.folds} folds"
    runs = fresh(experiment, record)
    if not runs:
        different = changes(record.params, experiment) if record else []
        needs = f": needs {', '.join(experiment.needs)}" if experiment.needs else ""
        stale = f"; measured with {'; '.join(different)}" if different else ""
        return [f"not run{needs}{stale}", *[_UNKNOWN] * 3, split, _UNKNOWN]
    accuracies = [run.accuracy for run in runs]
    mean = _mean(runs)
    spread = f"{len(runs)} of {len(experiment.seeds)} seeds"
    if len(runs) > 1:
        spread = f"{_interval(min(accuracies), max(accuracies))}, {spread}"
    sizes = {_sizes(run) for run in runs}
    split += f" {sizes.pop()}" if len(sizes) == 1 else ""
    if len(runs) > 1:
        split += ", one for all" if len({run.split_sha256 for run in runs}) == 1 else ", drawn by seed"
    num_tracks = sorted({run.num_tracks for run in runs})
    return [
        _share(mean),
        spread,
        _interval(*wilson_of_share(mean, num_tracks[0])),
        "-".join(map(str, {num_tracks[0]: None, num_tracks[-1]: None})),
        split,
        _flags(runs),
    ]


def _difference(first: Sequence[Run], second: Sequence[Run]) -> list[str]:
    """Both means, B - A with interval and spread, sizes and leak flags, of runs with the same seeds."""
    if not first:
        return [_UNKNOWN, _UNKNOWN, "not run", *[_UNKNOWN] * 5]
    both = (first, second)
    means, sizes = [_mean(runs) for runs in both], [min(run.num_tracks for run in runs) for runs in both]
    low, high = newcombe(means[0], sizes[0], means[1], sizes[1])
    steps = [after.accuracy - before.accuracy for before, after in zip(first, second, strict=True)]
    return [
        *map(_share, means),
        f"{means[1] - means[0]:+.3f}",
        f"{low:+.3f} to {high:+.3f}",
        "1 seed" if len(steps) == 1 else f"{min(steps):+.3f} to {max(steps):+.3f}, {len(steps)} seeds",
        " / ".join(map(str, dict.fromkeys(sizes))),
        " / ".join(map(str, dict.fromkeys(min(run.num_train for run in runs) for runs in both))),
        " / ".join(dict.fromkeys(map(_flags, both))),
    ]


def _flags(runs: Sequence[Run]) -> str:
    return "-".join(str(flag) for flag in sorted({run.leaky for run in runs}))


def _mean(runs: Sequence[Run]) -> float:
    return statistics.fmean(run.accuracy for run in runs)


def _sizes(run: Run) -> str:
    return f"{run.num_train} / {run.num_validation} / {run.num_test}"


def _share(value: float) -> str:
    return f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f}-{high:.3f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
