"""`genrepro publish`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from genrepro.publish import folder

_HUB = "hf://"
_To = Annotated[str, typer.Option(help="A folder, or hf://owner/name for Hugging Face's hub.")]
_Model = Annotated[Path, typer.Option(help="Folder with model.safetensors and model.json.")]


def publish(to: _To, model: _Model = Path("models")) -> None:
    """Write the model with a model card, and the data set's tracks with Croissant metadata; no audio."""
    if not to.startswith(_HUB):
        folder.write(model, Path(to))
        print(f"{to}: model.safetensors, model.json, README.md, tracks.csv, croissant.json")
        return
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary, "published")
        folder.write(model, written)
        print(folder.push(written, to.removeprefix(_HUB)))
