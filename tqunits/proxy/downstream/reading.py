"""Parses the requests of a connection: their meaning, their route, and the head that the worker
gets.

The whole head is parsed before any of it has an effect. After a request was parsed completely (the
long way), its result is kept (`Known`). The next requests on the connection are parsed by their
differences (the short way): alike.py decides which differences are allowed. A request that is byte
for byte the same is not parsed at all.
"""

from __future__ import annotations

from typing import Final

from tqunits.http.alike import AlikeRequest, Asked
from tqunits.http.answers import NOTHING_INSTALLED
from tqunits.http.forward import (
    Origin,
    check_request,
    ends_here,
    expects_continue,
    request_head,
    wants_trailers,
    wants_upgrade,
    wants_websocket,
)
from tqunits.http.framing import NO_BODY, Framing, Kind, request_framing
from tqunits.http.grammar import Malformed
from tqunits.http.head import HeadBuffer, RequestHead, parse_request
from tqunits.http.passes import PASSES
from tqunits.http.target import Target, host_name, read_target
from tqunits.http.trust import RelayedOrigin, TrustedPeer
from tqunits.proxy.downstream import replying, static
from tqunits.proxy.downstream.handler import Handler
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.routing.table import Table

_QUESTIONABLE: Final = PASSES | {b"expect"}

_ONLY_WEBSOCKET: Final = "an upgrade is not passed on: the router upgrades only to websocket, by a GET without a body"


class Known:
    """The result of parsing a request, for later requests on the connection with the same
    routes."""

    __slots__ = ("alike", "backend", "found", "host", "method", "raw", "table", "text")

    def __init__(
        self, alike: AlikeRequest, method: bytes, host: bytes, table: Table[Backend], backend: Backend
    ) -> None:
        self.alike = alike
        self.method = method
        self.host = host  # the host that decides the route
        self.table = table
        self.backend = backend
        self.found: Asked | None = None  # of the last request
        self.raw = b""  # a request that came twice in a row, as from a page that polls
        self.text = b""  # the head for the worker of that request, up to the request ID

    def keep(self, raw: bytes, text: bytes) -> None:
        """The request may come again. It is copied: the buffer of recv(2) had 72 KiB, and keeping a
        part would fragment the heap."""
        self.raw = b"%b" % raw
        self.text = text


