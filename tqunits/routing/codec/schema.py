"""The schema of routes.json, version 1: what each key holds, read and written.

The router believes a snapshot or refuses it as a whole: unknown keys, missing keys, wrong types,
another version. A half-understood snapshot would route somebody's requests to somebody else. Only
keys that came later may be missing, in what stays of a worker as an earlier release wrote it: then
they are what `USUAL` has.

Time spans are microseconds (`_us`), seconds (`_s`), sizes are bytes; 0 is no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeVar

from tqunits.errors import TqunitsError
from tqunits.model import ClientGone, HeadLimits, Retry
from tqunits.routing.codec.document import VERSION, json_of, text_of
from tqunits.routing.endpoint import Address, parse_address
from tqunits.routing.released_files import ReleasedFiles
from tqunits.routing.snapshot import (
    DEFAULT_WORKER_TIMEOUTS,
    ClientTimeouts,
    RoutedWorker,
    Snapshot,
    StaticFiles,
    WorkerTimeouts,
    check_host,
    check_prefix,
)

USUAL: Final = RoutedWorker(
    name="", hosts=(), routes=(), strip_prefix=True, endpoints=(), timeouts=DEFAULT_WORKER_TIMEOUTS
)
"""A worker without any settings: the defaults of the values are those of the file."""

_MAX_SPAN: Final = 2**63

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


def parse_snapshot(text: bytes) -> Snapshot:
    """Read a snapshot. Raises TqunitsError that names the key; gives all of it or nothing."""
    try:
        document = json_of(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TqunitsError(f"routes: not JSON: {error}") from None
    top = _Object(document, "routes")
    version = top.integer("version", 0)
    if version != VERSION:
        raise TqunitsError(f"routes: version {version} is not {VERSION}", hint="install the same tqunits everywhere")
    limits = top.object("limits", _read_limits)
    tls = top.object("tls", _read_tls)
    snapshot = Snapshot(
        timeouts=top.object("timeouts", _read_client_timeouts),
        max_connections=limits["max_connections"],
        max_connections_per_client=limits["max_connections_per_client"],
        heads=HeadLimits(limits["max_request_line"], limits["max_head"], limits["max_fields"]),
        trusted_proxies=top.strings("trusted_proxies", _network),
        access_log=top.boolean("access_log"),
        redirect=tls[0],
        hsts_s=tls[1],
        workers=top.objects("workers", _read_worker),
    )
    top.finish()
    _check_names(snapshot)
    _check_surges(snapshot)
    return snapshot


def snapshot_text(snapshot: Snapshot) -> str:
    """The file that says so."""
    return text_of(
        {
            "version": VERSION,
            "timeouts": _client_timeouts(snapshot.timeouts),
            "limits": _limits(snapshot),
            "trusted_proxies": [str(network) for network in snapshot.trusted_proxies],
            "access_log": snapshot.access_log,
            "tls": {"redirect": snapshot.redirect, "hsts_s": snapshot.hsts_s},
            "workers": [_worker(worker) for worker in snapshot.workers],
        }
    )


class _Object:
    """A JSON object that gives up its members one by one, and complains about what is missing or
    left."""

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
        """What came later: a worker that install left as it was is in a snapshot as an earlier
        release wrote it."""
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


def _read_client_timeouts(members: _Object) -> ClientTimeouts:
    return ClientTimeouts(
        head_us=members.natural("head_us"), idle_us=members.natural("idle_us"), drain_us=members.natural("drain_us")
    )


def _client_timeouts(timeouts: ClientTimeouts) -> Mapping[str, int]:
    return {"head_us": timeouts.head_us, "idle_us": timeouts.idle_us, "drain_us": timeouts.drain_us}


def _read_limits(members: _Object) -> Mapping[str, int]:
    unlimited = "max_connections_per_client"
    names = ("max_connections", unlimited, "max_request_line", "max_head", "max_fields")
    return {name: members.integer(name, 0 if name == unlimited else 1) for name in names}


def _limits(snapshot: Snapshot) -> Mapping[str, int]:
    return {
        "max_connections": snapshot.max_connections,
        "max_connections_per_client": snapshot.max_connections_per_client,
        "max_request_line": snapshot.heads.request_line,
        "max_head": snapshot.heads.head,
        "max_fields": snapshot.heads.fields,
    }


def _read_tls(members: _Object) -> tuple[bool, int]:
    return members.boolean("redirect"), members.natural("hsts_s")


def _read_worker(members: _Object) -> RoutedWorker:
    return RoutedWorker(
        name=members.string("name"),
        hosts=members.strings("hosts", check_host),
        routes=members.strings("routes", check_prefix),
        strip_prefix=members.boolean("strip_prefix"),
        endpoints=members.strings("endpoints", _endpoint),
        surge=members.later("surge", members.boolean, USUAL.surge),
        timeouts=members.object("timeouts", _read_worker_timeouts),
        max_body=members.natural("max_body"),
        min_body_rate=members.later("min_body_rate", members.natural, USUAL.min_body_rate),
        max_inflight=members.positive("max_inflight"),
        queue_us=members.natural("queue_us"),
        retry=members.choice("retry", Retry),
        buffer_requests=members.boolean("buffer_requests"),
        encoded_slash=members.boolean("encoded_slash"),
        on_client_gone=members.later("on_client_gone", _client_gone(members), USUAL.on_client_gone),
        response_heads=_read_response_heads(members),
        raw_path=members.later("raw_path", members.boolean, USUAL.raw_path),
        via=members.later("via", members.boolean, USUAL.via),
        static=members.object_or_null("static", _read_static),
        start_us=members.later("start_us", members.natural, USUAL.start_us),
        disabled=members.later("disabled", members.boolean, USUAL.disabled),
    )


def _worker(worker: RoutedWorker) -> Mapping[str, object]:
    return {
        "name": worker.name,
        "hosts": list(worker.hosts),
        "routes": list(worker.routes),
        "strip_prefix": worker.strip_prefix,
        "endpoints": [str(address) for address in worker.endpoints],
        "surge": worker.surge,
        "timeouts": _worker_timeouts(worker.timeouts),
        "max_body": worker.max_body,
        "min_body_rate": worker.min_body_rate,
        "max_inflight": worker.max_inflight,
        "queue_us": worker.queue_us,
        "retry": str(worker.retry),
        "buffer_requests": worker.buffer_requests,
        "encoded_slash": worker.encoded_slash,
        "on_client_gone": str(worker.on_client_gone),
        "max_response_head": worker.response_heads.head,
        "max_response_fields": worker.response_heads.fields,
        "raw_path": worker.raw_path,
        "via": worker.via,
        "static": _static(worker.static) if worker.static else None,
        "start_us": worker.start_us,
        "disabled": worker.disabled,
    }


def _client_gone(members: _Object) -> Callable[[str], ClientGone]:
    return lambda key: members.choice(key, ClientGone)


def _read_response_heads(members: _Object) -> HeadLimits:
    """The status line may be as long as the head: it has no key of its own."""
    head = members.later("max_response_head", members.positive, USUAL.response_heads.head)
    fields = members.later("max_response_fields", members.positive, USUAL.response_heads.fields)
    return HeadLimits(head, head, fields)


def _read_worker_timeouts(members: _Object) -> WorkerTimeouts:
    return WorkerTimeouts(
        request_us=members.natural("request_us"),
        read_us=members.natural("read_us"),
        write_us=members.natural("write_us"),
        idle_us=members.natural("idle_us"),
        body_us=members.later("body_us", members.natural, USUAL.timeouts.body_us),
        stream_us=members.later("stream_us", members.natural, USUAL.timeouts.stream_us),
    )


def _worker_timeouts(timeouts: WorkerTimeouts) -> Mapping[str, int]:
    return {
        "request_us": timeouts.request_us,
        "read_us": timeouts.read_us,
        "write_us": timeouts.write_us,
        "idle_us": timeouts.idle_us,
        "body_us": timeouts.body_us,
        "stream_us": timeouts.stream_us,
    }


def _read_static(members: _Object) -> StaticFiles:
    return StaticFiles(
        directory=_absolute(members, "directory"),
        prefix=check_prefix(members.string("prefix"), "static"),
        release=members.later("release", _released(members), None),
    )


def _static(files: StaticFiles) -> Mapping[str, object]:
    release = files.release
    released = {"link": release.link, "directory": release.directory} if release is not None else None
    return {"directory": files.directory, "prefix": files.prefix, "release": released}


def _released(members: _Object) -> Callable[[str], ReleasedFiles | None]:
    return lambda key: members.object_or_null(key, _read_released)


def _read_released(members: _Object) -> ReleasedFiles:
    link, directory = _absolute(members, "link"), _absolute(members, "directory")
    if ".." in directory.split("/") or not f"{directory}/".startswith(f"{link}/"):
        raise TqunitsError(f"{directory!r} is not in the release {link!r}")
    return ReleasedFiles(link=link, directory=directory)


def _absolute(members: _Object, key: str) -> str:
    path = members.string(key)
    if not path.startswith("/") or "\0" in path:
        raise TqunitsError(f"{path!r} is no absolute path")
    return path


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


def _check_surges(snapshot: Snapshot) -> None:
    """A surge is one more than the replicas."""
    for worker in snapshot.workers:
        if worker.surge and len(worker.endpoints) < 2:
            raise TqunitsError(f"routes: {worker.name!r} has a surge, and no other endpoint")


def _check_names(snapshot: Snapshot) -> None:
    seen: set[str] = set()
    for worker in snapshot.workers:
        if worker.name in seen:
            raise TqunitsError(f"routes: two workers are named {worker.name!r}")
        seen.add(worker.name)
