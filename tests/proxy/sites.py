"""A folder of files as the router serves it, without a router process: requests to a `Site`, and
the answers for the client."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from tqunits.http.dates import write_date
from tqunits.http.fields import RequestFields
from tqunits.http.target import Target
from tqunits.proxy.routes.site import Answer, Site, Unsent

NOW = 1_700_000_000
DATE = write_date(NOW)
MODIFIED = NOW - 1000


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(0, MODIFIED * 10**9 + 5))


@dataclass
class Response:
    """The answer for the client."""

    status: int
    fields: dict[str, str]
    body: bytes


def ask(
    root: Path | Site,
    path: str,
    *lines: str,
    method: str = "GET",
    route: str = "",
    prefix: str = "/",
    alone: bool = True,
    query: str = "",
    close: bool = False,
    date: bytes = DATE,
) -> Response | None:
    """One request to a site, or to a new one of that folder; `route` is the prefix that the router
    has removed from the path."""
    site = root if isinstance(root, Site) else Site(str(root), prefix, alone=alone)
    block = "".join(f"\r\n{line}" for line in ("Host: a", *lines, "", ""))
    answer = site.answer(
        method.encode(),
        path.encode(),
        RequestFields(block.encode("latin-1")),
        target=Target(b"a", (route + path).encode(), query.encode(), absolute=False),
        date=date,
        close=close,
    )
    return None if isinstance(answer, Unsent) else received(answer, date)


def received(answer: Answer, date: bytes = DATE) -> Response:
    head, end, rest = answer.head.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    start, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = start.split(" ", 2)
    assert (version, int(status)) == ("HTTP/1.1", answer.status)
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines)
    assert fields["Date"] == date.decode()
    body = sent(answer)
    assert len(body) == answer.length
    if answer.descriptor >= 0:
        assert answer.length > 0
        assert int(fields["Content-Length"]) == len(body)
    return Response(answer.status, fields, body)


def sent(answer: Answer) -> bytes:
    """The body as sendfile(2) sends it; closes the file, as the receiver of an answer does."""
    if answer.descriptor < 0:
        return b""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert os.sendfile(ours.fileno(), answer.descriptor, answer.offset, answer.length) == answer.length
        os.close(answer.descriptor)
        ours.close()
        return b"".join(iter(lambda: theirs.recv(65536), b""))


def found(response: Response | None) -> Response:
    assert response is not None
    return response
