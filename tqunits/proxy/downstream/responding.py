"""A client's connection, as far as a worker's response goes to it: heads, the first of a body, and its end.

upstream/connection.py reads the response and checks it; what the client gets of it is written here.
"""

from __future__ import annotations

from tqunits.http.additions import additions
from tqunits.http.alike import AlikeResponse
from tqunits.http.forward import response_head
from tqunits.http.framing import Framing, response_framing
from tqunits.http.head import ResponseHead
from tqunits.model import HeadLimits
from tqunits.proxy.downstream import relaying
from tqunits.proxy.downstream.body import Gathering
from tqunits.proxy.transport.stream import UNCOPIED
from tqunits.proxy.upstream.connection import Upstream


class Responding(Gathering):
    """One client's connection, as far as it is answered by a worker."""

    __slots__ = ()

    def response_limits(self) -> HeadLimits:
        assert self.backend is not None
        return self.backend.response_heads

    def interim(self, head: ResponseHead) -> bool:
        """Forward 100, 103 and the like to a client that knows them (RFC 9110 §15.2)."""
        self.moved()
        return not self.modern or self.write_out(response_head(head, None, close=False, date=b""))

    def respond_alike(self, upstream: Upstream, alike: AlikeResponse, data: bytes) -> bool:
        if self.method == b"HEAD":
            return False
        found = alike.read(data)
        if found is None:
            return False
        kept, framing, end = found
        upstream.said = True
        upstream.reusable = self.pump is None
        lines = additions(self.account.request_id, b"" if alike.says_hsts else self.hsts)
        out = alike.head(kept, framing, lines, close=self.will_close(framing))
        self._pass_on(upstream, out, framing, alike.status, data, end)
        return True

    def respond(self, upstream: Upstream, head: ResponseHead, data: bytes) -> None:
        fields = head.fields
        framing = response_framing(head, self.method, chunks=self.modern)
        upstream.reusable = (
            head.minor == 1 and b"close" not in fields.options_said and not framing.until_close and self.pump is None
        )
        upstream.alike = AlikeResponse.of(head, framing, self.response_limits())
        date = b"" if b"date" in fields.special else self.router.clock.date()
        lines = additions(self.account.request_id, self.hsts, fields)
        out = response_head(head, framing, close=self.will_close(framing), date=date, lines=lines)
        self._pass_on(upstream, out, framing, head.status, data, 0)

    def _pass_on(self, upstream: Upstream, out: bytes, framing: Framing, status: int, data: bytes, at: int) -> None:
        """Everything that is known so far of a final response goes out in one send: `out`, its body from data[at]."""
        size = len(data) - at
        if size == framing.length and size < UNCOPIED:  # most of them
            self._begin_response(upstream, framing, status, size)
            if self.write(out + data[at:]):
                upstream.complete(self, b"")
            else:
                self.abort()
            return
        body: bytes | memoryview = data[at:] if size < UNCOPIED else memoryview(data)[at:]
        surplus = b""
        if framing.length > size:
            upstream.pump = framing.pump(passed=size)
        elif framing.length != size:
            upstream.pump = pump = framing.pump(trailers=self.trailers)
            body, surplus = (b"", bytes(body)) if pump is None else (pump.feed(bytes(body)), pump.surplus)
        self._begin_response(upstream, framing, status, len(body))
        if not self.write_both(out, body):
            self.abort()
            return
        pump = upstream.pump
        if pump is None or pump.done:
            upstream.complete(self, surplus)
            return
        upstream.phase = upstream.phase.responded
        if framing.length < 0:
            assert self.backend is not None
            self.silence = min(self.silence, self.backend.stream)
        self.moved()
        if self.outbox:
            upstream.pause()
        elif pump.rest:
            upstream.postpone()
        else:
            relaying.download(upstream, self)

    def _begin_response(self, upstream: Upstream, framing: Framing, status: int, size: int) -> None:
        """The final response begins; `size`: bytes of its body that go out with its head."""
        self.started = True
        self.delimited = not framing.closes
        account = self.account
        account.status = status
        account.endpoint = upstream.endpoint.label
        account.sent = size

    def take_body(self, data: bytes) -> bool:
        self.account.sent += len(data)
        return self.write_out(data)

    def is_behind(self) -> bool:
        return bool(self.outbox)

    def splice(self, upstream: Upstream) -> None:
        relaying.download(upstream, self)

    def let_go(self, moved: int) -> None:
        self.stop_relay()  # its target is about to be closed
        self.account.sent += moved

    def answered(self) -> None:
        self.stop_relay()  # the answer did not wait for all of the request's body

    def size_sent(self) -> int:
        return len(self.first) if self.kept else 0

    def upgrades(self) -> bool:
        return self.upgrade

    def fail_with(self) -> None:
        self.on_fault()
