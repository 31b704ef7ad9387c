"""The tables of the results pages, as lines of Markdown. Every figure comes from records or metrics/."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genrepro.base import params
from genrepro.base.errors import GenreproError
from genrepro.base.files import read_json
from genrepro.evaluate.intervals import wilson_of_share
from genrepro.experiments import answers
from genrepro.experiments.answers import Answer
from genrepro.experiments.definitions import Experiment, Published, Question
from genrepro.experiments.measured import Measured
from genrepro.experiments.records import Record, Run, changes
from genrepro.figures.forest import Bar

UNKNOWN = "-"
MOST_IN_FRONT = 12
_INTERVAL = "95 % interval"


def front(labels: Mapping[str, str], found: Mapping[str, Measured]) -> tuple[list[str], list[Bar]]:
    """The first table, and its rows as bars of the figure: the committed run, then the chosen experiments.

    Only experiments whose interval over artists is known are shown.

    Raises
    ------
    GenreproError
        If more than `MOST_IN_FRONT` are to be shown.
    """
    header = ["model", "data", "split", "accuracy", _INTERVAL, "tracks / artists / seeds", "parameters"]
    header += ["training", "needs"]
    row, bar = _committed()
    rows, bars = [row], [bar]
    for name, label in labels.items():
        of = found.get(name)
        if of is None or of.interval is None:
            continue
        config = of.experiment.params
        split = _split_name(config.split.strategy, folds=config.split.folds, leaky=of.leaky != "0")
        rows.append(
            [
                label,
                f"`{config.dataset}`",
                split,
                share(of.accuracy),
                interval(*of.interval),
                f"{_span(*of.num_tracks)}/{of.num_groups}/{len(of.runs)}",
                UNKNOWN if of.num_parameters is None else _count(of.num_parameters),
                UNKNOWN if of.fit_seconds is None else _time(of.fit_seconds),
                _needs(of.experiment),
            ]
        )
        plain = f"{label}: {config.dataset}, {config.split.strategy}"
        plain += f" in {config.split.folds} folds" if config.split.folds else ""
        low, high = of.interval
        bars.append(Bar(label=plain, accuracy=of.accuracy, low=low, high=high, leaky=of.leaky != "0"))
    if len(rows) > MOST_IN_FRONT:
        raise GenreproError(
            f"experiments.yaml: front lists more than {MOST_IN_FRONT - 1} measured experiments."
        )
    return table(header, rows), bars


def in_short(
    questions: Sequence[Question], answered: Sequence[Sequence[Answer]], known: Mapping[str, Experiment]
) -> list[str]:
    """A row for each question: its answer in a sentence, the leading pair's difference and its surety."""
    header = ["question", "answer", "difference", _INTERVAL, "p (Holm)", "p alone"]
    rows = []
    for question, of in zip(questions, answered, strict=True):
        lead = next((pair for pair in of if pair.difference), None)
        rows.append([question.asks, answers.sentence(question, of, known), *_judged(lead)])
    return table(header, rows)


def pairs(questions: Sequence[Question], answered: Sequence[Sequence[Answer]]) -> list[str]:
    """A row for each pair that has run: both accuracies, the difference, and how sure it is."""
    header = ["question", "A", "B", "of A", "of B", "B - A", _INTERVAL, "p (Holm)", "p alone", "paired"]
    header += ["seed by seed", "tracks", "trained on", "leaky"]
    rows = []
    for question, of in zip(questions, answered, strict=True):
        asks = question.asks
        for pair in of:
            if pair.a is None or pair.b is None:
                continue
            both = (pair.a, pair.b)
            steps = [
                after.accuracy - before.accuracy
                for before, after in zip(pair.a.runs, pair.b.runs, strict=True)
            ]
            judged = _judged(pair)
            if pair.difference is None:
                judged[0] = f"{statistics.fmean(steps):+.3f}"
            spread = f"{min(steps):+.3f} to {max(steps):+.3f}, {len(steps)} seeds"
            rows.append(
                [
                    asks,
                    *(f"`{name}`" for name in pair.names),
                    *(share(side.accuracy) for side in both),
                    *judged,
                    UNKNOWN if pair.difference is None else "yes" if pair.paired else "no",
                    "1 seed" if len(steps) == 1 else spread,
                    " / ".join(dict.fromkeys(_span(*side.num_tracks) for side in both)),
                    " / ".join(dict.fromkeys(str(min(run.num_train for run in side.runs)) for side in both)),
                    " / ".join(dict.fromkeys(side.leaky for side in both)),
                ]
            )
            asks = "..."
    return table(header, rows) if rows else ["No pair has run."]


