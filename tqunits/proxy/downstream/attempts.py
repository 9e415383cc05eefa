"""Finds a connection for one request, and decides when the request may be tried again.

RFC 9110 §9.2.2, RFC 9112 §9.3.1. A request of which no byte was sent may go to any endpoint. A
request that was sent may be sent once more if it is idempotent, has no body or a body that is
completely here (gathering.py), and its connection ended before any byte of the answer: then most
likely the connection was too old or the worker restarted. But it is not sent again if the worker's
process ended unexpectedly after it had read this request, with no other request under way: then the
request may have caused that. A request that finds no endpoint waits in its worker's queue.
"""

from __future__ import annotations

from typing import Final

from tqunits.model import Retry
from tqunits.proxy.downstream import queueing, replying
from tqunits.proxy.downstream.exchange import Attempts, Exchange
from tqunits.proxy.reactor.timers import ticks_of
from tqunits.proxy.upstream.availability import Availability
from tqunits.proxy.upstream.connection import CONNECTING, Upstream
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import IDEMPOTENT, Worker

CONNECT: Final = ticks_of(2_000_000)
"""Long for a local socket: a worker with a full backlog is not going to be quick."""

MAX_UNSENT: Final = 3
"""How many connections may break under one request before a byte of it was sent."""

DYING: Final = 0.02
"""Seconds until a request is sent again after its connection died. A process that ends closes its
connections before its listening socket, and a new connection at that moment would be lost with the
backlog."""


KILLED: Final = "its process ended with this request alone under way, which may have been why: it is not asked again"

CLOSES_UNSAID: Final = (
    "closes connections that it let us keep, without 'Connection: close' in the last answer: what can not be sent "
    "twice goes on a new connection there; to spare that, let the worker keep them for 2s at least (uvicorn "
    "--timeout-keep-alive 5, gunicorn --keep-alive 5, uWSGI http11-socket), or say close in its answers"
)


def enter(exchange: Exchange, worker: Worker) -> None:
    """The request is ready: begin it, or put it into the queue."""
    if worker.has_room:
        exchange.worker = worker
        worker.in_flight += 1
        begin(exchange, worker, None)
    else:
        queueing.stand_in_line(exchange, worker)


def begin(exchange: Exchange, worker: Worker, trial: Endpoint | None) -> None:
    """Use an idle connection, or open one. If the kernel refuses at once, another endpoint is tried
    at once."""
    past = exchange.attempts
    while True:
        endpoint = trial or _next(worker, past)
        if endpoint is None:
            queueing.hold(exchange, worker)
            return
        upstream = idle(endpoint, exchange, worker) if past is None or past.left is None else None
        if upstream is None:
            trial = None
            upstream = _connect(endpoint, exchange)
            if upstream is None:
                if past is not None and past.suspect is endpoint:
                    _give_up_suspect(exchange, endpoint)
                    return
                continue
            exchange.client.limit(CONNECT)
        elif trial is not None:
            endpoint.untried()
        exchange.upstream = upstream
        upstream.begin(exchange)
        return


def again(exchange: Exchange, worker: Worker, upstream: Upstream, reason: str, *, sent: bool) -> None:
    """A connection failed before any response: try another one, wait, or give up."""
    endpoint = upstream.endpoint
    past = exchange.history()
    past.left = endpoint
    if upstream.uses and not upstream.said:
        endpoint.standing.ended(upstream.number, endpoint.wheel.tick)
    if sent:
        past.sent += 1
        may = past.sent == 1 and not upstream.said and worker.retry is Retry.IDEMPOTENT and is_repeatable(exchange)
        if may and exchange.client.ended and not (upstream.uses and _has_just_begun(exchange)):
            may, reason = False, f"{reason}; its client has ended its side of the connection, so it is not asked again"
        if not upstream.cut_off and endpoint.died_under_one():
            past.suspect = endpoint
    else:
        past.unsent += 1
        may = past.unsent <= MAX_UNSENT and worker.retry is not Retry.NEVER
    if not may:
        replying.fail(exchange, 502, f"{endpoint.address}: {reason}")
        return
    exchange.account.retries += 1
    if sent:
        exchange.router.loop.call_later(DYING, _begin_later, exchange, worker, past)
    else:
        begin(exchange, worker, None)


def _begin_later(exchange: Exchange, worker: Worker, past: Attempts) -> None:
    """Begin later, unless the request has ended meanwhile, which its own `Attempts` object
    shows."""
    if exchange.attempts is not past or exchange.worker is not worker or exchange.upstream is not None:
        return
    if not exchange.client.closed:
        if past.suspect is not None and past.suspect.is_gone:
            _give_up_suspect(exchange, past.suspect)
        else:
            begin(exchange, worker, None)


def _give_up_suspect(exchange: Exchange, endpoint: Availability) -> None:
    replying.fail(exchange, 502, f"{endpoint.address}: {KILLED}")


def _has_just_begun(exchange: Exchange) -> bool:
    """Whether the request was sent within the last half second: the connection may have been dead
    already."""
    client = exchange.client
    return client.wheel.tick - (client.deadline - client.silence) <= 1


def refused(exchange: Exchange, worker: Worker, upstream: Upstream, reason: str) -> None:
    """No connection was established and nothing was sent, so another endpoint may be tried, or this
    one when it is back."""
    endpoint = upstream.endpoint
    _leave_alone(endpoint, exchange, reason)
    past = exchange.attempts
    if past is not None and past.suspect is endpoint:
        _give_up_suspect(exchange, endpoint)
    else:
        begin(exchange, worker, None)


def is_repeatable(exchange: Exchange) -> bool:
    """Whether the request may be sent twice."""
    return (exchange.bodiless or exchange.body.whole) and exchange.method in IDEMPOTENT


def _next(worker: Worker, past: Attempts | None) -> Endpoint | None:
    """An endpoint other than the one whose connection died, if there is one."""
    if past is None or past.left is None:
        return worker.pick(())
    return worker.pick((past.left,)) or worker.pick(())


def _connect(endpoint: Endpoint, exchange: Exchange) -> Upstream | None:
    if endpoint.failures:
        endpoint.on_trial()
    try:
        upstream = Upstream.connect(endpoint)
    except OSError as error:
        _leave_alone(endpoint, exchange, error.strerror or str(error))
        return None
    if endpoint.failures and upstream.phase is not CONNECTING:
        endpoint.came_up()
    return upstream


def _leave_alone(endpoint: Availability, exchange: Exchange, reason: str) -> None:
    if not endpoint.failures:
        exchange.complain(f"{endpoint.address} takes no connections: {reason}; requests wait for it")
    endpoint.failed()


def idle(endpoint: Endpoint, exchange: Exchange, worker: Worker) -> Upstream | None:
    """A pooled connection. It is tested first if the request could not be sent a second time."""
    if worker.retry is Retry.IDEMPOTENT and is_repeatable(exchange):
        return endpoint.take()
    upstream = endpoint.take_standing()
    if upstream is None and endpoint.standing.is_to_be_told():
        exchange.complain(f"{endpoint.address} {CLOSES_UNSAID}")
    return upstream
