"""One snapshot of the routes, prepared for use. It never changes: a new snapshot makes a new
object."""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.http.redirect import hsts_line
from tqunits.http.trust import Networks
from tqunits.proxy.reactor.timers import ticks_of
from tqunits.proxy.routes.backend import Backend
from tqunits.proxy.routes.clients import REMEMBERED
from tqunits.proxy.upstream.worker import Worker
from tqunits.routing.snapshot import Snapshot
from tqunits.routing.table import Table


class Rules:
    """Replaced by one assignment, so every request sees a single snapshot."""

    def __init__(self, snapshot: Snapshot, workers: Mapping[str, Worker], name: bytes, *, has_tls: bool) -> None:
        """`name`: the name of this host's routers in requests. Raises TqunitsError."""
        self.snapshot = snapshot
        self.table = Table(
            [
                (host, prefix, Backend(routed, prefix, workers[routed.name], name))
                for host, prefix, routed in snapshot.routes()
            ]
        )
        self.networks = Networks(snapshot.trusted_proxies)
        self.redirect = snapshot.redirect and has_tls
        self.hsts = hsts_line(snapshot.hsts_s)
        self.head_ticks = ticks_of(snapshot.timeouts.head_us)
        self.heads = snapshot.heads
        self.idle_ticks = ticks_of(snapshot.timeouts.idle_us)
        self.remembered_ticks = min(self.idle_ticks, REMEMBERED)
