"""MLflow's scoring server, with a bound on a request's size and answers that tell nothing of this machine.

    __pyfunc_model_path__=models:/genrepro/1 uvicorn --app-dir <this folder> bounded:app

MLflow reads a whole request into memory and sends the traceback of an unexpected error to the client.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

MAX_BYTES = 384 << 20  # base64 of 256 MB and its JSON
MAX_MESSAGE = 500  # characters; MLflow repeats the input in some messages

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class _TooLarge(Exception):  # noqa: N818 - a finding about a request
    """The request goes on past `MAX_BYTES`."""


def bounded(app: App, *, max_bytes: int = MAX_BYTES) -> App:
    """Wrap an ASGI application: too large a request gets 413, an error keeps its first sentence alone."""

    async def wrapped(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > max_bytes:
            await _answer(send, 413, f"a request may have {max_bytes >> 20} MB at most.")
            return
        received, status, held = 0, 0, bytearray()

        async def counted() -> dict[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _TooLarge
            return message

        async def checked(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start" and message["status"] >= 400:
                status = message["status"]
            elif status:
                held.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await _answer(send, status, _sentence(bytes(held)))
            else:
                await send(message)

        try:
            await app(scope, counted, checked)
        except _TooLarge:
            await _answer(send, 413, f"a request may have {max_bytes >> 20} MB at most.")

    return wrapped


def _sentence(body: bytes) -> str:
    """The first line of MLflow's message about an error, without the traceback."""
    try:
        said = json.loads(body)
        said = said.get("message") or said.get("detail") or said if isinstance(said, dict) else said
    except ValueError:
        said = body.decode("utf-8", "replace")
    return (str(said).strip().splitlines() or ["the request failed."])[0][:MAX_MESSAGE]


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of a large request is not read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def __getattr__(name: str) -> App:
    """``app``, made when uvicorn asks for it: a test imports `bounded` without a model."""
    if name != "app":
        raise AttributeError(name)
    from mlflow.pyfunc.scoring_server import app

    return bounded(app.app)
