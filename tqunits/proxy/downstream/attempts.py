"""Finding a connection for one request, and when it may be tried again.

RFC 9110 §9.2.2, RFC 9112 §9.3.1. A request of which no byte was sent may go anywhere. One that was sent may go once
more, if it is idempotent, without a body or with all of it here (body.py), and if the connection ended
before any byte of the answer: then it most likely died of age or of a restart, not of the request. But where the
process is found to have ended, unasked, and had read this request and nothing else was under way, the next is not given
the same. A request that finds no endpoint waits with its worker.
"""

from __future__ import annotations

from typing import Final

from tqunits.model import Retry
from tqunits.proxy.downstream.exchange import Attempts, Waiting
from tqunits.proxy.reactor.timers import ticks_of
from tqunits.proxy.upstream.availability import Availability
from tqunits.proxy.upstream.connection import CONNECTING, Upstream
from tqunits.proxy.upstream.pool import Endpoint
from tqunits.proxy.upstream.worker import IDEMPOTENT, Worker

CONNECT: Final = ticks_of(2_000_000)
"""To a local socket that is an age: a worker whose backlog is full is not going to be quick."""

MAX_UNSENT: Final = 3
"""Connections that may break under one request before a byte of it went out."""

DYING: Final = 0.02
"""Seconds until a request is sent again whose connection died: a process that ends closes its connections before its
listening socket, and whoever came at once would be in the backlog that goes with it."""


KILLED: Final = "its process ended with this request alone under way, which may have been why: it is not asked again"

CLOSES_UNSAID: Final = (
    "closes connections that it let us keep, without 'Connection: close' in the last answer: what can not be sent "
    "twice goes on a new connection there; to spare that, let the worker keep them for 2s at least (uvicorn "
    "--timeout-keep-alive 5, gunicorn --keep-alive 5, uWSGI http11-socket), or say close in its answers"
)


def begin(client: Waiting, worker: Worker, trial: Endpoint | None) -> None:
    """Use an idle connection, else open one; what the kernel refuses at once is tried elsewhere at once."""
    past = client.attempts
    while True:
        endpoint = trial or _next(worker, past)
        if endpoint is None:
            client.hold()
            return
        upstream = idle(endpoint, client, worker) if past is None or past.left is None else None
        if upstream is None:
            trial = None
            upstream = _connect(endpoint, client)
            if upstream is None:
                if past is not None and past.suspect is endpoint:
                    _give_up_suspect(client, endpoint)
                    return
                continue
            client.limit(CONNECT)
        elif trial is not None:
            endpoint.untried()
        client.upstream = upstream
        upstream.begin(client)
        return


def again(client: Waiting, worker: Worker, upstream: Upstream, reason: str, *, sent: bool) -> None:
    """A connection failed before any response: try another, wait for one, or give up."""
    endpoint = upstream.endpoint
    past = client.history()
    past.left = endpoint
    if upstream.uses and not upstream.said:
        endpoint.standing.ended(upstream.number, endpoint.wheel.tick)
    if sent:
        past.sent += 1
        may = past.sent == 1 and not upstream.said and worker.retry is Retry.IDEMPOTENT and is_repeatable(client)
        if may and client.ended and not (upstream.uses and _has_just_begun(client)):
            may, reason = False, f"{reason}; its client has ended its side of the connection, so it is not asked again"
        if not upstream.cut_off and endpoint.died_under_one():
            past.suspect = endpoint
    else:
        past.unsent += 1
        may = past.unsent <= MAX_UNSENT and worker.retry is not Retry.NEVER
    if not may:
        client.fail(502, f"{endpoint.address}: {reason}")
        return
    client.account.retries += 1
    if sent:
        client.router.loop.call_later(DYING, _begin_later, client, worker, past)
    else:
        begin(client, worker, None)


def _begin_later(client: Waiting, worker: Worker, past: Attempts) -> None:
    """Unless the request has ended meanwhile; each has an account of its own of what went wrong."""
    if client.attempts is past and client.worker is worker and client.upstream is None and not client.closed:
        if past.suspect is not None and past.suspect.is_gone:
            _give_up_suspect(client, past.suspect)
        else:
            begin(client, worker, None)


def _give_up_suspect(client: Waiting, endpoint: Availability) -> None:
    client.fail(502, f"{endpoint.address}: {KILLED}")


def _has_just_begun(client: Waiting) -> bool:
    """Whether its request was sent within half a second: the connection may have been dead already."""
    return client.wheel.tick - (client.deadline - client.silence) <= 1


def refused(client: Waiting, worker: Worker, upstream: Upstream, reason: str) -> None:
    """No connection came to stand: nothing was sent, so another endpoint will do, or this one when it is back."""
    endpoint = upstream.endpoint
    _leave_alone(endpoint, client, reason)
    past = client.attempts
    if past is not None and past.suspect is endpoint:
        _give_up_suspect(client, endpoint)
    else:
        begin(client, worker, None)


def is_repeatable(client: Waiting) -> bool:
    """Whether the request may be sent twice."""
    return (client.bodiless or client.whole) and client.method in IDEMPOTENT


def _next(worker: Worker, past: Attempts | None) -> Endpoint | None:
    """Another endpoint than the one whose connection died, if there is another."""
    if past is None or past.left is None:
        return worker.pick(())
    return worker.pick((past.left,)) or worker.pick(())


def _connect(endpoint: Endpoint, client: Waiting) -> Upstream | None:
    if endpoint.failures:
        endpoint.on_trial()
    try:
        upstream = Upstream.connect(endpoint)
    except OSError as error:
        _leave_alone(endpoint, client, error.strerror or str(error))
        return None
    if endpoint.failures and upstream.phase is not CONNECTING:
        endpoint.came_up()
    return upstream


def _leave_alone(endpoint: Availability, client: Waiting, reason: str) -> None:
    if not endpoint.failures:
        client.complain(f"{endpoint.address} takes no connections: {reason}; requests wait for it")
    endpoint.failed()


def idle(endpoint: Endpoint, client: Waiting, worker: Worker) -> Upstream | None:
    """A pooled connection; looked at first if the request could not be sent a second time."""
    if worker.retry is Retry.IDEMPOTENT and is_repeatable(client):
        return endpoint.take()
    upstream = endpoint.take_standing()
    if upstream is None and endpoint.standing.is_to_be_told():
        client.complain(f"{endpoint.address} {CLOSES_UNSAID}")
    return upstream
