"""Everything that the router routes by, as one frozen value. codec/schema.py reads it from a file.

Time spans are microseconds, 0 is no limit, as in model.py. The default of a field counts where
nothing else is set.

This module is interpreted: a router uses these values when it loads routes, never for a request,
and install makes them without the compiled library.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Final

from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.model import USUAL_HEADS, USUAL_RESPONSE_HEADS, ClientGone, HeadLimits, Retry
from tqunits.routing.endpoint import Address
from tqunits.routing.released_files import ReleasedFiles

MAX_PREFIX: Final = 1024
"""A prefix is looked for border by border: this bounds the borders."""

_PREFIX: Final = late_pattern(r"/|(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_HOST: Final = late_pattern(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
DEFAULT_QUEUE_US: Final = 30_000_000
DEFAULT_BODY_US: Final = 10_000_000
DEFAULT_BODY_RATE: Final = 1024
"""A body's, where the file is of a release that had none: what stays of a refused worker is written
as it was."""
DEFAULT_STREAM_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTimeouts:
    """How long the router waits for clients, and how long it drains."""

    head_us: int
    idle_us: int
    drain_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimeouts:
    """The limits for one worker and its clients: a whole request, a silence, a stall, an idle
    connection."""

    request_us: int
    read_us: int
    write_us: int
    idle_us: int
    body_us: int = DEFAULT_BODY_US  # how far a body may lag behind `min_body_rate`
    stream_us: int = DEFAULT_STREAM_US  # a silence in an answer that has begun and has no known length


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFiles:
    """A folder that the router serves itself, below the worker's route."""

    directory: str  # absolute
    prefix: str  # "/" or "/assets": where it appears, after the route's own prefix
    release: ReleasedFiles | None = None  # None: whatever is deployed, the files are those of `directory`


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedWorker:
    """One worker as the router sees it."""

    name: str
    hosts: tuple[str, ...]  # lower case; empty: any
    routes: tuple[str, ...]
    strip_prefix: bool
    endpoints: tuple[Address, ...]  # of its instances, in their order: the first is number 1's
    timeouts: WorkerTimeouts
    surge: bool = False  # the last endpoint is of an instance that runs during a roll only
    max_body: int = 0  # bytes; 0: any
    min_body_rate: int = DEFAULT_BODY_RATE  # bytes a second; 0: any
    max_inflight: int = 1000  # requests at once; more wait, as many again
    queue_us: int = DEFAULT_QUEUE_US  # how long they wait, also for an endpoint that refuses
    retry: Retry = Retry.IDEMPOTENT
    buffer_requests: bool = False  # the worker hears of one when its body is there
    encoded_slash: bool = False  # let %2F through
    on_client_gone: ClientGone = ClientGone.FINISH
    response_heads: HeadLimits = USUAL_RESPONSE_HEADS  # of its answers
    raw_path: bool = False  # paths go on as they were sent
    via: bool = False  # what catches loops stands in Via, else in CDN-Loop
    static: StaticFiles | None = None
    start_us: int = 0  # a start takes no longer: who is not serving after that is down; 0: any
    disabled: bool = False  # by its worker.yaml: every request is answered with 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the router routes by."""

    timeouts: ClientTimeouts
    max_connections: int
    max_connections_per_client: int = 0  # of one address; 0: any
    heads: HeadLimits = USUAL_HEADS  # of requests
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    access_log: bool = False  # to the journal
    redirect: bool = False  # plain HTTP to HTTPS
    hsts_s: int = 0  # Strict-Transport-Security: max-age, in seconds; 0: not said
    workers: tuple[RoutedWorker, ...]

    def routes(self) -> tuple[tuple[str, str, RoutedWorker], ...]:
        """Every (host, prefix, worker), as `table.Table` takes them; host "" is any."""
        return tuple((host, route, w) for w in self.workers for host in w.hosts or ("",) for route in w.routes)


DEFAULT_TIMEOUTS: Final = ClientTimeouts(head_us=10_000_000, idle_us=120_000_000, drain_us=30_000_000)
DEFAULT_WORKER_TIMEOUTS: Final = WorkerTimeouts(
    request_us=0, read_us=30_000_000, write_us=30_000_000, idle_us=120_000_000
)
DEFAULT_MAX_CONNECTIONS: Final = 20_000


def check_prefix(prefix: str, where: str) -> str:
    """A route prefix in canonical spelling. Raises TqunitsError."""
    if len(prefix) > MAX_PREFIX or _PREFIX.fullmatch(prefix) is None:
        raise TqunitsError(
            f"{where}: {prefix!r} is no route", hint="write a path such as /api, without a slash at its end"
        )
    return prefix


def check_host(host: str, where: str) -> str:
    """A host name in lower case, without a port. Raises TqunitsError."""
    if _HOST.fullmatch(host) is None:
        raise TqunitsError(f"{where}: {host!r} is no host", hint="write it in lower case, without a port")
    return host
