"""The accounting of requests: each request is counted once and for the right worker, and does not
affect the next one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tqunits.metrics.access_formats import End, Entry
from tqunits.metrics.counters import RouterMetrics
from tqunits.proxy.log.account import Account, Books
from tqunits.proxy.log.sinks import AccessLog, Sink

HEAD = (
    b"POST /api/x?y=1 HTTP/1.0\r\nHost: a.example\r\nUSER-AGENT:  me \r\nX-Referer: no\r\nreferer: http://b/\r\n"
    b"Content-Length: 3\r\n\r\n"
)


class Nowhere(Sink):
    """An output that takes everything."""

    def write(self, line: bytes) -> None:
        pass


class Desk:
    """The exchange of one connection, with the lines and counts that it produces."""

    def __init__(self, sample: int = 1) -> None:
        self.metrics = RouterMetrics()
        self.api = self.metrics.worker("api")
        self.entries: list[Entry] = []
        log = AccessLog(Nowhere(lambda _: None), self._written, sample)
        self.account = Account(Books(self.metrics, log), b"192.0.2.1", b"http")

    def _written(self, entry: Entry) -> bytes:
        self.entries.append(entry)
        return b""

    def begin(self) -> Account:
        self.account.began(HEAD)
        self.account.routed("api", self.api, b"42")
        return self.account


def test_a_whole_exchange_is_counted_and_logged() -> None:
    desk = Desk()
    account = desk.begin()
    account.endpoint, account.status, account.retries = "127.0.0.1:9000", 201, 1
    account.received += 3
    account.sent += 5
    account.finished(End.OK)
    assert (desk.api.classes, desk.api.duration.count) == ([0, 0, 1, 0, 0, 0], 1)
    assert (desk.api.received, desk.api.sent, desk.api.retries, desk.api.cut, desk.api.gone) == (3, 5, 1, 0, 0)
    assert desk.metrics.unrouted == [0] * 6
    (entry,) = desk.entries
    assert (entry.client, entry.scheme, entry.request_id) == (b"192.0.2.1", b"http", b"42")
    assert (entry.method, entry.target, entry.minor) == (b"POST", b"/api/x?y=1", 0)
    assert (entry.host, entry.referer, entry.user_agent) == (b"a.example", b"http://b/", b"me")
    assert (entry.worker, entry.endpoint, entry.status, entry.end) == ("api", "127.0.0.1:9000", 201, End.OK)
    assert (entry.received, entry.sent, entry.retries) == (3, 5, 1)
    assert entry.duration == desk.api.duration.total


def test_it_is_told_once() -> None:
    desk = Desk()
    desk.begin().status = 200
    desk.account.finished(End.CUT)
    desk.account.finished(End.GONE)
    assert (desk.api.classes[2], desk.api.cut, desk.api.gone, len(desk.entries)) == (1, 1, 0, 1)


def test_nothing_is_left_for_the_next() -> None:
    desk = Desk()
    account = desk.begin()
    account.endpoint, account.status, account.retries, account.sent, account.received = "x", 200, 2, 5, 6
    account.release = "3f9c02d1a7be"
    account.finished(End.OK)
    account.answered(400, b"id", "why")
    entry = desk.entries[1]
    assert (entry.method, entry.target, entry.worker, entry.endpoint, entry.request_id) == (b"", b"", "", "", b"id")
    assert (entry.status, entry.sent, entry.received, entry.retries) == (400, 0, 0, 0)
    assert (desk.metrics.unrouted[4], sum(desk.api.classes)) == (1, 1)
    desk.begin().release = "3f9c02d1a7be"
    desk.account.finished(End.OK)
    desk.begin().finished(End.OK)
    assert [entry.release for entry in desk.entries] == ["3f9c02d1a7be", "", "3f9c02d1a7be", ""]
    assert [entry.reason for entry in desk.entries] == ["", "why", "", ""]


Counts = Callable[[Desk], list[int]]
ENDS = {
    "left before a response": (0, End.GONE, 499, lambda d: [sum(d.api.classes), d.api.gone, d.api.cut], [0, 1, 0]),
    "left within a response": (200, End.GONE, 200, lambda d: [d.api.classes[2], d.api.gone, d.api.cut], [1, 1, 0]),
    "cut": (200, End.CUT, 200, lambda d: [d.api.classes[2], d.api.gone, d.api.cut], [1, 0, 1]),
}


@pytest.mark.parametrize(("status", "end", "logged", "counts", "expected"), ENDS.values(), ids=ENDS)
def test_ends(status: int, end: End, logged: int, counts: Counts, expected: list[int]) -> None:
    desk = Desk()
    desk.begin().status = status
    desk.account.finished(end)
    assert counts(desk) == expected
    assert [(entry.status, entry.end) for entry in desk.entries] == [(logged, end)]


def test_an_answer_for_a_worker_is_the_workers() -> None:
    desk = Desk()
    desk.begin().answered(503, b"id")
    assert (desk.api.classes[5], desk.metrics.unrouted) == (1, [0] * 6)
    assert [(e.worker, e.status, e.end) for e in desk.entries] == [("api", 503, End.REFUSED)]


def test_a_request_without_a_route_is_the_routers() -> None:
    desk = Desk()
    desk.account.began(HEAD)
    desk.account.answered(404, b"id")
    assert desk.metrics.unrouted[4] == 1
    assert [(e.target, e.status) for e in desk.entries] == [(b"/api/x?y=1", 404)]


def test_a_sample_logs_less_and_counts_all() -> None:
    desk = Desk(sample=5)
    for _ in range(10):
        desk.begin().status = 200
        desk.account.finished(End.OK)
    assert (desk.api.classes[2], len(desk.entries)) == (10, 2)


def test_without_a_log_everything_is_counted() -> None:
    metrics = RouterMetrics()
    account = Account(Books(metrics), b"", b"http")
    account.began(HEAD)
    account.routed("api", metrics.worker("api"), b"1")
    account.status = 304
    account.finished(End.OK)
    assert metrics.worker("api").classes[3] == 1
