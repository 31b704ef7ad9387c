"""The command `genrepro`, for what `dvc` does not do: predict, serve, compare, experiments."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from genrepro.base import process
from genrepro.base.errors import GenreproError, print_any_name
from genrepro.exact.numerics import pin

pin()  # before the commands' own imports load numpy

with process.importing():
    from genrepro.compare.commands import compare
    from genrepro.experiments.commands import experiment, sweep
    from genrepro.listen.commands import listen
    from genrepro.publish.commands import publish
    from genrepro.robustness.commands import robustness
    from genrepro.serve.commands import predict, register, serve
    from genrepro.suspects.commands import suspects


class _Sentences(TyperGroup):
    """Turn a GenreproError of any command into its sentence and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        print_any_name()
        try:
            return super().invoke(ctx)
        except GenreproError as error:
            sys.exit(f"genrepro: {error}")


app = typer.Typer(cls=_Sentences, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (predict, listen, register, serve, publish, compare, robustness, suspects):
    app.command()(command)
app.add_typer(experiment, name="experiment")
app.add_typer(sweep, name="sweep")


@app.callback()
def main() -> None:
    """Music genre recognition: a fixed, leak-free pipeline on DVC."""


def run() -> None:
    """The command as a process of its own."""
    try:
        app()
    except SystemExit as end:
        if end.code:
            raise
        process.leave()
