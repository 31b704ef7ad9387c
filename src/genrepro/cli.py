"""The command `genrepro`: what a person does with a trained pipeline, beside `dvc`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genrepro.errors import GenreproError
from genrepro.numerics import pin

if TYPE_CHECKING:
    from genrepro.prediction import Prediction

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Music genre recognition: a fixed, leak-free pipeline on DVC."""
    pin()


_Files = Annotated[list[Path], typer.Argument(help="Audio, or pictures if the model was trained on them.")]
_Model = Annotated[Path, typer.Option(help="Folder with model.safetensors and model.json.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of the three likeliest.")]


@app.command()
def predict(files: _Files, model: _Model = Path("models"), as_json: _Json = False) -> None:
    """Genre probabilities of FILES and, indented, of each stretch of them.

    A file that cannot be read is reported and the rest is done.
    """
    try:
        from genrepro.prediction import Predictor

        predictor = Predictor(model)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    num_failed = 0
    for path in files:
        try:
            prediction = predictor(path)
        except GenreproError as error:
            num_failed += 1
            print(f"genrepro: {error}", file=sys.stderr)
            continue
        print(json.dumps({"file": str(path), **asdict(prediction)}) if as_json else _text(path, prediction))
    if num_failed:
        sys.exit(1)


_Name = Annotated[str, typer.Option(help="Name in MLflow's registry.")]
_Version = Annotated[str, typer.Option(help="A number, or latest.")]
_Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.")]
_Port = Annotated[int, typer.Option(min=1, max=65535)]


@app.command()
def register(model: _Model = Path("models"), name: _Name = "genrepro") -> None:
    """Log the trained model to MLflow and register it under a name; the same weights once."""
    from genrepro import registry

    try:
        version = registry.register(model, name=name)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(f"{name} version {version.number}{'' if version.new else ', as before'}: {version.text()}")
    print(f"genrepro serve --name {name} --version {version.number}")


@app.command()
def serve(
    name: _Name = "genrepro", version: _Version = "latest", host: _Host = "127.0.0.1", port: _Port = 5001
) -> None:
    """Serve a registered model over HTTP by `mlflow models serve`, until Ctrl-C."""
    from genrepro import registry, serving

    try:
        serving.check_address(host, port)
        found = registry.find(name, version)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(f"{name} version {found.number}: POST to http://{host}:{port}/invocations", flush=True)
    if not serving.run(found, host=host, port=port):
        sys.exit("genrepro: the server ended by itself; MLflow says why above.")


_A = Annotated[
    str, typer.Argument(metavar="A", help="Baseline: a git revision, experiment, predictions.csv.")
]
_B = Annotated[
    str, typer.Argument(metavar="B", help="Candidate; runs over seeds: A and B as a1,a2,a3 b1,b2,b3.")
]
_Md = Annotated[bool, typer.Option("--md", help="Markdown for a pull request.")]


@app.command()
def compare(a: _A, b: _B = "workspace", md: _Md = False) -> None:
    """Is B better than A, or is it noise? From metrics/predictions.csv in git, without cache or checkout."""
    from genrepro import comparison, revisions, seeds, verdict

    try:
        runs_a, runs_b = ([revisions.read(name) for name in names.split(",")] for names in (a, b))
        if len(runs_a) == len(runs_b) == 1:
            report = verdict.report(comparison.compare(runs_a[0], runs_b[0]))
        else:
            report = verdict.seed_report(seeds.compare_seeds(runs_a, runs_b))
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(verdict.markdown(report) if md else verdict.text(report), end="")


def _text(path: Path, prediction: "Prediction") -> str:
    """The three likeliest genres of the track, and below them those of each window, at whole seconds."""
    lines = [f"{path}: {_likeliest(prediction.probabilities)}"]
    for window in prediction.over_time:
        start, duration = round(window.start), max(1, round(window.end - window.start))
        lines.append(f"  {_clock(start)}-{_clock(start + duration)} {_likeliest(window.probabilities)}")
    return "\n".join(lines)


def _likeliest(probabilities: dict[str, float]) -> str:
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{genre} {value:.2f}" for genre, value in ranked)


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d}"


