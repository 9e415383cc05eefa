"""Response heads that are not quite valid HTTP/1.1, or large, through the real router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers import Connection, Router, Worker, once, snapshot

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
FIVE = b"Content-Length: 5\r\n"


async def answered(folder: Path, response: bytes, **changes: Any) -> tuple[bytes, str]:
    """What a client gets, and what the router logs."""
    worker = await Worker(folder / "w").start(once(response))
    (folder / "routes.json").write_text(snapshot(worker.endpoint, **changes))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", f"{folder}/routes.json"]) as router:
        answer = await router.ask(GET)
        worker.stop()
        return answer, router.said()


MENDED = {
    "padded chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0     \r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
    ),
    "a space before a colon": (OK + b"Content-Length : 5\r\nX-A : b\r\n\r\nhello", b"\r\nContent-Length: 5\r\n"),
    "the same length twice": (
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"\r\nContent-Length: 5\r\n",
    ),
    "a folded line": (OK + b"X-A: b\r\n  c\r\nContent-Length: 5\r\n\r\nhello", b"\r\nX-A: b c\r\n"),
}


@pytest.mark.parametrize(("response", "part"), MENDED.values(), ids=MENDED)
async def test_what_can_be_mended_arrives(folder: Path, response: bytes, part: bytes) -> None:
    answer, _ = await answered(folder, response)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"hello" in answer and part in answer
    assert answer.lower().count(b"content-length") + answer.lower().count(b"transfer-encoding") == 1


REFUSED = {
    "a status of its own": (
        b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
        "the status is '999', which is none of",
    ),
    "another protocol": (b"220 mail ESMTP\r\n", "it does not speak HTTP: the answer begins with '220 mail ESMTP"),
    "TLS": (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS"),
    "lengths that differ": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "and they differ"),
    "a large head": (OK + b"A: %b\r\n\r\n" % (b"x" * 32768), "longer than 32768 bytes (proxy.max_response_head)"),
    "a long status line": (b"HTTP/1.1 200 %b\r\n\r\n" % (b"x" * 32768), "32768 bytes (proxy.max_response_head)"),
    "many fields": (OK + b"A: b\r\n" * 101 + b"\r\n", "more than 100 fields (proxy.max_response_fields)"),
    "a bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "a line that ends without CR"),
}


@pytest.mark.parametrize(("response", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_can_not_be_is_a_502_that_says_why(folder: Path, response: bytes, said: str) -> None:
    answer, log = await answered(folder, response)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert f"invalid response: {said}" in log or said in log


async def test_a_worker_may_be_allowed_larger_heads(folder: Path) -> None:
    head = OK + b"".join(b"A%d: %b\r\n" % (n, b"x" * 200) for n in range(250)) + b"Content-Length: 5\r\n\r\n"
    assert len(head) > 50_000
    answer, _ = await answered(folder, head + b"hello", max_response_head=65_536, max_response_fields=300)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hello") and answer.count(b"x" * 200) == 250


async def test_or_smaller_ones(folder: Path) -> None:
    head = OK + b"A: %b\r\nContent-Length: 5\r\n\r\n" % (b"x" * 5000)
    answer, log = await answered(folder, head + b"hello", max_response_head=4096)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert "longer than 4096 bytes (proxy.max_response_head)" in log


async def test_mended_responses_one_after_the_other(folder: Path) -> None:
    """A mended response does not affect the next one, whichever way that is read."""

    async def behave(connection: Connection) -> None:
        for number in range(6):
            await connection.head()
            body = b"x" * number
            await connection.send(OK + b"Date: now\r\nContent-Length : %d\r\nX : %d\r\n\r\n%b" % (number, number, body))

    worker = await Worker(folder / "w").start(behave)
    (folder / "routes.json").write_text(snapshot(worker.endpoint))
    async with Router(folder, ["--listen", "127.0.0.1:0", "--routes", f"{folder}/routes.json"]) as router:
        client = await router.connect()
        for number in range(6):
            await client.send(GET.replace(b"Connection: close\r\n", b""))
            head, body = await client.response()
            assert body == b"x" * number
            assert b"\r\nX: %d\r\n" % number in head
        assert len(worker.connections) == 1
    worker.stop()
