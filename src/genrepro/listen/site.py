"""The server of the page: Gradio below a small application of its own that sends the sounds.

It answers only requests for this machine's own names (so no other site can reach it through a browser), sends
no file as it is, and keeps uploads in a temporary folder that is deleted at the end.
"""

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genrepro.base.errors import GenreproError
from genrepro.listen import sounds
from genrepro.listen.page import Page
from genrepro.spectrogram import audio

if TYPE_CHECKING:
    from fastapi import FastAPI

_HERE = Path(__file__).parent
_LOCAL = ["127.0.0.1", "localhost", "[::1]"]


def application(page: Page, *, host: str) -> "FastAPI":
    """The page as an ASGI application.

    Parameters
    ----------
    page : Page
    host : str
        Address on which it listens. If it is not one of this machine alone, every name is answered.
    """
    import gradio as gr
    from fastapi import FastAPI, Request, Response
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if host in (*_LOCAL, "::1"):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=_LOCAL)

    def wav(content: bytes | None, asked: str | None) -> Response:
        if content is None:
            return Response("there is no such sound.", status_code=404, media_type="text/plain")
        part = _part(asked, len(content))
        headers = {"X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes"}
        if part != range(len(content)):
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(content)}"
        return Response(
            content[part.start : part.stop],
            status_code=206 if "Content-Range" in headers else 200,
            media_type="audio/wav",
            headers=headers,
        )

    @app.get("/sound/upload/{name}")
    def of_upload(name: str, request: Request) -> Response:
        return wav(page.sounds.get(name), request.headers.get("Range"))

    @app.get("/sound/track/{row}")
    def of_track(row: int, request: Request) -> Response:
        return wav(_of_track(page, row), request.headers.get("Range"))

    font = ["system-ui", "sans-serif"]  # Gradio's own theme would load fonts from the network
    theme = gr.themes.Default(font=font, font_mono=["ui-monospace", "monospace"])
    blocks = page.blocks().queue(default_concurrency_limit=1)
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        max_file_size=sounds.MAX_BYTES,
        show_error=False,
        allowed_paths=[],
        ssr_mode=False,
        footer_links=[],
        theme=theme,
        css_paths=_HERE / "page.css",
        head=f"<script>{(_HERE / 'page.js').read_text('utf-8')}</script>",
    )


@contextmanager
def temporary_uploads() -> Iterator[Path]:
    """A folder for Gradio's uploads that is deleted at the end, also if a signal ends this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # uvicorn ends its work and raises the signal again
        signal.signal(number, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="genrepro-listen-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # read when Gradio is imported
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        yield Path(folder)


def require_gradio() -> None:
    """Raise GenreproError if the extra `page` is not installed."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise GenreproError(
            "the page needs Gradio, which is not installed: run `make listen`, or "
            '`pip install "genrepro[page]"`.'
        )


def _part(asked: str | None, size: int) -> range:
    """The bytes that a Range header asks for, or all: without ranges a player cannot jump."""
    found = re.fullmatch(r"bytes=(\d{1,12})-(\d{0,12})", asked or "")
    if not found or int(found[1]) >= size:
        return range(size)
    return range(int(found[1]), min(size, int(found[2] or size) + 1))


def _of_track(page: Page, row: int) -> bytes | None:
    if page.collection is None or not 0 <= row < len(page.collection.tracks):
        return None
    path = page.collection.sound(page.collection.tracks.index[row])
    if path is None:
        return None
    rate = page.mel.sample_rate
    try:
        return sounds.wav(audio.decode(path, sample_rate=rate), sample_rate=rate)
    except (audio.UndecodableError, GenreproError):  # or the seed of another composer
        return None
