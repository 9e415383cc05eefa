"""Finding a connection for one request, and when it may be tried again.

RFC 9110 §9.2.2, RFC 9112 §9.3.1. A request of which no byte was sent may go anywhere. One that was sent may go once
more, if it is idempotent and without a body, and if the connection was an old one that ended before any byte of the
answer: then it most likely died of age, not of the request. Everything else is a 502.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tqunits.proxy.timers import ticks_of

if TYPE_CHECKING:
    from tqunits.proxy.downstream import Client
    from tqunits.proxy.pool import Backend, Endpoint
    from tqunits.proxy.upstream import Upstream

CONNECT: Final = ticks_of(2_000_000)
"""To a local socket that is an age: a worker whose backlog is full is not going to be quick."""

MAX_ATTEMPTS: Final = 3
"""Endpoints tried for one request: with more of them down, the next one is not the cure."""

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2 (TRACE is not served)."""


class Attempts:
    """What has been tried for one request."""

    __slots__ = ("_backend", "_failed", "_stale")

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._failed: tuple[Endpoint, ...] = ()
        self._stale: Endpoint | None = None  # where an old connection died under this request

    def begin(self, client: Client) -> None:
        """Use an idle connection, else open one; what the kernel refuses at once is tried elsewhere at once."""
        reason = "no endpoint"
        while len(self._failed) < MAX_ATTEMPTS:
            endpoint = self._next()
            if endpoint is None:
                break
            upstream = None if self._stale is not None else self._idle(endpoint, client)
            if upstream is None:
                try:
                    upstream = endpoint.connect()
                except OSError as error:
                    self._failed += (endpoint,)
                    reason = f"{endpoint.address}: {error.strerror}"
                    continue
                client.limit(CONNECT)
            client.upstream = upstream
            upstream.begin(client)
            return
        client.fail(502, reason)

    def again(self, client: Client, upstream: Upstream, reason: str, *, sent: bool) -> None:
        """A connection failed before any response: try another, or give up."""
        endpoint = upstream.endpoint
        if upstream.reused:
            may = self._stale is None and not upstream.said and (not sent or is_repeatable(client))
            self._stale = endpoint
        else:
            self._failed += (endpoint,)
            may = not sent and len(self._failed) < MAX_ATTEMPTS and self._backend.pick(self._failed) is not None
        if may:
            self.begin(client)
        else:
            client.fail(502, f"{endpoint.address}: {reason}")

    def _next(self) -> Endpoint | None:
        """Another endpoint than the one whose connection died, if there is another."""
        if self._stale is None:
            return self._backend.pick(self._failed)
        return self._backend.pick((*self._failed, self._stale)) or self._backend.pick(self._failed)

    def _idle(self, endpoint: Endpoint, client: Client) -> Upstream | None:
        """A pooled connection; looked at first if the request could not be sent a second time."""
        upstream = endpoint.take()
        if upstream is None or is_repeatable(client):
            return upstream
        while upstream is not None and not upstream.is_alive():
            upstream.close()
            upstream = endpoint.take()
        return upstream


def is_repeatable(client: Client) -> bool:
    """Whether the request may be sent twice."""
    return client.bodiless and client.method in IDEMPOTENT
