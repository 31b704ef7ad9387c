"""`genrepro experiment` and `genrepro sweep`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from genrepro.base.errors import GenreproError
from genrepro.experiments import cells, collection, entries, figures, launch, page, records, rows

experiment = typer.Typer(no_args_is_help=True, help="Named experiments of experiments.yaml.")

_Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or patterns, as in 'images-*'.")]
_AnyNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...]", help="Names or patterns; default: all.")
]
_Queue = Annotated[bool, typer.Option("--queue", help="Into DVC's queue; `dvc queue start` runs it.")]
_Set = Annotated[list[str] | None, typer.Option("--set-param", "-S", help="key=value of params.yaml.")]
_Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this one of its seeds.")]
_Data = Annotated[
    Path | None, typer.Option(envvar="GENREPRO_DATA", help="Folder with data sets under their names.")
]
_Again = Annotated[bool, typer.Option("--again", help="Also what has run, every stage of it.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands of DVC and run nothing.")]


@experiment.command("list")
def list_experiments(names: _AnyNames = None) -> None:
    """What each experiment reproduces, and the published figure with its interval."""
    for chosen in entries.select(entries.load(), names or ["*"]):
        print(f"{chosen.name}: {chosen.title}")
        print(f"  {chosen.source}: {rows.published_text(chosen.published)}")
        if chosen.start is not None:
            print(f"  begins with {chosen.start.name}: {chosen.start.title}")


@experiment.command("run")
def run_experiments(
    names: _Names,
    queue: _Queue = False,
    set_param: _Set = None,
    seed: _Seeds = None,
    data: _Data = None,
    again: _Again = False,
    dry_run: _DryRun = False,
) -> None:
    """Run NAME... with DVC, a run for each seed; what is recorded, queued or run already is left out.

    What an experiment begins with runs before it, as its own entry says, if it has not run yet.
    """
    num_failed = 0
    known = entries.load()
    chosen = entries.select(known, names)
    # All commands first: nothing runs if one of them cannot.
    planned = list(
        launch.commands(chosen, queue=queue, seeds=seed or (), extra=set_param or (), data=data, again=again)
    )
    if not planned:
        raise GenreproError("none of these experiments has such a seed.")
    launch.check_workspace()
    first = launch.starts(chosen, queue=queue, seeds=seed or (), data=data)
    planned = [*first.items(), *((name, command) for name, command in planned if name not in first)]
    if data is not None:  # where a stage looks for weights and embeddings
        os.environ["GENREPRO_DATA"] = str(data.resolve())
    standing = {} if again else launch.standing(chosen, records.read(known))
    for name, command in planned:
        if name in standing:
            print(f"{name} {standing[name]}.", file=sys.stderr)
        elif dry_run:
            print(shlex.join(command))
        elif not launch.run(command):
            num_failed += 1
    if num_failed:
        sys.exit(f"genrepro: {num_failed} of {len(planned)} runs failed; DVC says why above.")


@experiment.command("collect")
def collect_experiments(names: _AnyNames = None) -> None:
    """Record below metrics/experiments/ what DVC's experiments gave."""
    known = entries.load()
    chosen = entries.select(known, names or ["*"])
    taken, refused = collection.collect(chosen)
    print(f"{len(taken)} runs recorded")
    found = records.read(known)
    for of in (of for of in chosen if of.params.split.folds):
        for run in records.fresh(of, found):
            print(
                f"  {of.run_name(run.seed)}: accuracy {run.accuracy:.3f} [{run.accuracy_low:.3f}, "
                f"{run.accuracy_high:.3f}] on {run.num_tracks} tracks of {run.num_groups} groups, "
                f"over {len(run.folds)} folds"
            )
    for sentence in refused:
        print(f"genrepro: {sentence}", file=sys.stderr)
    if refused:
        sys.exit(1)


@experiment.command("table")
def write_table() -> None:
    """Write docs/RESULTS.md and docs/results/ from what is recorded: published beside measured."""
    for path in page.write():
        print(path)


_Output = Annotated[Path, typer.Option(help="Folder for them.")]


@experiment.command("figures")
def draw_figures(output: _Output = Path("docs", "figures")) -> None:
    """Draw accuracy by training tracks, of what is recorded, and learning curves, of runs in this clone."""
    known = entries.load()
    written, missing = figures.write(known, records.read(known), folder=output)
    for path in written:
        print(path)
    if missing:
        print(f"genrepro: {missing}", file=sys.stderr)


sweep = typer.Typer(no_args_is_help=True, help="The cells of sweeps/params.yaml's grid as experiments.")

_By = Annotated[str, typer.Option(help="Of validation: loss or accuracy.")]
_Revision = Annotated[
    str | None, typer.Argument(metavar="[REV]", help="Revision or experiment with a sweep.")
]


@sweep.command("best")
def best_of_sweep(revision: _Revision = None, by: _By = "loss") -> None:
    """The winner of a sweep, and the command that runs it alone."""
    winner, command = cells.best(by, revision)
    print(
        f"# epoch {winner['epoch']}: validation accuracy {winner['validation_accuracy']:.3f}, "
        f"test {winner['test_accuracy']:.3f} [{winner['test_accuracy_low']:.3f}, "
        f"{winner['test_accuracy_high']:.3f}], selection optimism {winner['selection_optimism']:+.3f}"
    )
    print(shlex.join(command))


@sweep.command("queue")
def queue_sweep(dry_run: _DryRun = False) -> None:
    """Put every cell into DVC's queue, an experiment each: for models that have no frozen body."""
    command = cells.current_queue()
    if dry_run:
        print(shlex.join(command))
    elif not launch.run(command):
        sys.exit("genrepro: nothing was queued; DVC says why above.")
