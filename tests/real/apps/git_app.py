"""git http-backend (CGI) as a WSGI application: bodies stream both ways, chunked ones too."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

CHUNK = 1 << 16
PASSED = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "REMOTE_ADDR", "SERVER_PROTOCOL")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    variables = {name: str(environ.get(name, "")) for name in PASSED}
    variables |= {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    variables |= {"GIT_PROJECT_ROOT": os.environ["GIT_PROJECT_ROOT"], "GIT_HTTP_EXPORT_ALL": "1"}
    if length := environ.get("CONTENT_LENGTH"):  # without it the backend reads until the end
        variables["CONTENT_LENGTH"] = length
    backend = subprocess.Popen(
        ["git", "http-backend"], env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert backend.stdin is not None
    assert backend.stdout is not None
    threading.Thread(target=pour, args=(environ["wsgi.input"], backend.stdin), daemon=True).start()
    fields: list[tuple[str, str]] = []
    while (line := backend.stdout.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    status = next((value for name, value in fields if name.lower() == "status"), "200 OK")
    start_response(status, [field for field in fields if field[0].lower() != "status"])
    return output(backend, backend.stdout)


def pour(body: IO[bytes], stdin: IO[bytes]) -> None:
    try:
        while data := body.read(CHUNK):
            stdin.write(data)
        stdin.close()
    except BrokenPipeError:  # the backend has ended without reading all
        pass


def output(backend: subprocess.Popen[bytes], stdout: IO[bytes]) -> Iterator[bytes]:
    while data := stdout.read(CHUNK):
        yield data
    backend.wait()
