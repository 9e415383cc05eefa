"""A client's connection, as far as its requests are understood: what they say, where they go, what a worker gets.

All of a head is read before any of it has an effect. Once a request has been read the long way and the next one is like
it, what was made of it is kept (`Known`), and those that follow are read by what differs: alike.py says what may, and
one that is the same byte for byte is not read at all.
"""

from __future__ import annotations

import socket
from typing import Final

from tqunits.http.alike import AlikeRequest, Asked
from tqunits.http.forward import (
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
from tqunits.proxy.downstream.exchange import Waiting
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.routes.site import Site
from tqunits.routing.table import Table

_QUESTIONABLE: Final = PASSES | {b"expect"}

_ONLY_WEBSOCKET: Final = "an upgrade is not passed on: the router upgrades only to websocket, by a GET without a body"


class Known:
    """What was made of a request, for those that come after it on the connection; by these routes and no others."""

    __slots__ = ("alike", "backend", "found", "host", "method", "raw", "table", "text")

    def __init__(
        self, alike: AlikeRequest, method: bytes, host: bytes, table: Table[Backend], backend: Backend
    ) -> None:
        self.alike = alike
        self.method = method
        self.host = host  # the name to route by
        self.table = table
        self.backend = backend
        self.found: Asked | None = None  # in the last one
        self.raw = b""  # one that has come twice in a row, as that of a page that asks for news does
        self.text = b""  # of what the worker gets for that one, up to the request's identifier

    def keep(self, raw: bytes, text: bytes) -> None:
        """It may come once more. A copy: what recv(2) gave lies where 72 KiB were, and would break up the heap."""
        self.raw = b"%b" % raw
        self.text = text


class Asking(Waiting):
    """One client's connection, as far as it asks for something."""

    __slots__ = ("first", "heads", "known", "last", "trailers")

    def __init__(self, sock: socket.socket, peer: Peer, router: Router) -> None:
        super().__init__(sock, peer, router)
        self.heads = HeadBuffer(router.rules.heads)
        self.last: RequestHead | None = None  # that was read the long way
        self.known: Known | None = None
        self.trailers = False  # the client reads trailers
        self.first: bytes = b""  # what goes to the worker first: the head, and what was there of the body

    def forget_request(self) -> None:
        self.last = self.known = None
        self.first = b""
        self.origin.forget()

    def on_request(self, raw: bytes) -> None:
        """One whole head, the long way: read all of it before any of it has an effect."""
        self.known = None
        try:
            self._read(raw)
        except Malformed as error:
            self.refuse(error)

    def ask_again(self, known: Known, data: bytes) -> bool:
        """The short way, for a request like the one before; False: it is not, and is to be taken.

        Requests that are sent ahead of the answers go the long way: hardly anybody does that.
        """
        router, backend = self.router, known.backend
        if known.table is not router.rules.table:
            return False
        framing = NO_BODY
        if data == known.raw:
            request_id = router.request_id()
            self.first = known.text + request_id + b"\r\n\r\n"
        else:
            found = known.alike.read(data)
            if found is None or known.table.find(known.host, found[0]) is not backend:
                return False
            _, _, _, framing, end = found
            if backend.is_too_long(framing):
                return False
            request_id = router.request_id()
            self.first = known.alike.head(found, request_id)
            if framing is not NO_BODY:
                data, self.input = data[:end], data[end:]
            elif found == known.found:
                known.keep(data, self.first[: -len(request_id) - 4])
            known.found = found
        worker = backend.worker
        self.method = known.method
        self.account.began(data, worker.name, worker.metrics, request_id)
        self.modern = self.persistent = True
        self.bodiless = framing.source is Kind.NONE
        self.dispatch(backend, framing)
        return True

    def dispatch(self, backend: Backend, framing: Framing) -> None:
        """The request is understood, and its head for the worker written: find it an endpoint, or a place in line."""
        raise AssertionError

    def serve_file(self, site: Site, head: RequestHead, target: Target, backend: Backend) -> bool:
        """Whether the request is answered without the program: with a file, or because there is no program."""
        raise AssertionError

    def _read(self, raw: bytes) -> None:
        """Raises Malformed."""
        last = self.last
        self.last = head = parse_request(raw, None if last is None else last.fields, self.router.rules.heads)
        self.method = head.method
        self.account.began(raw)
        target = read_target(head)
        if not target.host:
            target.host = self.own_authority()
        framing = self._read_meaning(head)
        relayed = None if self.trusted is None else self._relayed(self.trusted, head)
        self.account.request_id = (b"" if relayed is None else relayed.request_id) or self.router.request_id()
        backend = self._route(head, target, relayed)
        if backend is not None:
            self._prepare(head, framing, target, backend, relayed)
            if self.trusted is None and backend.site is None:
                self._remember(head, target, framing, backend)
            self.dispatch(backend, framing)

    def _read_meaning(self, head: RequestHead) -> Framing:
        """What a request says besides what it asks for. Raises Malformed."""
        fields = head.fields
        framing = request_framing(head)
        if fields.usual and head.minor:
            self.modern = self.persistent = True
            self.bodiless = framing.source is Kind.NONE
            self.upgrade = self.trailers = False
            return framing
        if not fields.special.isdisjoint(_QUESTIONABLE):
            check_request(head, self.router.name)
        self.modern = head.minor == 1
        self.persistent = self.modern and b"close" not in fields.options_said
        self.bodiless = framing.source is Kind.NONE
        self.upgrade = b"upgrade" in fields.special and self._upgrades(head, framing)
        self.trailers = b"te" in fields.special and wants_trailers(head)
        return framing

    def _upgrades(self, head: RequestHead, framing: Framing) -> bool:
        """Whether it asks for the one upgrade that there is. That another is not passed on is said."""
        if wants_websocket(head, framing):
            return True
        if wants_upgrade(head):
            self.router.complaints.seldom(_ONLY_WEBSOCKET, f"for {self.account.whom()}: ")
        return False

    def _route(self, head: RequestHead, target: Target, relayed: RelayedOrigin | None) -> Backend | None:
        """What it is for; None: it has been answered here. Raises Malformed."""
        router = self.router
        if router.rules.redirect and self.secured is None and (relayed is None or relayed.scheme != b"https"):
            self.redirect(target)
            return None
        backend = router.rules.table.find(self._name(target.host), target.path)
        if target.encoded_slash and (backend is None or not backend.encoded_slash):
            worker = "a worker" if backend is None else f"worker {backend.worker.name}"
            hint = f"{worker} takes it with proxy.allow_encoded_slash: true"
            raise Malformed(400, "an encoded slash in the path", hint)
        if backend is None or ends_here(head):
            self.answer(404 if backend is None else 200)
            return None
        site = backend.site
        if site is not None and backend.worker.notice is None and self.serve_file(site, head, target, backend):
            return None
        return backend

    def _relayed(self, trusted: TrustedPeer, head: RequestHead) -> RelayedOrigin:
        """For whom a trusted proxy asks. That it contradicts itself is said once: it does so with every request."""
        relayed = trusted.origin(head.fields)
        self.account.relayed(relayed.client, relayed.scheme)
        if relayed.contradicting:
            peer, fields = self.peer.address.decode("ascii", "replace"), ", ".join(relayed.contradicting)
            self.router.complaints.once(
                f"the trusted proxy {peer} contradicts itself about a client's scheme, which is taken for https"
                f" ({fields}): let it set X-Forwarded-Proto, and remove the others"
            )
        return relayed

    def _name(self, host: bytes) -> bytes:
        """The name to route by; b"" where no route asks for it."""
        return host_name(host) if self.router.rules.table.by_host else b""

    def _prepare(
        self, head: RequestHead, framing: Framing, target: Target, backend: Backend, relayed: RelayedOrigin | None
    ) -> None:
        """The head that the worker gets. Raises Malformed: 413."""
        worker, route, request_id = backend.worker, backend.rewrite, self.account.request_id
        if relayed is not None:
            route = route.below(relayed.prefix)
        self.account.routed(worker.name, worker.metrics, request_id)
        if backend.is_too_long(framing):
            raise Malformed(413, "the body is too large")
        self.first = request_head(
            head,
            target,
            framing,
            origin=relayed or self.origin,
            route=route,
            request_id=request_id,
            upgrade=self.upgrade,
            continued=backend.buffers and not self.bodiless and self.says_continue(),
        )

    def says_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        return self.last is not None and expects_continue(self.last)

    def _remember(self, head: RequestHead, target: Target, framing: Framing, backend: Backend) -> None:
        """Keep what was made of a request, if the next may be read by it."""
        lines = self.origin.lines(target.host)
        alike = AlikeRequest.of(head, target, framing, lines, backend.rewrite, self.router.rules.heads)
        if alike is not None:
            self.known = Known(alike, head.method, self._name(target.host), self.router.rules.table, backend)
