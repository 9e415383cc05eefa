"""The requests and answers at the sockets of a router process, version 1. No other module has their
paths, keys and sizes.

The control socket, for root and the manager:

    GET /status                                        a Status
    GET /metrics                                       OpenMetrics, the one answer that is not JSON
    POST /pause, /resume {"worker": "api"}             a WorkerStatus
    POST /maintenance {"worker": "api", "text": "Back at nine."}   a WorkerStatus

The leave socket, for every local user:

    GET /serving/api?wait_us=5000000                   a Drained, of an instance (`api`, `api:2`)

alone/routers.py sends the last request and imports nothing of ours: tests/control/test_protocol.py
compares its bytes with this module. Answers of a process are parsed without trust, because it runs
as another user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.liveness import Work
from tqunits.light_dataclass import dataclass
from tqunits.model import Instance
from tqunits.units import name

VERSION: Final = 1
JSON: Final = "application/json"

STATUS: Final = "/status"
METRICS: Final = "/metrics"
PAUSE: Final = "/pause"
RESUME: Final = "/resume"
MAINTENANCE: Final = "/maintenance"
OFFER: Final = "there are GET /status and /metrics, POST /pause, /resume, /maintenance"

MAX_REQUEST: Final = 64 * 1024
"""The greatest request at the control socket, in bytes."""

MAX_QUESTION: Final = 1024
"""The greatest request at the leave socket, in bytes."""

MAX_ANSWER: Final = 16 * 1024 * 1024
"""The greatest body of an answer, in bytes: root does not read without limit what a router
sends."""

MAX_HEAD: Final = 4096
"""The greatest head of an answer, in bytes: it has three short lines."""

MAX_RECEIVED: Final = MAX_ANSWER + MAX_HEAD
"""The greatest answer with its head."""

LONGEST_WAIT_US: Final = 30_000_000
"""The longest wait in one request. A caller that wants to wait longer asks again."""

_QUESTION: Final = late_pattern(rb"/serving/([a-z0-9_:-]{1,40})(?:\?wait_us=([0-9]{1,12}))?")

_RELEASE: Final = late_pattern(r"[0-9A-Za-z.+!-]{1,64}")
"""A version of PEP 440."""

_STATUS_LINE: Final = late_pattern(rb"HTTP/1\.1 ([1-5][0-9]{2}) ")

_NO_ANSWER: Final = (ValueError, RecursionError, LookupError, TypeError, AttributeError, ArithmeticError)
"""The exceptions that an invalid answer can raise."""

Body = Mapping[str, object]


class Problem(Exception):
    """A request that is refused: the HTTP status, and what is wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """An endpoint of a worker, as a process sees it."""

    address: str  # HOST:PORT, or unix:PATH
    in_flight: int  # requests that it has at the moment
    answers: int  # final responses other than 5xx that it has begun, since it is in the routes
    idle: int  # connections that are kept
    draining: bool  # it gets no new requests, for whatever reason
    failures: int  # attempts since the last one that got through
    drained: bool = False  # by an order of its own; missing where there is none

    def body(self) -> Body:
        """As it is sent."""
        return {
            "address": self.address,
            "in_flight": self.in_flight,
            "answers": self.answers,
            "idle": self.idle,
            "draining": self.draining,
            "failures": self.failures,
            **({"drained": True} if self.drained else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker in one process."""

    name: str  # of the worker
    in_flight: int  # requests that have begun
    waiting: int  # requests that have not
    paused: bool  # its new requests wait
    maintenance: bool  # its requests get a page
    endpoints: tuple[EndpointStatus, ...]  # of its instances, in the order of their numbers

    def body(self) -> Body:
        """The JSON object."""
        return {
            "name": self.name,
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            "paused": self.paused,
            "maintenance": self.maintenance,
            "endpoints": [endpoint.body() for endpoint in self.endpoints],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a process."""

    pid: int  # of the process
    release: str  # of tqunits, whose code it runs
    connections: int  # of clients, open
    asleep: int  # of them, those that send nothing and cost little
    requests: int  # since it was started
    draining: bool  # it is to end, and finishes what it has
    orders: Mapping[str, str]  # of each worker with an order: pause, drain or maintenance
    workers: tuple[WorkerStatus, ...]  # all that are in its routes

    def body(self) -> Body:
        """The JSON object."""
        return {
            "pid": self.pid,
            "release": self.release,
            "connections": self.connections,
            "asleep": self.asleep,
            "requests": self.requests,
            "draining": self.draining,
            "orders": dict(self.orders),
            "workers": [worker.body() for worker in self.workers],
        }


@dataclass(frozen=True, slots=True)
class DoingThere:
    """The state of one instance of a worker in one process."""

    drained: bool  # by an order about this instance
    in_flight: int


@dataclass(frozen=True, slots=True)
class Doing:
    """The part of a Status, for one worker, that shows whether an order is in effect."""

    order: str  # the order in effect; "" for none
    in_flight: int  # requests that were sent to it
    instances: tuple[DoingThere, ...] = ()  # in the order of their numbers

    def there(self, instance: Instance) -> DoingThere | None:
        """The state of one instance; None: the process does not know the instance."""
        known = self.instances[instance.number - 1 : instance.number]
        return known[0] if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How a process uses an instance."""

    sends: bool = False  # new requests go there
    waits: bool = False  # for an answer, or for the end of a WebSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """Whether a worker that stops has no request in flight. The number of its requests is not
    told."""

    serving: bool  # its file `serving` exists: waiting would change nothing
    in_flight: bool = False

    def body(self) -> Body:
        """The JSON object."""
        return {"serving": True} if self.serving else {"serving": False, "in_flight": int(self.in_flight)}


def question(target: str) -> bytes:
    """The whole request of a client that asks a control socket; it has no body."""
    return f"GET {target} HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n".encode("ascii")


def order(target: str, body: Body) -> bytes:
    """The whole request of a client that asks for something to be done."""
    data = json.dumps(body).encode()
    head = f"POST {target} HTTP/1.1\r\nHost: control\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode("ascii") + data


def body_of(answer: bytes) -> bytes | None:
    """The body of a whole answer; None for a refusal, and for one that is too large or no HTTP."""
    status, body = answered(answer) or (0, b"")
    return body if status == 200 else None


def answered(answer: bytes) -> tuple[int, bytes] | None:
    """The status and the body of a whole answer; None for one that is too large or no HTTP."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = _STATUS_LINE.match(head)
    return (int(status[1]), body) if status and len(body) <= MAX_ANSWER else None


def encoded(body: Body) -> bytes:
    """An answer as JSON, with the version that all answers have."""
    return json.dumps({"version": VERSION, **body}).encode() + b"\n"


def refused(text: str) -> bytes:
    """The answer to a request that is refused."""
    return encoded({"error": text})


def asked(data: bytes) -> Body:
    """The body of a POST, parsed. Raises Problem."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "the body is a JSON object")
    return found


def doing(answer: bytes) -> Mapping[str, Doing] | None:
    """Worker -> its state in the process, from a Status. None when the answer is not valid."""
    try:
        document = json.loads(answer)
        orders = document["orders"]
        return {
            w["name"]: Doing(
                orders.get(w["name"], ""),
                int(w["in_flight"]),
                tuple(DoingThere(bool(e.get("drained")), int(e["in_flight"])) for e in w.get("endpoints", ())),
            )
            for w in document["workers"]
        }
    except _NO_ANSWER:
        return None


def works(answer: bytes) -> Mapping[Instance, Work] | None:
    """What each instance does for a process, from a Status. None when the answer is not valid or
    does not say."""
    try:
        return {
            Instance(str(worker["name"]), number): Work(_count(found["answers"]), _count(found["in_flight"]))
            for worker in json.loads(answer)["workers"]
            for number, found in enumerate(worker["endpoints"], start=1)
        }
    except _NO_ANSWER:
        return None


def use_of(answer: bytes, whose: Instance) -> Use:
    """How a process uses an instance, from a Status; not at all when the answer is not valid, or
    the process does not know the instance."""
    try:
        workers = {worker["name"]: worker["endpoints"] for worker in json.loads(answer)["workers"]}
        endpoints = workers.get(whose.worker, ())[whose.number - 1 : whose.number]
        return Use(
            sends=any(endpoint["draining"] is not True for endpoint in endpoints),
            waits=any(endpoint["in_flight"] != 0 for endpoint in endpoints),
        )
    except _NO_ANSWER:
        return Use()


def _count(value: object) -> int:
    """A number that is one already. Raises TypeError."""
    if type(value) is not int:
        raise TypeError(value)
    return value


def release(answer: bytes) -> str | None:
    """The release whose code the process runs, from a Status. None when the answer is not valid,
    and where it has none: then it is an earlier one."""
    try:
        return release_of(json.loads(answer))
    except _NO_ANSWER:
        return None


def release_of(document: Body) -> str | None:
    """The release in an answer of a router or the manager; None where it has none."""
    found = document.get("release")
    return found if isinstance(found, str) and _RELEASE.fullmatch(found) else None


def leave_request(whose: Instance, wait_us: int) -> bytes:
    """The whole request of an instance that is about to stop; it has no body."""
    return f"GET /serving/{whose}?wait_us={wait_us} HTTP/1.1\r\nHost: router\r\n\r\n".encode("ascii")


def leave_question(method: bytes, target: bytes) -> tuple[Instance, int]:
    """The instance in such a request, and the longest wait for the answer in µs.

    Raises Problem.
    """
    question = _QUESTION.fullmatch(target)
    whose = None if question is None else name.instance(question[1].decode("ascii"))
    if question is None or whose is None or method != b"GET":
        raise Problem(404, "there is GET /serving/NAME?wait_us=N")
    return whose, min(int(question[2] or 0), LONGEST_WAIT_US)
