"""Routes as they are written on the command line: [HOST]/PREFIX=ENDPOINT[,SETTING=VALUE...].

    /api=127.0.0.1:9000      api.example/=unix:/run/x.sock
    /live=127.0.0.1:9001,timeouts.stream=6h

What the settings mean is read as worker.yaml's are (cli/route_options.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tqunits.errors import TqunitsError, UsageError
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.routing.endpoint import Address, parse_address
from tqunits.routing.snapshot import (
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_TIMEOUTS,
    DEFAULT_WORKER_TIMEOUTS,
    RoutedWorker,
    Snapshot,
    check_host,
    check_prefix,
)

EXAMPLE: Final = "write --route /api=127.0.0.1:9000 or --route /=unix:/run/x.sock"

_OPTION: Final = late_pattern(r",(?=[a-z_]+(?:\.[a-z_]+)?=)")
"""Where a setting begins: the path of a socket may have commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One --route; `where`: what it is called in errors."""

    where: str
    host: str  # lower case; "": any
    prefix: str
    address: Address
    options: tuple[str, ...]  # SETTING=VALUE

    @property
    def name(self) -> str:
        """What its worker is called: the same route given again is the same worker."""
        return self.host + self.prefix


def parse_route(text: str) -> Route:
    """Read one, its settings apart. Raises UsageError that says what to write instead."""
    route, *options = _OPTION.split(text)
    host, prefix, address = _parsed(route)
    return Route(where=f"--route {text}", host=host, prefix=prefix, address=address, options=tuple(options))


def worker_of(route: Route, known: RoutedWorker | None, *, strip: bool, queue_us: int) -> RoutedWorker:
    """The worker of a route, before its settings; one that is `known` gets another endpoint."""
    if known is not None:
        return replace(known, endpoints=(*known.endpoints, route.address))
    return RoutedWorker(
        name=route.name,
        hosts=(route.host,) if route.host else (),
        routes=(route.prefix,),
        strip_prefix=strip,
        endpoints=(route.address,),
        timeouts=DEFAULT_WORKER_TIMEOUTS,
        queue_us=queue_us,
    )


def snapshot_around(workers: Iterable[RoutedWorker]) -> Snapshot:
    """Everything else as it is where nothing is said."""
    return Snapshot(timeouts=DEFAULT_TIMEOUTS, max_connections=DEFAULT_MAX_CONNECTIONS, workers=tuple(workers))


def _parsed(text: str) -> tuple[str, str, Address]:
    left, equals, endpoint = text.partition("=")
    where = f"--route {text}"
    if not equals:
        raise UsageError(f"{where}: no '='", hint=EXAMPLE)
    host, slash, path = left.partition("/")
    if not slash:
        raise UsageError(f"{where}: the route does not begin with '/'", hint=f"write --route /{left}={endpoint}")
    prefix = "/" + path.rstrip("/")
    try:
        return check_host(host.lower(), where) if host else "", check_prefix(prefix, where), parse_address(endpoint)
    except TqunitsError as error:
        message = error.message if error.message.startswith(where) else f"{where}: {error.message}"
        raise UsageError(message, hint=error.hint) from None
