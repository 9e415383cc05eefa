"""The router keeps the last request heads of an address: this saves work for its next connection,
and never changes the meaning of a request."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from control_peers import relayed
from peers import PATIENCE, Connection, Router, length_of

from tqunits.cli.route_options import snapshot_of
from tqunits.http.fields import RequestFields
from tqunits.proxy.front.welcome import welcome
from tqunits.proxy.log.complaints import Complaints
from tqunits.proxy.routes.recent import LONGEST, MOST, Recent
from tqunits.proxy.routes.router import Router as RouterState

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIKE = b"GET /%d HTTP/1.1\r\nHost: a.example\r\nCookie: %d\r\nAccept: text/html\r\n\r\n"
HEADS = {
    "usual": LIKE % (1, 1),
    "the same but for a cookie": LIKE % (2, 2),
    "close": b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: 3\r\nConnection: close\r\n\r\n",
    "a field of this hop": b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: 4\r\nConnection: cookie\r\n\r\n",
    "a length": b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\nCookie: 5\r\n\r\nhi",
    "another length": b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nCookie: 6\r\n\r\nyes",
    "HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a.example\r\nCookie: 7\r\nAccept: text/html\r\n\r\n",
    "a claim": b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: 8\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n",
}
FAULTS = {
    "two hosts": b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\nAccept: text/html\r\n\r\n",
    "a control character": b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: \x01\r\nAccept: text/html\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2, 3\r\nCookie: 5\r\n\r\nhi!",
}


ALL = HEADS | FAULTS


class Told:
    """A worker that records the requests it gets, without the fields that name the request and its
    sender."""

    def __init__(self) -> None:
        self.last = b""

    async def answering(self, connection: Connection) -> None:
        while True:
            head = await connection.head()
            body = await connection.exactly(length_of(head))
            self.last = re.sub(rb"127\.0\.\d+\.\d+|(?<=X-Request-ID: )\w+", b"", head + body)
            await connection.send(OK)


async def met(router: Router, told: Told, request: bytes, source: str) -> tuple[bytes, bytes]:
    """The status line for the only request of a connection from there, and what its worker
    received."""
    told.last = b""
    sock = socket.create_connection(("127.0.0.1", router.port), PATIENCE, (source, 0))
    client = Connection(*await asyncio.open_connection(sock=sock))
    await client.send(request)
    head, _ = await client.response()
    client.close()
    return head.partition(b"\r\n")[0], told.last


@pytest.mark.parametrize("name", ALL)
async def test_a_request_is_the_same_whatever_came_from_there_before(folder: Path, name: str) -> None:
    told = Told()
    async with relayed(folder, told.answering) as (router, _):
        expected = await met(router, told, ALL[name], "127.0.1.0")
        assert bool(expected[1]) is (name in HEADS)
        for number, before in enumerate(ALL, 1):
            for request in (LIKE % (1, 1), LIKE % (2, 2), ALL[before], ALL[name], ALL[name]):
                found = await met(router, told, request, f"127.0.1.{number}")
            assert found == expected, f"after {before}"


@pytest.mark.loops("uvloop")
async def test_a_head_that_has_come_from_there_is_not_read_again() -> None:
    routes = snapshot_of(["/api=127.0.0.1:9"], strip=True)
    loop = asyncio.get_running_loop()
    router = RouterState(loop, routes, complaints=Complaints(), name=b"v", seed=b"8 bytes.")
    kept = []
    for number in (1, 2, 3, 3, 1):
        here, there = socket.socketpair()
        there.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: %d\r\n\r\n" % number)
        welcome(here, ("127.0.0.1", 1), router)
        assert there.recv(4096).startswith(b"HTTP/1.1 404 ")
        there.close()
        kept.append(router.recent.fields(b"127.0.0.1"))
    for guest in tuple(router.clients.here):
        guest.abort()
    router.poller.close()
    first, second, third, again, other = kept
    assert first is not None and second is not None and third is not None and other is not None
    assert again is third, "the same bytes"
    assert (first.stencil, third.stencil, other.stencil) == (None, second.stencil, second.stencil)
    assert second.stencil is not None, "what the first two have in common"
    assert len({id(each) for each in (first, second, third, other)}) == 4


def test_what_is_kept_is_bounded() -> None:
    recent = Recent()
    for number in range(MOST + 10):
        recent.keep(b"%d" % number, RequestFields(b"\r\nHost: a\r\n\r\n"))
    assert [number for number in range(MOST + 10) if recent.fields(b"%d" % number) is None] == list(range(10))
    longest = RequestFields(b"\r\nHost: a\r\nCookie: %b\r\n\r\n" % (b"c" * LONGEST))
    recent.keep(b"20", longest)
    assert recent.fields(b"20") is None


def test_the_last_counts() -> None:
    recent = Recent()
    first, second = (RequestFields(b"\r\nHost: %b\r\n\r\n" % host) for host in (b"a", b"b"))
    recent.keep(b"here", first)
    recent.keep(b"here", second)
    assert recent.fields(b"here") is second
    assert recent.fields(b"there") is None
