"""`genrepro listen`."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genrepro.base import params
from genrepro.base.errors import GenreproError
from genrepro.serve import default, server, worth
from genrepro.serve.predictor import Predictor

if TYPE_CHECKING:
    from genrepro.listen.page import Page

_Model = Annotated[
    Path | None,
    typer.Option(help="Folder with model.safetensors and model.json; default: as for `genrepro predict`."),
]
_Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.")]
_Port = Annotated[int, typer.Option(min=1, max=65535)]


def listen(model: _Model = None, host: _Host = "127.0.0.1", port: _Port = 7860) -> None:
    """Hear and see what the model says, of a file of yours and of the data set, on a page in the browser."""
    from genrepro.listen import site

    site.require_gradio()
    server.check_address(host, port)
    with site.temporary_uploads() as uploads:
        import uvicorn

        page = _page(model or default.folder(), uploads=uploads)
        app = site.application(page, host=host)
        print(f"http://{host}:{port} until Ctrl-C", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(app, host=host, port=port, log_level="warning")


def _page(folder: Path, *, uploads: Path) -> "Page":
    from genrepro.listen import known
    from genrepro.listen.page import Page

    predictor = Predictor(folder)
    if predictor.mel is None:
        raise GenreproError(f"{folder} holds a model of pictures: the page plays sounds.")
    said = worth.text(worth.of(folder, predictor.description))
    dataset = params.load().dataset if Path("params.yaml").exists() else "synthetic"
    collection = known.collection_of(Path("data", dataset))
    why = f"data/{dataset} holds no data set" if collection is None else known.fits(collection, predictor)
    training = None
    if collection is not None and why is None:
        print("reading the training set ...", file=sys.stderr, flush=True)
        least = params.load().audit.min_similarity
        training = known.Known(collection, predictor, min_similarity=least)
    return Page(
        predictor, worth=said, uploads=uploads, collection=collection, known=training, why_unknown=why or ""
    )
