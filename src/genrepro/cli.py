"""The command `genrepro`: what a person does with a trained pipeline, beside `dvc`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from genrepro.errors import GenreproError
from genrepro.numerics import pin

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
    """Genre probabilities of FILES; a file that cannot be read is reported and the rest is done."""
    try:
        from genrepro.prediction import Predictor

        predictor = Predictor(model)
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    num_failed = 0
    for path in files:
        try:
            probabilities = predictor(path)
        except GenreproError as error:
            num_failed += 1
            print(f"genrepro: {error}", file=sys.stderr)
            continue
        if as_json:
            print(json.dumps({"file": str(path), "probabilities": probabilities}))
        else:
            ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
            print(f"{path}: " + ", ".join(f"{genre} {value:.2f}" for genre, value in ranked))
    if num_failed:
        sys.exit(1)
