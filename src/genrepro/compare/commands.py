"""`genrepro compare`."""

from typing import Annotated

import typer

from genrepro.compare import pairs, revisions, seeds, verdict

_A = Annotated[
    str, typer.Argument(metavar="A", help="Baseline: a git revision, experiment, predictions.csv.")
]
_B = Annotated[
    str, typer.Argument(metavar="B", help="Candidate; runs over seeds: A and B as a1,a2,a3 b1,b2,b3.")
]
_Md = Annotated[bool, typer.Option("--md", help="Markdown for a pull request.")]


def compare(a: _A, b: _B = "workspace", md: _Md = False) -> None:
    """Is B better than A, or is it noise? From metrics/predictions.csv in git, without cache or checkout."""
    runs_a, runs_b = ([revisions.read(name) for name in names.split(",")] for names in (a, b))
    if len(runs_a) == len(runs_b) == 1:
        report = verdict.report(pairs.compare(runs_a[0], runs_b[0]))
    else:
        report = verdict.seed_report(seeds.compare_seeds(runs_a, runs_b))
    print(verdict.markdown(report) if md else verdict.text(report), end="")
