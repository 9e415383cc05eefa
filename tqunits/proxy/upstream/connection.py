"""A connection to a worker: connecting, one exchange at a time, idle in the pool in between.

The response half of the router. A worker's bytes are read as strictly as a client's (RFC 9112 §6.3): what is not a
valid response is a 502 and the end of the connection. The connection goes back to the pool only after a response that
was whole, delimited by itself, with nothing behind it, to a request that was sent completely (§9.2, §9.3).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from tqunits.http.alike import AlikeResponse
from tqunits.http.fields import ResponseFields
from tqunits.http.forward import accepts_websocket, response_head
from tqunits.http.framing import Framing, response_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, ResponseHead, parse_response
from tqunits.http.mending import foreign
from tqunits.http.phases import WORKER_PHASES, WorkerPhase
from tqunits.http.pump import Pump
from tqunits.proxy.downstream import relaying
from tqunits.proxy.transport.stream import RECEIVE, UNCOPIED, Stream
from tqunits.proxy.upstream.untaken import is_untaken

if TYPE_CHECKING:
    from tqunits.proxy.downstream.client import Client
    from tqunits.proxy.upstream.pool import Endpoint

MAX_INTERIM: Final = 16
"""1xx responses before the final one: a worker that sends more is not going to answer."""


CONNECTING: Final = WORKER_PHASES["CONNECTING"]
IDLE: Final = WORKER_PHASES["IDLE"]
HEAD: Final = WORKER_PHASES["HEAD"]
BODY: Final = WORKER_PHASES["BODY"]
TUNNEL: Final = WORKER_PHASES["TUNNEL"]


class Upstream(Stream):
    """One connection to one endpoint."""

    __slots__ = (
        "alike",
        "client",
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

    def __init__(self, sock: socket.socket, endpoint: Endpoint, phase: WorkerPhase) -> None:
        super().__init__(sock, endpoint.poller, endpoint.wheel)
        self.endpoint = endpoint
        self.number = endpoint.standing.opened = endpoint.standing.opened + 1
        self.phase = phase
        self.client: Client | None = None
        self.heads = HeadBuffer()
        self.fields: ResponseFields | None = None  # of the last response that was read the long way
        self.alike: AlikeResponse | None = None  # what was made of the response before
        self.pump: Pump | None = None  # of the response's body
        self.uses = 0  # how often it served before: it may have died of old age
        self.reusable = False
        self.said = False  # a byte of the response has come
        self.cut_off = False  # by a reset: the worker had not read all that was sent
        self.unheard = False  # it takes no more of the request, but may still answer
        self.interim = 0

    @classmethod
    def connect(cls, endpoint: Endpoint) -> Upstream:
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

    def begin(self, client: Client) -> None:
        """Serve that client's request: it is told by `upstream_ready` when it may send."""
        self.client = client
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
        client.upstream_ready(self)

    def close(self) -> None:
        if self.relay is not None:
            self.relay.abort()
            self.relay = None
        super().close()

    def abandon(self) -> None:
        """The exchange is off: nobody wants the rest of the answer."""
        if self.client is not None:
            self.client.stop_relay()  # its target is about to be closed
            if self.relay is not None:
                self.client.account.sent += self.relay.moved
            self.client = None
            self.endpoint.in_flight -= 1
            if self.endpoint.draining:
                self.endpoint.settle()
        self.close()

    def is_alive(self) -> bool:
        """Whether an idle connection still stands: asked before a request that could not be sent twice."""
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # its end, or bytes that nobody asked for

    def on_readable(self) -> None:
        client = self.client
        try:
            data = self.wire.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = None
        if client is None:
            self.endpoint.lose_ended(self)
        elif not data:
            self.on_end(client, regular=data is not None)
        elif self.phase is HEAD:
            if self.alike is None or self.said or not self._respond_alike(client, self.alike, data):
                self._on_head(client, data)
        elif self.phase is BODY:
            self._on_body(client, data)
        else:
            assert client.tunnel is not None
            client.tunnel.from_worker(data)

    def on_writable(self) -> None:
        if self.phase is CONNECTING:
            self._on_connected()
        else:
            super().on_writable()

    def on_flushed(self) -> None:
        client = self.client
        if client is not None:
            client.upstream_flushed()

    def on_progress(self) -> None:
        if self.client is not None:
            self.client.moved()

    def on_broken(self) -> None:
        """It takes no more; it may have answered before it closed, so keep reading."""
        self.unheard = True

    def on_fault(self) -> None:
        client = self.client
        if client is None:
            self.endpoint.lose(self)
        else:
            try:
                self.abandon()
            finally:
                client.on_fault()

    def expire(self) -> None:
        """Idle for long enough; if it serves again, that deadline is of the time before, and its client has one."""
        if self.client is None:
            self.endpoint.lose_aged(self)

    def _on_connected(self) -> None:
        self.poller.remove_writer(self.sock)
        client = self.client
        assert client is not None
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.abandon()
            client.upstream_refused(self, os.strerror(code))
            return
        if self.endpoint.failures:
            self.endpoint.came_up()
        self.phase = self.phase.connected
        self.resume()
        client.upstream_ready(self)

    def _on_head(self, client: Client, data: bytes) -> None:
        """Collect the response's head, and pass it on with what came behind it."""
        self.said = True
        backend = client.backend
        assert backend is not None
        self.heads.limits = limits = backend.response_heads
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
                    self._respond(client, head, data)
                    return
                if head.status == 101:
                    self._switch(client, head, data)
                    return
                if not self._pass_interim(client, head):
                    return
                if not data:
                    return
        except Malformed as error:
            self._garbage(client, _naming_setting(error))

    def _pass_interim(self, client: Client, head: ResponseHead) -> bool:
        """Forward 100, 103 and the like to a client that knows them (RFC 9110 §15.2)."""
        self.interim += 1
        if self.interim > MAX_INTERIM:
            raise Malformed(502, f"more than {MAX_INTERIM} interim responses")
        client.moved()
        return not client.modern or client.write_out(response_head(head, None, close=False, date=b""))

    def _respond_alike(self, client: Client, alike: AlikeResponse, data: bytes) -> bool:
        """A final response like the one before goes on the short way; False: it is not like it."""
        if client.method == b"HEAD" or client.secured is not None:
            return False
        found = alike.read(data)
        if found is None:
            return False
        kept, framing, end = found
        self.said = True
        self.reusable = client.pump is None
        out = alike.head(kept, framing, client.account.request_id, close=client.will_close(framing))
        self._pass_on(client, out, framing, alike.status, data, end)
        return True

    def _respond(self, client: Client, head: ResponseHead, data: bytes) -> None:
        """A final response, the long way. `data`: what came behind its head."""
        fields = head.fields
        framing = response_framing(head, client.method, chunks=client.modern)
        self.reusable = (
            head.minor == 1 and b"close" not in fields.options_said and not framing.until_close and client.pump is None
        )
        assert client.backend is not None
        self.alike = AlikeResponse.of(head, framing, client.backend.response_heads)
        date = b"" if b"date" in fields.special else client.router.clock.date()
        lines = b"" if b"x-request-id" in fields.special else b"\r\nX-Request-ID: " + client.account.request_id
        if client.secured is not None:
            lines += client.lines_for(head)
        out = response_head(head, framing, close=client.will_close(framing), date=date, lines=lines)
        self._pass_on(client, out, framing, head.status, data, 0)

    def _pass_on(self, client: Client, out: bytes, framing: Framing, status: int, data: bytes, at: int) -> None:
        """Everything that is known so far of a final response goes out in one send: `out`, its body from data[at]."""
        size = len(data) - at
        if size == framing.length and size < UNCOPIED:  # most of them
            client.responding(framing, status, self.endpoint, size)
            if client.write(out + data[at:]):
                self.complete(client, b"")
            else:
                client.abort()
            return
        body: bytes | memoryview = data[at:] if size < UNCOPIED else memoryview(data)[at:]
        surplus = b""
        if framing.length > size:
            self.pump = framing.pump(passed=size)
        elif framing.length != size:
            self.pump = pump = framing.pump(trailers=client.trailers)
            body, surplus = (b"", bytes(body)) if pump is None else (pump.feed(bytes(body)), pump.surplus)
        client.responding(framing, status, self.endpoint, len(body))
        if not client.write_both(out, body):
            client.abort()
            return
        pump = self.pump
        if pump is None or pump.done:
            self.complete(client, surplus)
            return
        self.phase = self.phase.responded
        if framing.length < 0:
            assert client.backend is not None
            client.silence = min(client.silence, client.backend.stream)
        client.moved()
        if client.outbox:
            self.pause()
        elif pump.rest:
            self.postpone()
        else:
            relaying.download(self, client)

    def _on_body(self, client: Client, data: bytes) -> None:
        pump = self.pump
        assert pump is not None
        try:
            out = pump.feed(data)
        except Malformed as error:
            self._garbage(client, error)
            return
        client.account.sent += len(out)
        if out and not client.write_out(out):
            return
        if pump.done:
            self.complete(client, pump.surplus)
            return
        client.moved()
        if client.outbox:
            self.pause()
        elif pump.rest:
            self.postpone()
        elif len(data) == RECEIVE:
            relaying.download(self, client)

    def resume(self) -> None:
        """Read (again), when all that has come is looked at: chunks that are many and small wait for another turn."""
        if self.pump is not None and self.pump.rest:
            self.postpone()
        else:
            super().resume()

    def on_turn(self) -> None:
        """Another turn has come for what is here of a body of small chunks."""
        client = self.client
        if client is not None and self.phase is BODY and not client.outbox:
            self._on_body(client, b"")
            if self.phase is BODY and not client.outbox:
                self.resume()

    def complete(self, client: Client, surplus: bytes) -> None:
        """The response is whole: the connection is free again, or done with."""
        if client.relay is not None:  # the answer did not wait for all of the request's body
            client.stop_relay()
        self.client = None
        self.pump = None
        endpoint = self.endpoint
        endpoint.in_flight -= 1
        if endpoint.draining:
            endpoint.settle()
        if self.reusable and not surplus and not self.outbox and client.pump is None and not self.unheard:
            self.phase = self.phase.completed
            self.uses += 1
            endpoint.keep(self)
            if not self.reading:
                self.resume()
        else:
            self.close()
        client.finished()

    def _switch(self, client: Client, head: ResponseHead, data: bytes) -> None:
        """101: from here on bytes, if that was asked for (RFC 9110 §7.8)."""
        if not client.upgrade or not accepts_websocket(head):
            raise Malformed(502, "a 101 to a request without that upgrade")
        self.phase = self.phase.switched
        client.switched(self, head, data)

    def on_end(self, client: Client, *, regular: bool) -> None:
        """The worker closed. That ends a response only if the response was to end so."""
        self.pause()
        self.cut_off = not regular
        if self.phase is TUNNEL:
            assert client.tunnel is not None
            client.tunnel.worker_ended(regular=regular)
        elif self.phase is BODY:
            self._on_end_of_body(client, regular=regular and not self.unheard)  # the write has had the error
        elif self.said:
            self.abandon()
            client.upstream_failed(self, "closed in the middle of a head")
        else:
            untaken = regular and not self.unheard and client.kept and is_untaken(self.sock, len(client.first))
            self.abandon()
            client.upstream_failed(self, "closed without an answer", sent=not untaken)

    def _on_end_of_body(self, client: Client, *, regular: bool) -> None:
        assert self.pump is not None
        rest = self.pump.end() if regular else None
        if rest is None:
            self.abandon()
            client.cut("the worker closed in the middle of a response")
        elif client.write_out(rest):
            client.account.sent += len(rest)
            self.reusable = False
            self.complete(client, b"")

    def _garbage(self, client: Client, error: Malformed) -> None:
        """Not HTTP as we speak it: a 502 if nothing of it went out, else a cut."""
        responding = client.started
        self.abandon()
        if responding:
            client.cut(f"invalid response: {error.detail}")
        else:
            client.upstream_failed(self, f"invalid response: {error.detail}")


def _naming_setting(error: Malformed) -> Malformed:
    """A head that is too large has a setting that lets it through."""
    if error.status not in (414, 431):
        return error
    setting = "proxy.max_response_fields" if error.detail.endswith("fields") else "proxy.max_response_head"
    return Malformed(502, f"{error.detail} ({setting})")


def _connect_unix(sock: socket.socket, path: str) -> int:
    """Connect to the socket that has this name, and to none that a link by this name leads to.

    A worker owns the folder of its socket, and the router may enter other workers': a link there would let its clients
    in, past what holds for the other's routes. connect(2) follows links; open(2) with O_PATH need not. Raises OSError.
    """
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return sock.connect_ex(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
