"""The account of one request: bytes received and sent, its duration, its end. It is logged once, at
the end.

A client's connection has one account for all its requests, one after the other, so that counting
allocates nothing. The data path adds to plain numbers, and the clock is read at the beginning and
at the end. An entry is made only if a log is on and wants this request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from tqunits.metrics.access_formats import End, Entry, whom
from tqunits.metrics.counters import RouterMetrics, WorkerMetrics
from tqunits.proxy.log.sinks import AccessLog

CLIENT_LEFT: Final = 499
"""nginx's status for a client that left before its response began, known to readers of logs. It is
never sent."""

_OK: Final = End.OK  # faster than the attribute


@dataclass(slots=True)
class Books:
    """Where ended exchanges are counted and logged: one for all connections of a router process."""

    metrics: RouterMetrics
    log: AccessLog | None = None  # None: off


class Account:
    """The account of the request on one client connection."""

    __slots__ = (
        "_began",
        "_books",
        "_client",
        "_head",
        "_reason",
        "_scheme",
        "_worker",
        "_worker_name",
        "endpoint",
        "received",
        "release",
        "request_id",
        "retries",
        "sent",
        "status",
    )

    def __init__(self, books: Books, client: bytes, scheme: bytes) -> None:
        """`client`: its address without the port, b"" on a Unix socket."""
        self._books = books
        self._client = client
        self._scheme = scheme
        self._worker: WorkerMetrics | None
        self._clear()

    def began(self, head: bytes, name: str = "", metrics: WorkerMetrics | None = None, request_id: bytes = b"") -> None:
        """A valid head of a request has come. If its worker is already known, so are the other
        arguments."""
        self._began = monotonic_ns()
        self._head = head
        self._worker_name = name
        self._worker = metrics
        self.request_id = request_id
        self.endpoint = self.release = ""
        self.status = self.received = self.sent = self.retries = 0

    @property
    def accept(self) -> bytes:
        """The Accept field, from its first line; clients hardly ever send several."""
        return _value(self._head, self._head.lower(), b"\r\naccept:")

    def relayed(self, client: bytes, scheme: bytes) -> None:
        """The client that a trusted proxy has named."""
        self._client = client
        self._scheme = scheme

    def routed(self, name: str, metrics: WorkerMetrics, request_id: bytes) -> None:
        """The request is for that worker."""
        self._worker_name = name
        self._worker = metrics
        self.request_id = request_id

    def finished(self, end: End = End.OK) -> None:
        """The request is over. Does nothing when there is none."""
        if not self._began:
            return
        span = (monotonic_ns() - self._began) // 1000
        self._began = 0
        worker = self._worker
        if worker is not None and end is _OK:  # usual
            worker.classes[self.status // 100] += 1
            worker.duration.observe(span)
            worker.received += self.received
            worker.sent += self.sent
            worker.retries += self.retries
        else:
            self._count(end, span)
        log = self._books.log
        if log is not None and log.wants(self.status, end):
            log.write(self._entry(end, span))
        self.request_id = b""
        self._head = b""  # an idle connection keeps no request

    def answered(self, status: int, request_id: bytes, reason: str = "") -> None:
        """The router has answered itself, perhaps a malformed request."""
        if not self._began:
            self._clear()
            self._began = monotonic_ns()
        self.status = status
        self.request_id = request_id
        self._reason = reason
        self.finished(End.REFUSED)
        self._reason = ""

    def because(self, reason: str) -> None:
        """The reason of an answer that refuses, although it looks like any other answer."""
        self._reason = reason

    def whom(self) -> str:
        """The client and the request, in words."""
        return whom(self._client, self._head)

    def _clear(self) -> None:
        self._began = 0  # nanoseconds, monotonic; 0: no request
        self._head = b""  # of the request
        self._worker = None
        self._worker_name = ""
        self.endpoint = ""  # the endpoint that has answered
        self.release = ""  # the release that it served with
        self.request_id = b""
        self.status = 0  # of the final response; 0: it has not begun
        self.received = 0  # bytes of the request's body, with its framing
        self.sent = 0  # bytes of the response's body, with its framing
        self.retries = 0
        self._reason = ""  # why the router has answered itself

    def _count(self, end: End, span: int) -> None:
        status, worker = self.status, self._worker
        if worker is None:
            self._books.metrics.unrouted[status // 100] += 1
            return
        if status:
            worker.answered(status, span)
        worker.received += self.received
        worker.sent += self.sent
        worker.retries += self.retries
        if end is End.CUT:
            worker.cut += 1
        elif end is End.GONE:
            worker.gone += 1

    def _entry(self, end: End, span: int) -> Entry:
        head = self._head
        lower = head.lower()
        method, target, version = _start_line(head)
        return Entry(
            time=time.time() - span / 1e6,
            client=self._client,
            method=method,
            target=target,
            minor=0 if version == b"HTTP/1.0" else 1,
            status=self.status or CLIENT_LEFT,
            received=self.received,
            sent=self.sent,
            duration=span,
            worker="" if self._worker is None else self._worker_name,
            endpoint=self.endpoint,
            request_id=self.request_id,
            host=_value(head, lower, b"\r\nhost:"),
            referer=_value(head, lower, b"\r\nreferer:"),
            user_agent=_value(head, lower, b"\r\nuser-agent:"),
            scheme=self._scheme,
            end=end,
            retries=self.retries,
            reason=self._reason,
            release=self.release,
        )


def _start_line(head: bytes) -> list[bytes]:
    """Method, target and version of a valid head; b"" each without one."""
    line = head[: head.find(b"\r\n", 2)].lstrip(b"\r\n")  # an empty line may have come before it
    return line.split(b" ") if line else [b"", b"", b""]


def _value(head: bytes, lower: bytes, beginning: bytes) -> bytes:
    """The first value of a field in a valid head. `lower` and `beginning` contain the line end
    before the field, its name in lower case, and the colon."""
    at = lower.find(beginning)
    if at < 0:
        return b""
    start = at + len(beginning)
    return head[start : head.find(b"\r\n", start)].strip(b" \t")
