"""What the router says to a client itself: answers, refusals, redirects, and what ends an exchange badly.

A response of the router's own and one of a worker share the rules of when a connection may go on (RFC 9112 §9.3), so
these are here, too.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tqunits.http.answers import answer, reason
from tqunits.http.forward import Origin
from tqunits.http.framing import Framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import ResponseHead
from tqunits.http.redirect import https_location, https_port, says_hsts
from tqunits.http.target import Target, authority
from tqunits.http.trust import TrustedPeer
from tqunits.metrics.access_formats import End
from tqunits.proxy.downstream.parting import BUSY, Parting
from tqunits.proxy.log.account import Exchange
from tqunits.proxy.reactor.timers import NEVER, ticks_of
from tqunits.proxy.upstream.worker import RETRY_AFTER

if TYPE_CHECKING:
    from tqunits.proxy.routes.router import Router
    from tqunits.proxy.transport.secured import Secured

REMEMBERED = ticks_of(1_000_000)
"""How long an idle connection remembers its last head, which makes the next one cheap to read: browsers come in bursts.
After that it sleeps."""

CROWD = 1000
"""Connections beyond which none remembers anything between its requests, and each sleeps a tick after the last: what is
kept for each is 1.2 KiB, and memory that so many have had for a moment does not come back."""


_COMPLAINED: Final = frozenset({502, 503, 504})
"""What is the worker's fault, and has been said as such."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sits at the other end of a client's connection."""

    address: bytes  # without port; b"" on a Unix socket
    believed: bool  # what it says of the client it speaks for
    secured: Secured | None  # None: plain HTTP


class Answering(Parting):
    """A client's connection, as far as it is answered here."""

    __slots__ = (
        "bodiless",
        "counted",
        "delimited",
        "exchange",
        "method",
        "modern",
        "origin",
        "peer",
        "persistent",
        "rests_until",
        "router",
        "secured",
        "started",
        "trusted",
        "upgrade",
    )

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, router.poller, router.wheel)
        scheme = b"http" if peer.secured is None else b"https"
        self.router = router
        self.peer = peer
        self.counted = b""  # the address that the connection counts for
        self.secured = peer.secured
        if peer.secured is not None:
            self.wire = peer.secured
        self.origin = Origin(peer.address, scheme)
        self.exchange = Exchange(router.books, peer.address, scheme)
        self.trusted = TrustedPeer(peer.address, scheme, router.networks) if peer.believed else None
        self.method = b""  # of the request that runs; b"" if none does
        self.modern = True  # it speaks HTTP/1.1
        self.persistent = True
        self.bodiless = True  # it has no body
        self.rests_until = NEVER  # the tick at which the connection is given up, between requests
        self.upgrade = False
        self.started = False  # a final response has begun to go out
        self.delimited = True  # and says itself where it ends

    def drop(self) -> None:
        """Nobody wants what the exchange would still bring."""
        raise AssertionError

    def complain(self, text: str) -> None:
        """Tell the operator."""
        raise AssertionError

    def write_out(self, data: bytes) -> bool:
        """Send to the client; False when it is gone, and with it the exchange."""
        if self.write(data):
            return True
        self.abort()
        return False

    def will_close(self, framing: Framing) -> bool:
        """Whether the response that now begins is the last one here."""
        if self.ended or self.pump is not None or self.upgrade or self.router.draining or framing.closes:
            self.persistent = (
                self.persistent
                and not self.router.draining
                and not framing.closes
                and not self.is_last()
                and not self.is_out_of_step()
            )
        return not self.persistent

    def is_last(self) -> bool:
        """Whether the client has sent all that it wanted answered, this request at last."""
        return self.ended and not self.input

    def is_out_of_step(self) -> bool:
        """Whether what comes next from the client may not be a request: a rest of a body, or of a refused upgrade."""
        return self.pump is not None or (self.upgrade and bool(self.input))

    def lines_for(self, head: ResponseHead) -> bytes:
        """What the router adds to a worker's response."""
        if self.secured is None or not self.router.hsts or says_hsts(head.fields):
            return b""
        return self.router.hsts

    def answer(self, status: int, detail: str = "", hint: str = "", retry_after: int = RETRY_AFTER) -> None:
        """Answer without a worker; the connection stays if the request is over.

        `hint`: for the operator alone; `retry_after`: seconds, of a 503.
        """
        self._settle_persistence()
        why = reason(status, detail, hint) if status >= 400 else ""
        request_id = self.exchange.request_id or self.router.request_id()
        if why and status not in _COMPLAINED:
            self.router.complaints.seldom(why, f"{status} for {self.exchange.whom()}: ")
        text = answer(
            status,
            date=self.router.clock.date(),
            detail=detail,
            head_only=self.method == b"HEAD",
            close=not self.persistent,
            accept=self.exchange.accept,
            request_id=request_id,
            retry_after=retry_after if status == 503 else 0,
            lines=self.router.hsts if self.secured is not None else b"",
        )
        self._say(status, text, request_id, why)

    def redirect(self, target: Target) -> None:
        """Send it to the same place over HTTPS. Raises Malformed."""
        self._settle_persistence()
        port = https_port(self._local()[1], self.router.ports)
        line = b"\r\nLocation: " + https_location(target, port)
        date = self.router.clock.date()
        request_id, last = self.exchange.request_id, not self.persistent
        head_only = self.method == b"HEAD"
        text = answer(308, date=date, head_only=head_only, close=last, request_id=request_id, lines=line)
        self._say(308, text, request_id)

    def own_authority(self) -> bytes:
        """Whom a request is for that names nobody."""
        return authority(*self._local(), secured=self.secured is not None)

    def _local(self) -> tuple[str, int]:
        """The address and the port that the client has connected to; "" and 0 for a Unix socket."""
        local = self.sock.getsockname()
        return (str(local[0]), int(local[1])) if isinstance(local, tuple) else ("", 0)

    def _settle_persistence(self) -> None:
        if not self.bodiless or not self.modern or self.router.draining or self.is_last():
            self.persistent = False

    def _say(self, status: int, text: bytes, request_id: bytes, why: str = "") -> None:
        self.exchange.answered(status, request_id, why)
        self.started = True
        if self.write_out(text):
            self.go_on_or_linger()

    def go_on_or_linger(self) -> None:
        """An answer is out, for which no worker is to be left."""
        if self.persistent:
            self.await_request()
        else:
            self.linger()

    def await_request(self) -> None:
        """An answer is out, and the next request may come."""
        self.phase = self.phase.answered
        self.rest()

    def rest(self) -> None:
        """Nothing of the last exchange counts for what comes next, nor for what is said of it if it is no request."""
        self.method = b""
        self.started = False
        self.hard = NEVER
        router = self.router
        self.rests_until = self.wheel.tick + router.idle_ticks
        if len(router.clients) > CROWD:
            self.forget_request()
            self.touch(1)
        else:
            self.touch(router.remembered_ticks)

    def forget_request(self) -> None:
        """Keep nothing of the request before."""
        raise AssertionError

    def refuse(self, error: Malformed) -> None:
        """A request that is no request: say so once, and listen to nothing more on this connection."""
        self.drop()
        if self.started:
            self.abort()
            return
        self.persistent = False
        self.answer(error.status, error.detail, error.hint)

    def cut(self, reason: str) -> None:
        """The response can not be finished: the client must see that it is not whole (RFC 9112 §8)."""
        self.complain(f"cut: {reason}")
        self.drop()
        self.exchange.finished(End.CUT)
        if not self.delimited:  # a body that ends with the connection: only a reset tells
            self.reset()
        else:
            self.close_when_flushed()

    def abort(self) -> None:
        """The client is gone, or is to be. If it is not, a body that ends with the connection must not look whole."""
        self.drop()
        self.exchange.finished(End.GONE)
        if self.started and not self.delimited and (self.phase is BUSY or self.outbox):
            self.reset()
        else:
            self.close()