def experiments(
    chosen: Sequence[Experiment], found: Mapping[str, Measured], *, against: Mapping[str, str] | None = None
) -> list[str]:
    """A row for each measured experiment: the published accuracy, if any has one, beside the measured one.

    ``against`` has the words of a further column, ``against the best``, by name.
    """
    measured = [found[of.name] for of in chosen if of.name in found]
    if not measured:
        return ["None of these has run."]
    header = ["experiment", "what", "source"]
    rows = [[f"`{of.experiment.name}`", of.experiment.title, of.experiment.source] for of in measured]
    if any(of.experiment.published for of in measured):
        header += ["published", _INTERVAL, "n"]
        rows = [row + _published(of.experiment.published) for row, of in zip(rows, measured, strict=True)]
    header += ["accuracy", _INTERVAL, "spread over seeds", "tested on", "split", "leaky"]
    rows = [row + _measured(of) for row, of in zip(rows, measured, strict=True)]
    if against is not None:
        place = header.index("spread over seeds")
        header.insert(place, "against the best")
        for row, of in zip(rows, measured, strict=True):
            row.insert(place, against.get(of.experiment.name, UNKNOWN))
    return table(header, rows)


def runs(chosen: Sequence[Experiment], found: Mapping[str, Measured]) -> list[str]:
    """A row for each recorded run."""
    header = ["run", "accuracy", _INTERVAL, "n", "by segment", "tracks", "kept epoch", "leaky"]
    rows = [
        [
            f"`{of.experiment.name}-s{run.seed}`",
            share(run.accuracy),
            UNKNOWN if run.num_groups is None else interval(run.accuracy_low, run.accuracy_high),
            str(run.num_tracks),
            UNKNOWN if run.segment_accuracy is None else share(run.segment_accuracy),
            _sizes(run),
            str(run.best_epoch),
            str(run.leaky),
        ]
        for of in (found[of.name] for of in chosen if of.name in found)
        for run in of.runs
    ]
    return table(header, rows) if rows else ["No run yet."]


def sweeps(chosen: Sequence[Experiment], found: Mapping[str, Measured]) -> list[str]:
    """A row for each measured sweep: the published winner beside ours, and its selection optimism."""
    header = ["sweep", "what", "published", _INTERVAL, "n", "seed", "winner", "validation", "test"]
    header += ["n", "selection optimism", "split", "leaky"]
    rows = []
    for of in (found[of.name] for of in chosen if of.name in found):
        for run in of.runs:
            best = run.winner
            assert best is not None, "a record of a sweep has its winner"
            cell = (
                f"rate {best.lr:g}, decay {best.weight_decay:g}, epoch {run.best_epoch}, of {best.num_cells}"
            )
            rows.append(
                [
                    f"`{of.experiment.name}`",
                    of.experiment.title,
                    *_published(of.experiment.published),
                    str(run.seed),
                    cell,
                    share(best.validation_accuracy),
                    share(run.accuracy),
                    str(run.num_tracks),
                    f"{best.selection_optimism:+.3f}",
                    f"`{of.experiment.params.split.strategy}` {_sizes(run)}",
                    str(run.leaky),
                ]
            )
    return table(header, rows) if rows else ["None of these has run."]


def still_open(
    known: Mapping[str, Experiment], found: Mapping[str, Measured], records: Mapping[str, Record]
) -> list[str]:
    """A folded list of the experiments that have not run: what was published, and what a run needs."""
    rows = []
    for name, of in known.items():
        if name in found:
            continue
        different = changes(records[name].params, of) if name in records else []
        if name in records and not different and of.start is not None:
            different = [f"another {of.start.name} to begin with"]
        needs = ", ".join(of.needs) or "nothing"
        needs += f"; its record had {'; '.join(different)}" if different else ""
        rows.append([f"`{name}`", of.title, published_text(of.published), needs])
    if not rows:
        return ["Every experiment has run."]
    return [
        f"<details><summary>{len(rows)} of {len(known)} experiments have not run, most for want of data "
        "or weights.</summary>",
        "",
        *table(["experiment", "what", "published", "needs"], rows),
        "",
        "</details>",
    ]


