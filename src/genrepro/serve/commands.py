"""`genrepro predict`, `genrepro register` and `genrepro serve`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from genrepro.base.errors import GenreproError
from genrepro.serve import registry, server
from genrepro.serve.predictor import Prediction, Predictor

_Files = Annotated[list[Path], typer.Argument(help="Audio, or pictures if the model was trained on them.")]
_Model = Annotated[Path, typer.Option(help="Folder with model.safetensors and model.json.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of the three likeliest.")]


def predict(files: _Files, model: _Model = Path("models"), as_json: _Json = False) -> None:
    """Genre probabilities of FILES and, indented, of each stretch of them.

    A file that cannot be read is reported and the rest is done.
    """
    predictor = Predictor(model)
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


def register(model: _Model = Path("models"), name: _Name = "genrepro") -> None:
    """Log the trained model to MLflow and register it under a name; the same weights once."""
    version = registry.register(model, name=name)
    print(f"{name} version {version.number}{'' if version.new else ', as before'}: {version.text()}")
    print(f"genrepro serve --name {name} --version {version.number}")


def serve(
    name: _Name = "genrepro", version: _Version = "latest", host: _Host = "127.0.0.1", port: _Port = 5001
) -> None:
    """Serve a registered model over HTTP by `mlflow models serve`, until Ctrl-C."""
    server.check_address(host, port)
    found = registry.find(name, version)
    print(f"{name} version {found.number}: POST to http://{host}:{port}/invocations", flush=True)
    if not server.run(found, host=host, port=port):
        sys.exit("genrepro: the server ended by itself; MLflow says why above.")


def _text(path: Path, prediction: Prediction) -> str:
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
