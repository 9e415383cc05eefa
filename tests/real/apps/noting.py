"""A WSGI and ASGI application: it writes the id of each POST to a file, one line each, and answers
with the id."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

NOTES = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
"""Lines of many processes: each write is complete, and at the end of the file (O_APPEND of
open(2))."""


def note(body: bytes) -> bytes:
    if body:
        os.write(NOTES, body + b"\n")
    return body


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = note(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asynchronous(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    note(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
