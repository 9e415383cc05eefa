"""The target of one route, prepared for use."""

from __future__ import annotations

from tqunits.http.forward import Rewrite
from tqunits.http.framing import Framing
from tqunits.http.passes import pass_line
from tqunits.model import ClientGone
from tqunits.proxy.reactor.timers import ticks_of
from tqunits.proxy.routes.site import Site
from tqunits.proxy.upstream.worker import Worker
from tqunits.routing.snapshot import RoutedWorker


class Backend:
    """A worker with two routes has two backends."""

    __slots__ = (
        "aborts",
        "buffers",
        "encoded_slash",
        "grace",
        "max_body",
        "min_rate",
        "read",
        "request",
        "response_heads",
        "rewrite",
        "site",
        "site_path",
        "stream",
        "timeouts",
        "worker",
        "write",
    )

    def __init__(self, routed: RoutedWorker, prefix: str, worker: Worker, name: bytes) -> None:
        """`name`: the name of this host's routers."""
        self.worker = worker
        mark = pass_line(name, via=routed.via)
        self.rewrite = Rewrite(prefix.encode("ascii"), strip=routed.strip_prefix, mark=mark, raw=routed.raw_path)
        self.max_body = routed.max_body
        self.buffers = routed.buffer_requests
        self.encoded_slash = routed.encoded_slash
        self.response_heads = routed.response_heads
        static = routed.static
        is_alone = not routed.endpoints
        self.site = Site(static.directory, static.prefix, static.release, alone=is_alone) if static else None
        self.site_path = Rewrite(prefix.encode("ascii"), strip=True)  # also if the worker gets the path with its prefix
        self.request = ticks_of(routed.timeouts.request_us)
        self.read = ticks_of(routed.timeouts.read_us)
        self.write = ticks_of(routed.timeouts.write_us)
        self.min_rate = routed.min_body_rate
        self.grace = routed.min_body_rate * routed.timeouts.body_us // 1_000_000  # bytes that a body may be behind
        self.stream = ticks_of(routed.timeouts.stream_us)
        self.timeouts = routed.timeouts
        self.aborts = routed.on_client_gone is ClientGone.ABORT

    def is_too_long(self, framing: Framing) -> bool:
        """Whether the declared length of a body is more than the worker accepts."""
        return bool(self.max_body) and framing.length > self.max_body
