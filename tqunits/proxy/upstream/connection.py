"""A connection to a worker: connecting, one exchange at a time, idle in the pool in between.

This is the response half of the router. A worker's bytes are parsed as strictly as a client's (RFC
9112 §6.3): an invalid response is a 502 and the end of the connection. The connection returns to
the pool only if the request was sent completely, and the response was complete, had its own end,
and had nothing after it (§9.2, §9.3).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from mypy_extensions import trait

from tqunits.http.alike import AlikeResponse
from tqunits.http.fields import ResponseFields
from tqunits.http.forward import accepts_websocket
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, ResponseHead, parse_response
from tqunits.http.mending import foreign
from tqunits.http.phases import WORKER_PHASES, WorkerPhase
from tqunits.http.pump import Pump
from tqunits.model import HeadLimits
from tqunits.proxy.transport.stream import RECEIVE, Stream
from tqunits.proxy.upstream.availability import Availability
from tqunits.proxy.upstream.untaken import is_untaken

MAX_INTERIM: Final = 16
"""The most 1xx responses before the final one: a worker that sends more is not going to answer."""


CONNECTING: Final = WORKER_PHASES["CONNECTING"]
IDLE: Final = WORKER_PHASES["IDLE"]
HEAD: Final = WORKER_PHASES["HEAD"]
BODY: Final = WORKER_PHASES["BODY"]
TUNNEL: Final = WORKER_PHASES["TUNNEL"]


@trait
class Asker:
    """The exchange that a connection serves. The connection parses and checks; the exchange decides
    how to go on."""

    def sendable(self, upstream: Upstream) -> None:
        """The connection is established: send the request."""
        raise AssertionError

    def refused(self, upstream: Upstream, reason: str) -> None:
        """No connection could be established."""
        raise AssertionError

    def failed(self, upstream: Upstream, reason: str, *, sent: bool = True) -> None:
        """The connection ended without a response. `sent`: the worker may have seen the request."""
        raise AssertionError

    def flushed(self) -> None:
        """The worker has taken all that waited for it."""
        raise AssertionError

    def moved(self) -> None:
        """Something moved: start the deadline again."""
        raise AssertionError

    def response_limits(self) -> HeadLimits:
        """The limits on the head of a response."""
        raise AssertionError

    def interim(self, head: ResponseHead) -> bool:
        """A 1xx response has come. Returns False when the client is gone."""
        raise AssertionError

    def respond_alike(self, upstream: Upstream, alike: AlikeResponse, data: bytes) -> bool:
        """Send the final response the short way, if it is like the one before; False: it is not."""
        raise AssertionError

    def respond(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        """The final response has come. `data`: what came after its head."""
        raise AssertionError

    def take_body(self, data: bytes) -> bool:
        """More of the response's body. Returns False when the client is gone."""
        raise AssertionError

    def is_behind(self) -> bool:
        """Whether data waits for the client, so that no more is to be read."""
        raise AssertionError

    def splice(self, upstream: Upstream) -> None:
        """Let the kernel move what is left of the response's body, if that pays."""
        raise AssertionError

    def let_go(self, moved: int) -> None:
        """The connection is about to be closed; the kernel has moved so many bytes of the body."""
        raise AssertionError

    def answered(self) -> bool:
        """The response is complete. Returns whether the whole request was sent before. What is
        still being moved of its body is not wanted."""
        raise AssertionError

    def size_sent(self) -> int:
        """The bytes of the request, if all of them were sent at once; otherwise 0."""
        raise AssertionError

    def finished(self) -> None:
        """The response is sent, and the connection serves others."""
        raise AssertionError

    def cut(self, reason: str) -> None:
        """The response can not be completed; the client must see that it is incomplete (RFC 9112
        §8)."""
        raise AssertionError

    def upgrades(self) -> bool:
        """Whether the request asks for the upgrade to websocket."""
        raise AssertionError

    def switched(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        """The worker has switched protocols. `data`: what came after the head."""
        raise AssertionError

    def tunnelled(self, data: bytes) -> None:
        """Bytes for the other end of the tunnel."""
        raise AssertionError

    def tunnel_ended(self, *, regular: bool) -> None:
        """The worker's direction of the tunnel has ended. Not `regular`: it was cut off."""
        raise AssertionError

    def fail_with(self) -> None:
        """A call of ours has failed in the connection: the exchange ends."""
        raise AssertionError


class Home(Availability):
    """The endpoint of connections, which keeps the idle ones."""

    __slots__ = ()

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection whose exchange ended cleanly."""
        raise AssertionError

    def lose(self, upstream: Upstream) -> None:
        """Forget an idle connection."""
        raise AssertionError

    def lose_ended(self, upstream: Upstream) -> None:
        """The worker has ended an idle connection."""
        raise AssertionError

    def lose_aged(self, upstream: Upstream) -> None:
        """An idle connection has reached its time limit."""
        raise AssertionError


class Upstream(Stream):
    """One connection to one endpoint."""

    __slots__ = (
        "alike",
        "asker",
        "cut_off",
        "endpoint",
        "fields",
        "heads",
        "interim",
        "number",
        "phase",
        "pump",
        "reusable",
        "said",
        "unheard",
        "uses",
    )

    def __init__(self, sock: socket.socket, endpoint: Home, phase: WorkerPhase) -> None:
        super().__init__(sock, endpoint.poller, endpoint.wheel)
        self.endpoint = endpoint
        self.number = endpoint.standing.opened = endpoint.standing.opened + 1
        self.phase = phase
        self.asker: Asker | None = None
        self.heads = HeadBuffer()
        self.fields: ResponseFields | None = None  # of the last response that was parsed completely
        self.alike: AlikeResponse | None = None  # the prepared response to which the next one may be alike
        self.pump: Pump | None = None  # of the response's body
        self.uses = 0  # how many requests it has served
        self.reusable = False  # the response allows it
        self.said = False  # a byte of the response has come
        self.cut_off = False  # by a reset: the worker had not read everything
        self.unheard = False  # it takes no more of the request, but may still answer
        self.interim = 0

    @classmethod
    def connect(cls, endpoint: Home) -> Upstream:
        """Begin to connect. Raises OSError when the kernel refuses at once."""
        address = endpoint.address
        family = socket.AF_UNIX if address.path else socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = _connect_unix(sock, address.path) if address.path else sock.connect_ex((address.host, address.port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            raise
        return cls(sock, endpoint, IDLE if code == 0 else CONNECTING)

    def begin(self, asker: Asker) -> None:
        """Serve this exchange. Its method `sendable` is called when it may send."""
        self.asker = asker
        self.endpoint.in_flight += 1
        self.said = False
        self.unheard = False
        self.interim = 0
        if self.phase is CONNECTING:
            self.poller.add_writer(self.sock, self)
            return
        self.phase = self.phase.asked
        if not self.reading:
            self.resume()
        asker.sendable(self)

    def close(self) -> None:
        if self.relay is not None:
            self.relay.abort()
            self.relay = None
        super().close()

    def abandon(self) -> None:
        """The exchange does not want the rest of the answer."""
        if self.asker is not None:
            self.asker.let_go(0 if self.relay is None else self.relay.moved)
            self.asker = None
            self.endpoint.in_flight -= 1
            if self.endpoint.draining:
                self.endpoint.settle()
        self.close()

    def is_alive(self) -> bool:
        """Whether an idle connection is still open. Asked before a request that could not be sent
        twice."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # its end, or unexpected bytes

    def on_readable(self) -> None:
        asker = self.asker
        try:
            data = self.wire.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = None
        if asker is None:
            self.endpoint.lose_ended(self)
        elif not data:
            self.on_end(asker, regular=data is not None)
        elif self.phase is HEAD:
            if self.alike is None or self.said or not asker.respond_alike(self, self.alike, data):
                self._on_head(asker, data)
        elif self.phase is BODY:
            self._on_body(asker, data)
        else:
            asker.tunnelled(data)

    def on_writable(self) -> None:
        if self.phase is CONNECTING:
            self._on_connected()
        else:
            super().on_writable()

    def on_flushed(self) -> None:
        if self.asker is not None:
            self.asker.flushed()

    def on_progress(self) -> None:
        if self.asker is not None:
            self.asker.moved()

    def on_broken(self) -> None:
        """The worker takes no more. It may have answered before it closed, so keep reading."""
        self.unheard = True

    def on_fault(self) -> None:
        asker = self.asker
        if asker is None:
            self.endpoint.lose(self)
        else:
            try:
                self.abandon()
            finally:
                asker.fail_with()

    def expire(self) -> None:
        """The idle time is over. If the connection serves a request again, the deadline is an old
        one, and the client has its own."""
        if self.asker is None:
            self.endpoint.lose_aged(self)

    def _on_connected(self) -> None:
        self.poller.remove_writer(self.sock)
        asker = self.asker
        assert asker is not None
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.abandon()
            asker.refused(self, os.strerror(code))
            return
        if self.endpoint.failures:
            self.endpoint.came_up()
        self.phase = self.phase.connected
        self.resume()
        asker.sendable(self)

    def _on_head(self, asker: Asker, data: bytes) -> None:
        """Collect the head of the response, and pass it on with what came after it."""
        self.said = True
        self.heads.limits = limits = asker.response_limits()
        try:
            while True:
                if self.heads.collected is None and (said := foreign(data)):
                    raise Malformed(502, said)
                whole = self.heads.feed(data)
                if whole is None:
                    return
                raw, data = whole
                head = parse_response(raw, self.fields, limits)
                self.fields = head.fields
                if head.status >= 200:
                    asker.respond(self, head, data)
                    return
                if head.status == 101:
                    self._switch(asker, head, data)
                    return
                self.interim += 1
                if self.interim > MAX_INTERIM:
                    raise Malformed(502, f"more than {MAX_INTERIM} interim responses")
                if not asker.interim(head):
                    return
                if not data:
                    return
        except Malformed as error:
            self._garbage(asker, _naming_setting(error))

    def _on_body(self, asker: Asker, data: bytes) -> None:
        pump = self.pump
        assert pump is not None
        try:
            out = pump.feed(data)
        except Malformed as error:
            self._garbage(asker, error)
            return
        if out and not asker.take_body(out):
            return
        if pump.done:
            self.complete(asker, pump.surplus)
            return
        asker.moved()
        if asker.is_behind():
            self.pause()
        elif pump.rest:
            self.postpone()
        elif len(data) == RECEIVE:
            asker.splice(self)

    def resume(self) -> None:
        """Read (again) after all received data was processed. Many small chunks wait for another
        turn."""
        if self.pump is not None and self.pump.rest:
            self.postpone()
        else:
            super().resume()

    def on_turn(self) -> None:
        """Another turn of the loop, for the rest of a body of small chunks."""
        asker = self.asker
        if asker is not None and self.phase is BODY and not asker.is_behind():
            self._on_body(asker, b"")
            if self.phase is BODY and not asker.is_behind():
                self.resume()

    def complete(self, asker: Asker, surplus: bytes) -> None:
        """The response is complete: keep the connection, or close it."""
        sent = asker.answered()
        self.asker = None
        self.pump = None
        endpoint = self.endpoint
        endpoint.in_flight -= 1
        if endpoint.draining:
            endpoint.settle()
        if self.reusable and sent and not surplus and not self.outbox and not self.unheard:
            self.phase = self.phase.completed
            self.uses += 1
            endpoint.keep(self)
            if not self.reading:
                self.resume()
        else:
            self.close()
        asker.finished()

    def _switch(self, asker: Asker, head: ResponseHead, data: bytes) -> None:
        """101: only bytes from here on, if the request asked for it (RFC 9110 §7.8)."""
        if not asker.upgrades() or not accepts_websocket(head):
            raise Malformed(502, "a 101 to a request without that upgrade")
        self.phase = self.phase.switched
        asker.switched(self, head, data)

    def on_end(self, asker: Asker, *, regular: bool) -> None:
        """The worker has closed. Only some responses end that way."""
        self.pause()
        self.cut_off = not regular
        if self.phase is TUNNEL:
            asker.tunnel_ended(regular=regular)
        elif self.phase is BODY:
            self._on_end_of_body(asker, regular=regular and not self.unheard)  # a failed write proves nothing
        elif self.said:
            self.abandon()
            asker.failed(self, "closed in the middle of a head")
        else:
            size = asker.size_sent() if regular and not self.unheard else 0
            untaken = size > 0 and is_untaken(self.sock, size)
            self.abandon()
            asker.failed(self, "closed without an answer", sent=not untaken)

    def _on_end_of_body(self, asker: Asker, *, regular: bool) -> None:
        assert self.pump is not None
        rest = self.pump.end() if regular else None
        if rest is None:
            self.abandon()
            asker.cut("the worker closed in the middle of a response")
        elif asker.take_body(rest):
            self.reusable = False
            self.complete(asker, b"")

    def _garbage(self, asker: Asker, error: Malformed) -> None:
        """Invalid HTTP: a 502 if nothing was sent yet, otherwise a cut."""
        self.abandon()
        if self.phase is BODY:
            asker.cut(f"invalid response: {error.detail}")
        else:
            asker.failed(self, f"invalid response: {error.detail}")


def _naming_setting(error: Malformed) -> Malformed:
    """For a head that is too large the message names the setting that would allow it."""
    if error.status not in (414, 431):
        return error
    setting = "proxy.max_response_fields" if error.detail.endswith("fields") else "proxy.max_response_head"
    return Malformed(502, f"{error.detail} ({setting})")


def _connect_unix(sock: socket.socket, path: str) -> int:
    """Connect to the socket with this path, without following a link.

    A worker owns the folder of its socket, and the router may connect to other workers' sockets. A
    link there would let the worker's clients reach another worker past its rules. connect(2)
    follows links; open(2) with O_PATH need not. Raises OSError.
    """
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return sock.connect_ex(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
