"""The router's whole view of the world, as one frozen value; and the strict reader of the file it comes in.

The control plane writes a snapshot (JSON, version 1) and the router believes it or refuses it as a whole: unknown keys,
missing keys, wrong types, another version. A half-understood snapshot would route somebody's requests to somebody else.
Time spans are microseconds, 0 is no limit, as in model.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeVar

from tqunits.errors import TqunitsError
from tqunits.model import USUAL_HEADS, USUAL_RESPONSE_HEADS, ClientGone, HeadLimits, Retry
from tqunits.routing.endpoint import Address, parse_address

VERSION: Final = 1
MAX_SNAPSHOT: Final = 16 * 1024 * 1024
"""Ten thousand workers with room; a file beyond it is not a snapshot."""
MAX_PREFIX: Final = 1024
"""A prefix is looked for border by border: this bounds the borders."""

_PREFIX: Final = re.compile(r"/|(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
DEFAULT_QUEUE_US: Final = 30_000_000
DEFAULT_BODY_US: Final = 10_000_000
DEFAULT_BODY_RATE: Final = 1024
"""A body's, where the file is of a release that had none: what stays of a refused worker is written as it was."""
DEFAULT_STREAM_US: Final = 3_600_000_000
_MAX_SPAN: Final = 2**63

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTimeouts:
    """The router's patience with clients, and how long it drains."""

    head_us: int
    idle_us: int
    drain_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimeouts:
    """Its patience with one worker and its clients: the whole request, a silence, a stall, an idle connection."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedWorker:
    """One worker as the router sees it."""

    name: str
    hosts: tuple[str, ...]  # lower case; empty: any
    routes: tuple[str, ...]
    strip_prefix: bool
    endpoints: tuple[Address, ...]
    timeouts: WorkerTimeouts
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


def parse_snapshot(text: bytes) -> Snapshot:
    """Read a snapshot. Raises TqunitsError that names the key; gives all of it or nothing."""
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise TqunitsError(f"routes: not JSON: {error}") from None
    top = _Object(document, "routes")
    if top.integer("version", 0) != VERSION:
        raise TqunitsError(
            f"routes: version {document['version']} is not {VERSION}", hint="install the same tqunits everywhere"
        )
    limits = top.object("limits", _limits)
    tls = top.object("tls", _tls)
    snapshot = Snapshot(
        timeouts=top.object("timeouts", _client_timeouts),
        max_connections=limits["max_connections"],
        max_connections_per_client=limits["max_connections_per_client"],
        heads=HeadLimits(limits["max_request_line"], limits["max_head"], limits["max_fields"]),
        trusted_proxies=top.strings("trusted_proxies", _network),
        access_log=top.boolean("access_log"),
        redirect=tls[0],
        hsts_s=tls[1],
        workers=top.objects("workers", _worker),
    )
    top.finish()
    _check_names(snapshot)
    return snapshot


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


class _Object:
    """A JSON object that gives up its members one by one, and complains about what is missing or left."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise TqunitsError(f"{where}: not an object")
        self._members: dict[str, object] = dict(value)
        self._where = where

    def integer(self, key: str, least: int) -> int:
        value = self._take(key, int)
        if not least <= value < _MAX_SPAN:
            raise TqunitsError(f"{self._where}.{key}: {value!r} is not a number from {least}")
        return value

    def natural(self, key: str) -> int:
        return self.integer(key, 0)

    def positive(self, key: str) -> int:
        return self.integer(key, 1)

    def later(self, key: str, read: Callable[[str], T], otherwise: T) -> T:
        """What came later: a worker that install left as it was is in a snapshot as an earlier release wrote it."""
        return read(key) if key in self._members else otherwise

    def boolean(self, key: str) -> bool:
        return self._take(key, bool)

    def string(self, key: str) -> str:
        return self._take(key, str)

    def choice(self, key: str, kind: type[E]) -> E:
        value = self.string(key)
        try:
            return kind(value)
        except ValueError:
            raise TqunitsError(f"{self._where}.{key}: {value!r} is not one of {', '.join(kind)}") from None

    def strings(self, key: str, check: Callable[[str, str], T]) -> tuple[T, ...]:
        values: list[object] = self._take(key, list)
        found = []
        for index, value in enumerate(values):
            where = f"{self._where}.{key}[{index}]"
            if not isinstance(value, str):
                raise TqunitsError(f"{where}: not a string")
            found.append(check(value, where))
        return tuple(found)

    def object(self, key: str, read: Callable[[_Object], T]) -> T:
        return _read(self._take(key, dict), f"{self._where}.{key}", read)

    def object_or_null(self, key: str, read: Callable[[_Object], T]) -> T | None:
        if self._members.get(key, "") is None:
            del self._members[key]
            return None
        return self.object(key, read)

    def objects(self, key: str, read: Callable[[_Object], T]) -> tuple[T, ...]:
        values: list[object] = self._take(key, list)
        return tuple(_read(value, f"{self._where}.{key}[{index}]", read) for index, value in enumerate(values))

    def finish(self) -> None:
        if self._members:
            raise TqunitsError(f"{self._where}: unknown key {min(self._members)!r}")

    def _take(self, key: str, kind: type[T]) -> T:
        if key not in self._members:
            raise TqunitsError(f"{self._where}: no key {key!r}")
        value = self._members.pop(key)
        if not isinstance(value, kind) or type(value) is not kind:  # a bool is an int, and true is no number
            raise TqunitsError(f"{self._where}.{key}: not {_KINDS[kind]}")
        return value