experiment = typer.Typer(no_args_is_help=True, help="Named experiments of experiments.yaml.")
app.add_typer(experiment, name="experiment")

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
    from genrepro import experiments, results

    try:
        for chosen in experiments.select(experiments.load(), names or ["*"]):
            print(f"{chosen.name}: {chosen.title}")
            print(f"  {chosen.source}: {results.published_text(chosen.published)}")
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")


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
    """Run NAME... with DVC, a run for each seed; what is recorded, queued or run already is left out."""
    import shlex

    from genrepro import experiments, launching, records

    num_failed = 0
    try:
        known = experiments.load()
        chosen = experiments.select(known, names)
        # All commands first: nothing runs if one of them cannot.
        planned = list(
            launching.commands(
                chosen, queue=queue, seeds=seed or (), extra=set_param or (), data=data, again=again
            )
        )
        if not planned:
            raise GenreproError("none of these experiments has such a seed.")
        launching.check_workspace()
        standing = {} if again else launching.standing(chosen, records.read(known))
        for name, command in planned:
            if name in standing:
                print(f"{name} {standing[name]}.", file=sys.stderr)
            elif dry_run:
                print(shlex.join(command))
            elif not launching.run(command):
                num_failed += 1
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    if num_failed:
        sys.exit(f"genrepro: {num_failed} of {len(planned)} runs failed; DVC says why above.")


@experiment.command("collect")
def collect_experiments(names: _AnyNames = None) -> None:
    """Record below metrics/experiments/ what DVC's experiments gave."""
    from genrepro import experiments, records

    try:
        taken, refused = records.collect(experiments.select(experiments.load(), names or ["*"]))
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(f"{len(taken)} runs recorded")
    for sentence in refused:
        print(f"genrepro: {sentence}", file=sys.stderr)
    if refused:
        sys.exit(1)


@experiment.command("table")
def write_table() -> None:
    """Write docs/RESULTS.md from what is recorded: published beside measured."""
    from genrepro import experiments, records, results

    try:
        known = experiments.load()
        results.write(known, experiments.questions(known), records.read(known))
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(f"{results.TARGET} is written")


_Output = Annotated[Path, typer.Option(help="Folder for them.")]


@experiment.command("figures")
def draw_figures(output: _Output = Path("docs", "figures")) -> None:
    """Draw accuracy by training tracks, of what is recorded, and learning curves, of runs in this clone."""
    from genrepro import experiments, records, results_figures

    try:
        known = experiments.load()
        written, missing = results_figures.write(known, records.read(known), folder=output)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    for path in written:
        print(path)
    if missing:
        print(f"genrepro: {missing}", file=sys.stderr)


sweep = typer.Typer(no_args_is_help=True, help="The cells of sweeps/params.yaml's grid as experiments.")
app.add_typer(sweep, name="sweep")

_By = Annotated[str, typer.Option(help="Of validation: loss or accuracy.")]
_Revision = Annotated[
    str | None, typer.Argument(metavar="[REV]", help="Revision or experiment with a sweep.")
]


@sweep.command("best")
def best_of_sweep(revision: _Revision = None, by: _By = "loss") -> None:
    """The winner of a sweep, and the command that runs it alone."""
    import shlex

    from genrepro import sweeping

    try:
        winner, command = sweeping.best(by, revision)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    print(
        f"# epoch {winner['epoch']}: validation accuracy {winner['validation_accuracy']:.3f}, "
        f"test {winner['test_accuracy']:.3f} [{winner['test_accuracy_low']:.3f}, "
        f"{winner['test_accuracy_high']:.3f}], selection optimism {winner['selection_optimism']:+.3f}"
    )
    print(shlex.join(command))


@sweep.command("queue")
def queue_sweep(dry_run: _DryRun = False) -> None:
    """Put every cell into DVC's queue, an experiment each: for models that have no frozen body."""
    import shlex

    from genrepro import launching, sweeping

    try:
        command = sweeping.current_queue()
        if dry_run:
            print(shlex.join(command))
        elif not launching.run(command):
            sys.exit("genrepro: nothing was queued; DVC says why above.")
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
