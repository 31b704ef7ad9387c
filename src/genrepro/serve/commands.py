"""`genrepro predict`, `genrepro register` and `genrepro serve`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genrepro.base import process
from genrepro.base.errors import GenreproError
from genrepro.serve import default, registry, server, worth
from genrepro.serve.answers import Format, expanded, writer
from genrepro.serve.predictor import Predictor

_Files = Annotated[
    list[Path], typer.Argument(help="Audio, or pictures if the model was trained on them; folders of them.")
]
_Answer = Annotated[
    Path | None,
    typer.Option(
        help="Folder with model.safetensors and model.json; default: models/, or the model that comes with "
        "genrepro where nothing was trained yet."
    ),
]
_Model = Annotated[Path, typer.Option(help="Folder with model.safetensors and model.json.")]
_Format = Annotated[Format, typer.Option("--format", help="csv: a line a file. jsonl: a JSON object a file.")]


def predict(files: _Files, model: _Answer = None, form: _Format = Format.text) -> None:
    """Genre probabilities of FILES and, indented, of each stretch of them.

    A file that cannot be read is reported and the rest is done. Standard error says what the model is worth.
    """
    from tqdm import tqdm

    folder = model or default.folder()
    with process.importing():
        predictor = Predictor(folder)
    shipped = " (the model that comes with genrepro)" if folder == default.FOLDER else ""
    print(f"model: {worth.text(worth.of(folder, predictor.description))}{shipped}", file=sys.stderr)
    lines = writer(form, predictor.description["genres"])
    paths = expanded(files, pictures=predictor.mel is None)
    num_failed = 0
    with tqdm(paths, unit="file", leave=False, disable=True if len(paths) == 1 else None) as bar:
        for path in bar:
            try:
                answer = lines(path, predictor(path))
            except GenreproError as error:
                num_failed += 1
                tqdm.write(f"genrepro: {error}", file=sys.stderr)
                continue
            tqdm.write(answer, file=sys.stdout)
            sys.stdout.flush()
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


_Paths = Annotated[
    Path | None,
    typer.Option(help="A folder: requests may name files in it. Without this the server takes bytes alone."),
]


def serve(
    name: _Name = "genrepro",
    version: _Version = "latest",
    host: _Host = "127.0.0.1",
    port: _Port = 5001,
    allow_paths: _Paths = None,
) -> None:
    """Serve a registered model over HTTP by MLflow's scoring server, until Ctrl-C."""
    server.check_address(host, port)
    if allow_paths is not None and not allow_paths.is_dir():
        raise GenreproError(f"--allow-paths {allow_paths} is not a folder.")
    found = registry.find(name, version)
    registry.require_opt_in(found)
    print(f"{name} version {found.number}: POST to http://{host}:{port}/invocations", flush=True)
    folder = allow_paths and allow_paths.resolve()
    if not server.run(found, host=host, port=port, allow_paths=folder):
        sys.exit("genrepro: the server ended by itself; MLflow says why above.")
