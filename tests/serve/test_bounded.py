"""Claims about what stands in front of MLflow's server: it bounds a request whose length nobody announced."""

import asyncio
from typing import Any

from genrepro.serve.front.bounded import bounded


def answer(chunks: list[bytes], *, max_bytes: int, app: Any) -> tuple[int, bytes]:
    """Status and body that ``app``, bounded, gives for a request in ``chunks``."""
    sent: list[dict[str, Any]] = []
    left = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(bounded(app, max_bytes=max_bytes)({"type": "http", "headers": []}, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def echo(status: int, prefix: bytes = b"") -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = prefix, True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def test_chunks_are_counted() -> None:
    assert answer([b"ab", b"cd"], max_bytes=4, app=echo(200)) == (200, b"abcd")
    status, body = answer([b"ab", b"cd", b"e"], max_bytes=4, app=echo(200))
    assert status == 413 and b"at most" in body


def test_an_error_keeps_its_sentence_and_loses_its_traceback() -> None:
    said = b'{"error_code": "BAD", "message": "wrong.\\nmore", "stack_trace": "File /home/me/x.py"}'
    assert answer([said], max_bytes=1000, app=echo(400)) == (400, b'{"error": "wrong."}')
    assert answer([b"plain"], max_bytes=1000, app=echo(415)) == (415, b'{"error": "plain"}')
    assert answer([b""], max_bytes=1000, app=echo(500)) == (500, b'{"error": "the request failed."}')