_KINDS: Final[Mapping[type, str]] = {
    int: "a number",
    bool: "true or false",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _read(value: object, where: str, read: Callable[[_Object], T]) -> T:
    members = _Object(value, where)
    found = read(members)
    members.finish()
    return found


def _client_timeouts(members: _Object) -> ClientTimeouts:
    return ClientTimeouts(
        head_us=members.integer("head_us", 0),
        idle_us=members.integer("idle_us", 0),
        drain_us=members.integer("drain_us", 0),
    )


def _worker_timeouts(members: _Object) -> WorkerTimeouts:
    return WorkerTimeouts(
        request_us=members.integer("request_us", 0),
        read_us=members.integer("read_us", 0),
        write_us=members.integer("write_us", 0),
        idle_us=members.integer("idle_us", 0),
        body_us=members.later("body_us", members.natural, DEFAULT_BODY_US),
        stream_us=members.later("stream_us", members.natural, DEFAULT_STREAM_US),
    )


def _limits(members: _Object) -> dict[str, int]:
    unlimited = "max_connections_per_client"
    names = ("max_connections", unlimited, "max_request_line", "max_head", "max_fields")
    return {name: members.integer(name, 0 if name == unlimited else 1) for name in names}


def _tls(members: _Object) -> tuple[bool, int]:
    return members.boolean("redirect"), members.integer("hsts_s", 0)


def _static(members: _Object) -> StaticFiles:
    directory = members.string("directory")
    if not directory.startswith("/") or "\0" in directory:
        raise TqunitsError(f"{directory!r} is no absolute path")
    return StaticFiles(directory=directory, prefix=check_prefix(members.string("prefix"), "static"))


def _worker(members: _Object) -> RoutedWorker:
    return RoutedWorker(
        name=members.string("name"),
        hosts=members.strings("hosts", check_host),
        routes=members.strings("routes", check_prefix),
        strip_prefix=members.boolean("strip_prefix"),
        endpoints=members.strings("endpoints", _endpoint),
        timeouts=members.object("timeouts", _worker_timeouts),
        max_body=members.integer("max_body", 0),
        min_body_rate=members.later("min_body_rate", members.natural, DEFAULT_BODY_RATE),
        max_inflight=members.integer("max_inflight", 1),
        queue_us=members.integer("queue_us", 0),
        retry=members.choice("retry", Retry),
        buffer_requests=members.boolean("buffer_requests"),
        encoded_slash=members.boolean("encoded_slash"),
        on_client_gone=members.later("on_client_gone", _client_gone(members), ClientGone.FINISH),
        response_heads=_response_heads(members),
        raw_path=members.later("raw_path", members.boolean, False),
        via=members.later("via", members.boolean, False),
        static=members.object_or_null("static", _static),
        start_us=members.later("start_us", members.natural, 0),
        disabled=members.later("disabled", members.boolean, False),
    )


def _client_gone(members: _Object) -> Callable[[str], ClientGone]:
    return lambda key: members.choice(key, ClientGone)


def _response_heads(members: _Object) -> HeadLimits:
    """The status line may be as long as the head."""
    head = members.later("max_response_head", members.positive, USUAL_RESPONSE_HEADS.head)
    fields = members.later("max_response_fields", members.positive, USUAL_RESPONSE_HEADS.fields)
    return HeadLimits(head, head, fields)


def _network(text: str, where: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise TqunitsError(f"{where}: {text!r} is no network") from None


def _endpoint(text: str, where: str) -> Address:
    try:
        return parse_address(text)
    except TqunitsError as error:
        raise TqunitsError(f"{where}: {error.message}", hint=error.hint) from None


def _check_names(snapshot: Snapshot) -> None:
    seen: set[str] = set()
    for worker in snapshot.workers:
        if worker.name in seen:
            raise TqunitsError(f"routes: two workers are named {worker.name!r}")
        seen.add(worker.name)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members