def committed() -> list[str]:
    """The committed run of params.yaml, as a table."""
    row, _ = _committed()
    header = ["model", "data", "split", "accuracy", _INTERVAL, "tracks / artists / seeds", "parameters"]
    return table(header, [row[: len(header)]])


def published_text(published: Published | None) -> str:
    """A published accuracy in one phrase: ``0.6263 [0.528, 0.715] of 99``."""
    if published is None:
        return "an open question"
    accuracy, bounds, num_tracks = _published(published)
    return accuracy if published.num_tracks is None else f"{accuracy} [{bounds}] of {num_tracks}"


def share(value: float) -> str:
    return f"{value:.3f}"


def interval(low: float, high: float) -> str:
    return f"{low:.3f}-{high:.3f}"


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _committed() -> tuple[list[str], Bar]:
    config = params.load()
    test, split, train = (read_json(Path("metrics", f"{name}.json")) for name in ("test", "split", "train"))
    row = [
        f"{config.model.upper()}, `make repro`",
        f"`{config.dataset}`",
        _split_name(config.split.strategy, folds=0, leaky=bool(test["leaky"])),
        share(test["accuracy"]),
        interval(test["accuracy_low"], test["accuracy_high"]),
        f"{test['num_tracks']}/{test['num_groups']}/1",
        _count(train["num_parameters"]),
        UNKNOWN,
        "nothing" if config.dataset in ("synthetic", "composed") else "its data",
    ]
    bar = Bar(
        label=f"default: {config.dataset}, {config.split.strategy}",
        accuracy=test["accuracy"],
        low=test["accuracy_low"],
        high=test["accuracy_high"],
        leaky=bool(test["leaky"]),
    )
    assert split["num_test"] >= test["num_tracks"] or config.split.strategy == "segment"
    return row, bar


def _published(published: Published | None) -> list[str]:
    """Accuracy as printed, interval over tracks, n."""
    if published is None:
        return [UNKNOWN] * 3
    if published.num_tracks is None:
        return [f"{published.accuracy:.4f}", "n is not published", UNKNOWN]
    bounds = wilson_of_share(published.accuracy, published.num_tracks)
    return [f"{published.accuracy:.4f}", interval(*bounds), str(published.num_tracks)]


def _measured(of: Measured) -> list[str]:
    """Accuracy, interval, spread, test tracks, split, leak flag."""
    num_seeds = f"{len(of.runs)} of {len(of.experiment.seeds)} seeds"
    split = f"`{of.experiment.params.split.strategy}`"
    if of.experiment.params.split.folds:
        split += f" in {of.experiment.params.split.folds} folds"
    sizes = {_sizes(run) for run in of.runs}
    split += f" {sizes.pop()}" if len(sizes) == 1 else ""
    if len(of.runs) > 1:
        split += ", one for all" if len({run.split_sha256 for run in of.runs}) == 1 else ", drawn by seed"
    tested = f"{_span(*of.num_tracks)} tracks"
    tested += "" if of.num_groups is None else f", {of.num_groups} artists"
    return [
        share(of.accuracy),
        UNKNOWN if of.interval is None else interval(*of.interval),
        num_seeds if of.spread is None else f"{interval(*of.spread)}, {num_seeds}",
        tested,
        split,
        of.leaky,
    ]


def _judged(of: Answer | None) -> list[str]:
    """Difference, interval, both p values."""
    if of is None or of.difference is None or of.p_holm is None:
        return [UNKNOWN] * 4
    change = of.difference
    return [
        f"{change.value:+.3f}",
        f"{change.low:+.3f} to {change.high:+.3f}",
        p_value(of.p_holm),
        p_value(change.p_value),
    ]


def _split_name(strategy: str, *, folds: int, leaky: bool) -> str:
    name = f"`{strategy}`" + (f" in {folds} folds" if folds else "")
    return f"{name}, **leaky**" if leaky else name


def _needs(of: Experiment) -> str:
    """The inputs that a run needs and the project lacks, in short. The data has a column of its own."""
    short = [
        "its data" if need == of.params.dataset
        else "embeddings" if need.endswith(".parquet")
        else need.rpartition("/")[2]
        for need in of.needs
    ]  # fmt: skip
    return ", ".join(short) or "nothing"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _sizes(run: Run) -> str:
    return f"{run.num_train} / {run.num_validation} / {run.num_test}"


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.0f} k"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