class Reader:
    """Parses the requests of one connection, one after the other."""

    __slots__ = ("_believed", "_exchange", "_last", "_origin", "_peer", "_router", "heads", "known")

    def __init__(self, exchange: Handler, peer: Peer, router: Router) -> None:
        scheme = b"http" if peer.secured is None else b"https"
        self._exchange = exchange
        self._router = router
        self._peer = peer
        self._origin = Origin(peer.address, scheme)
        self._believed = TrustedPeer(peer.address, scheme, router.rules.networks) if peer.believed else None
        self._last: RequestHead | None = None  # the last one that was parsed completely
        self.heads = HeadBuffer(router.rules.heads)
        self.known: Known | None = None

    def forget(self) -> None:
        """Forget the previous request."""
        self._last = self.known = None
        self._origin.forget()

    def read(self, raw: bytes) -> None:
        """Parse one whole head, the long way."""
        self.known = None
        try:
            self._read(raw)
        except Malformed as error:
            replying.refuse(self._exchange, error)

    def read_alike(self, known: Known, data: bytes) -> bool:
        """The short way, for a request like the one before; False: it is not alike, and must be
        parsed completely.

        Pipelined requests go the long way, because hardly any client sends them.
        """
        exchange, router, backend = self._exchange, self._router, known.backend
        if known.table is not router.rules.table:
            return False
        framing = NO_BODY
        if data == known.raw:
            request_id = router.request_id()
            exchange.first = known.text + request_id + b"\r\n\r\n"
        else:
            found = known.alike.read(data)
            if found is None or known.table.find(known.host, found[0]) is not backend:
                return False
            _, _, _, framing, end = found
            if backend.is_too_long(framing):
                return False
            request_id = router.request_id()
            exchange.first = known.alike.head(found, request_id)
            if framing is not NO_BODY:
                data, exchange.client.input = data[:end], data[end:]
            elif found == known.found:
                known.keep(data, exchange.first[: -len(request_id) - 4])
            known.found = found
        worker = backend.worker
        exchange.method = known.method
        exchange.account.began(data, worker.name, worker.metrics, request_id)
        exchange.modern = exchange.persistent = True
        exchange.bodiless = framing.source is Kind.NONE
        exchange.dispatch(backend, framing)
        return True

    def _read(self, raw: bytes) -> None:
        """Raises Malformed."""
        exchange, account = self._exchange, self._exchange.account
        self._last = head = self._parsed(raw)
        exchange.method = head.method
        account.began(raw)
        target = read_target(head)
        if not target.host:
            target.host = replying.own_authority(exchange)
        framing = self._read_meaning(head)
        relayed = None if self._believed is None else self._relayed(self._believed, head)
        account.request_id = (b"" if relayed is None else relayed.request_id) or self._router.request_id()
        backend = self._route(head, target, relayed)
        if backend is not None:
            self._prepare(head, framing, target, backend, relayed)
            if self._believed is None and backend.site is None:
                self._remember(head, target, framing, backend)
            exchange.dispatch(backend, framing)

    def _parsed(self, raw: bytes) -> RequestHead:
        """Raises Malformed."""
        last, rules, recent = self._last, self._router.rules, self._router.recent
        if last is not None:
            return parse_request(raw, last.fields, rules.heads)
        known = recent.fields(self._peer.address)
        head = parse_request(raw, known, rules.heads)
        if head.fields is not known:
            recent.keep(self._peer.address, head.fields)
        return head

    def _read_meaning(self, head: RequestHead) -> Framing:
        """The meaning of a request besides its target. Raises Malformed."""
        exchange, fields = self._exchange, head.fields
        framing = request_framing(head)
        exchange.bodiless = framing.source is Kind.NONE
        if fields.usual and head.minor:
            exchange.modern = exchange.persistent = True
            exchange.upgrade = exchange.trailers = exchange.expecting = False
            return framing
        if not fields.special.isdisjoint(_QUESTIONABLE):
            check_request(head, self._router.name)
        exchange.modern = head.minor == 1
        exchange.persistent = exchange.modern and b"close" not in fields.options_said
        exchange.upgrade = b"upgrade" in fields.special and self._upgrades(head, framing)
        exchange.trailers = b"te" in fields.special and wants_trailers(head)
        exchange.expecting = expects_continue(head)
        return framing

    def _upgrades(self, head: RequestHead, framing: Framing) -> bool:
        """Whether it asks for the one upgrade that is supported (websocket). Another upgrade is
        reported and not passed on."""
        if wants_websocket(head, framing):
            return True
        if wants_upgrade(head):
            self._router.complaints.seldom(_ONLY_WEBSOCKET, f"for {self._exchange.account.whom()}: ")
        return False

    def _route(self, head: RequestHead, target: Target, relayed: RelayedOrigin | None) -> Backend | None:
        """The backend of the request; None: it was answered here. Raises Malformed."""
        exchange, rules = self._exchange, self._router.rules
        if rules.redirect and exchange.secured is None and (relayed is None or relayed.scheme != b"https"):
            replying.redirect(exchange, target)
            return None
        backend = rules.table.find(self._name(target.host), target.path)
        if target.encoded_slash and (backend is None or not backend.encoded_slash):
            worker = "a worker" if backend is None else f"worker {backend.worker.name}"
            hint = f"{worker} takes it with proxy.allow_encoded_slash: true"
            raise Malformed(400, "an encoded slash in the path", hint)
        if backend is None:
            replying.answer(exchange, 404, "" if rules.snapshot.workers else NOTHING_INSTALLED)
            return None
        if ends_here(head):
            replying.answer(exchange, 200)
            return None
        site = backend.site
        if site is not None and backend.worker.notice is None and static.serve(exchange, site, head, target, backend):
            return None
        return backend

    def _relayed(self, believed: TrustedPeer, head: RequestHead) -> RelayedOrigin:
        """The client that a trusted proxy names. A contradiction is reported once, because the
        proxy repeats it with every request."""
        relayed = believed.origin(head.fields)
        self._exchange.account.relayed(relayed.client, relayed.scheme)
        if relayed.contradicting:
            peer, fields = self._peer.address.decode("ascii", "replace"), ", ".join(relayed.contradicting)
            self._router.complaints.once(
                f"the trusted proxy {peer} contradicts itself about a client's scheme, which is taken for https"
                f" ({fields}): let it set X-Forwarded-Proto, and remove the others"
            )
        return relayed

    def _name(self, host: bytes) -> bytes:
        """The host that decides the route; b"" when no route has hosts."""
        return host_name(host) if self._router.rules.table.by_host else b""

    def _prepare(
        self, head: RequestHead, framing: Framing, target: Target, backend: Backend, relayed: RelayedOrigin | None
    ) -> None:
        """Write the head for the worker. Raises Malformed: 413."""
        exchange, account, worker = self._exchange, self._exchange.account, backend.worker
        account.routed(worker.name, worker.metrics, account.request_id)
        if backend.is_too_long(framing):
            raise Malformed(413, "the body is too large")
        exchange.first = request_head(
            head,
            target,
            framing,
            origin=relayed or self._origin,
            route=backend.rewrite if relayed is None else backend.rewrite.below(relayed.prefix),
            request_id=account.request_id,
            upgrade=exchange.upgrade,
            continued=backend.buffers and not exchange.bodiless and exchange.expecting,
        )

    def _remember(self, head: RequestHead, target: Target, framing: Framing, backend: Backend) -> None:
        """Keep the result, if the next request may be parsed by it."""
        rules, lines = self._router.rules, self._origin.lines(target.host)
        alike = AlikeRequest.of(head, target, framing, lines, backend.rewrite, rules.heads)
        if alike is not None:
            self.known = Known(alike, head.method, self._name(target.host), rules.table, backend)
