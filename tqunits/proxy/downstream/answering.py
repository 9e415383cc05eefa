"""What the router says to a client itself: answers, refusals, redirects, and what ends an exchange badly.

A response of the router's own and one of a worker share the rules of when a connection may go on (RFC 9112 §9.3), so
these are here, too.
"""

from __future__ import annotations

import socket
from typing import Final

from tqunits.http.answers import answer, reason
from tqunits.http.forward import Origin
from tqunits.http.framing import Framing
from tqunits.http.grammar import Malformed
from tqunits.http.redirect import https_location, https_port
from tqunits.http.target import Target, authority
from tqunits.http.trust import TrustedPeer
from tqunits.metrics.access_formats import End
from tqunits.proxy.downstream.parting import BUSY, Parting
from tqunits.proxy.log.account import Account
from tqunits.proxy.reactor.timers import NEVER
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.upstream.worker import RETRY_AFTER

_COMPLAINED: Final = frozenset({502, 503, 504})
"""What is the worker's fault, and has been said as such."""


class Answering(Parting):
    """A client's connection, as far as it is answered here."""

    __slots__ = (
        "account",
        "bodiless",
        "counted",
        "delimited",
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
        self.account = Account(router.books, peer.address, scheme)
        self.trusted = TrustedPeer(peer.address, scheme, router.rules.networks) if peer.believed else None
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

    @property
    def hsts(self) -> bytes:
        """The line that responses over TLS have."""
        return b"" if self.secured is None else self.router.rules.hsts

    def answer(self, status: int, detail: str = "", hint: str = "", retry_after: int = RETRY_AFTER) -> None:
        """Answer without a worker; the connection stays if the request is over.

        `hint`: for the operator alone; `retry_after`: seconds, of a 503.
        """
        self._settle_persistence()
        why = reason(status, detail, hint) if status >= 400 else ""
        request_id = self.account.request_id or self.router.request_id()
        if why and status not in _COMPLAINED:
            self.router.complaints.seldom(why, f"{status} for {self.account.whom()}: ")
        text = answer(
            status,
            date=self.router.clock.date(),
            detail=detail,
            head_only=self.method == b"HEAD",
            close=not self.persistent,
            accept=self.account.accept,
            request_id=request_id,
            retry_after=retry_after if status == 503 else 0,
            hsts=self.hsts,
        )
        self._say(status, text, request_id, why)

    def redirect(self, target: Target) -> None:
        """Send it to the same place over HTTPS. Raises Malformed."""
        self._settle_persistence()
        port = https_port(self._local()[1], self.router.ports)
        line = b"\r\nLocation: " + https_location(target, port)
        date = self.router.clock.date()
        request_id, last = self.account.request_id, not self.persistent
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
        self.account.answered(status, request_id, why)
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
        self.rests_until = self.wheel.tick + router.rules.idle_ticks
        if router.clients.is_crowd():
            self.forget_request()
            self.touch(1)
        else:
            self.touch(router.rules.remembered_ticks)

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
        self.account.finished(End.CUT)
        if not self.delimited:  # a body that ends with the connection: only a reset tells
            self.reset()
        else:
            self.close_when_flushed()

    def abort(self) -> None:
        """The client is gone, or is to be. If it is not, a body that ends with the connection must not look whole."""
        self.drop()
        self.account.finished(End.GONE)
        if self.started and not self.delimited and (self.phase is BUSY or self.outbox):
            self.reset()
        else:
            self.close()
