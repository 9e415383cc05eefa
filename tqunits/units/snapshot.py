"""The router's snapshot: which request goes where, as JSON (version 1; routing/snapshot.py reads it).

In it are workers that run, those of type static, which have nothing to run, and those that are disabled, of which the
router says so. The text is the same for the same configuration, so that comparing texts tells whether the router has to
read it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from tqunits.errors import TqunitsError
from tqunits.model import Configuration, Enabled, OriginKind, Target, Worker, WorkerType, zero_if_endless
from tqunits.units.environment import socket_path

VERSION = 1
ROUTES = "routes.json"
"""Its file, in the state folder: JSON has no comments, so its place is what makes it ours."""

MAX_SNAPSHOT = 16 * 1024 * 1024
"""As the router has it."""

_NOT_OURS = (ValueError, LookupError, TypeError, RecursionError)
"""What is raised of a text that somebody else has written."""

_STATIC_KEYS = ("static.directory", "static.prefix")
_UNWRITTEN = frozenset({OriginKind.DEFAULT, OriginKind.PRESET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A worker that is files alone: it has no unit, and the snapshot is all that tells of it."""

    name: str
    hosts: tuple[str, ...]
    routes: tuple[str, ...]
    directory: str  # absolute


def routes_snapshot(configuration: Configuration, target: Target, ports: Mapping[str, int]) -> str:
    """The JSON text; spans in microseconds, sizes in bytes, 0 is no limit."""
    server = configuration.server
    document = {
        "version": VERSION,
        "timeouts": {
            "head_us": zero_if_endless(server.timeouts.head),
            "idle_us": zero_if_endless(server.timeouts.idle),
            "drain_us": zero_if_endless(server.timeouts.drain),
        },
        "limits": {
            "max_connections": server.proxy.max_connections,
            "max_connections_per_client": server.proxy.max_connections_per_client,
            "max_request_line": server.proxy.heads.request_line,
            "max_head": server.proxy.heads.head,
            "max_fields": server.proxy.heads.fields,
        },
        "trusted_proxies": list(server.proxy.trusted_proxies),
        "access_log": server.proxy.access_log == "journal",
        "tls": {"redirect": server.tls.redirect, "hsts_s": server.tls.hsts // 1_000_000},
        "workers": [*_running(configuration, target, ports), *_disabled(configuration)],
    }
    return _text(document)


def served_folder(worker: Worker) -> PurePosixPath | None:
    """The folder whose files the router serves, absolute. Beside a program only where somebody wrote `static`.

    That a worker has a folder called public is no wish that the world should read it.
    """
    deciders = {worker.origins[key].kind for key in _STATIC_KEYS if key in worker.origins}
    if worker.type is WorkerType.STATIC or deciders - _UNWRITTEN:
        return worker.folder / worker.static.directory
    return None


def files_alone(text: str) -> tuple[Served, ...]:
    """The workers of a snapshot that are files alone. Raises TqunitsError where it is none of ours."""
    try:
        document = _read(text)
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']!r} is not {VERSION}")
        workers = [worker for worker in document["workers"] if worker["static"] and not worker["endpoints"]]
        return tuple(
            Served(
                name=str(worker["name"]),
                hosts=tuple(map(str, worker["hosts"])),
                routes=tuple(map(str, worker["routes"])),
                directory=str(worker["static"]["directory"]),
            )
            for worker in workers
        )
    except _NOT_OURS as error:
        raise TqunitsError(
            f"{ROUTES}: no routes of tqunits: {error}", hint="'tqunits install' writes it anew"
        ) from None


def _read(text: str) -> dict[str, Any]:
    """Raises one of _NOT_OURS: a key that is given twice, too, as the router does not take it."""
    if len(text) > MAX_SNAPSHOT:
        raise ValueError(f"longer than {MAX_SNAPSHOT} bytes")
    text.encode("utf-8")  # what was read from a file that is not UTF-8 has surrogates
    document = json.loads(text, object_pairs_hook=_no_duplicates)
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members


def installed_routes(text: str) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Who has which host ("" for any) and route in a snapshot; nobody where the text is none of ours.

    Who is disabled keeps nobody from taking his.
    """
    try:
        workers = [worker for worker in _read(text)["workers"] if not worker.get("disabled")]
        return {str(worker["name"]): frozenset(_routes(worker)) for worker in workers}
    except _NOT_OURS:
        return {}


def without(text: str, workers: Iterable[str]) -> str | None:
    """The same snapshot without these workers; None when the text is no snapshot of ours."""
    gone = frozenset(workers)
    try:
        document = _read(text)
        document["workers"] = [worker for worker in document["workers"] if worker["name"] not in gone]
    except _NOT_OURS:
        return None
    return _text(document)


def with_workers(text: str, before: str, workers: Collection[str]) -> str:
    """The snapshot with these workers as they were in it before, but for routes that others have now.

    One that is in both is what it is now: its program is gone, its files are served.
    """
    if without(before, workers) == text:
        return before
    document = json.loads(text)
    names = {worker["name"] for worker in document["workers"]}
    taken = {route for worker in document["workers"] for route in _routes(worker)}
    try:
        gone = [worker for worker in _read(before)["workers"] if worker["name"] in workers]
        kept = [_left(worker, taken) for worker in gone if worker["name"] not in names]
    except _NOT_OURS:
        return text  # what lay there was no snapshot of ours
    document["workers"] += [worker for worker in kept if worker["routes"]]
    return _text(document)


def _routes(worker: Mapping[str, list[str]]) -> Iterable[tuple[str, str]]:
    return ((host, route) for host in worker["hosts"] or [""] for route in worker["routes"])


def _left(worker: Mapping[str, list[str]], taken: Collection[tuple[str, str]]) -> Mapping[str, list[str]]:
    """A route goes if it is taken on any of the worker's hosts: a table with two of the same is refused whole."""
    hosts = worker["hosts"] or [""]
    free = [route for route in worker["routes"] if not any((host, route) in taken for host in hosts)]
    return {**worker, "routes": free}


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _worker(worker: Worker, endpoints: list[str]) -> Mapping[str, object]:
    timeouts = worker.timeouts
    return {
        "name": worker.name,
        "hosts": list(worker.hosts),
        "routes": list(worker.routes),
        "strip_prefix": worker.strip_prefix,
        "endpoints": endpoints,
        "timeouts": {
            "request_us": zero_if_endless(timeouts.request),
            "read_us": zero_if_endless(timeouts.read),
            "write_us": zero_if_endless(timeouts.write),
            "idle_us": zero_if_endless(timeouts.idle),
            "body_us": zero_if_endless(timeouts.body),
            "stream_us": zero_if_endless(timeouts.stream),
        },
        "max_body": zero_if_endless(worker.proxy.max_body),
        "min_body_rate": zero_if_endless(worker.proxy.min_body_rate),
        "max_inflight": worker.proxy.max_inflight,
        "queue_us": zero_if_endless(worker.proxy.queue_timeout),
        "retry": str(worker.proxy.retry),
        "buffer_requests": worker.proxy.buffer_requests,
        "encoded_slash": worker.proxy.allow_encoded_slash,
        "on_client_gone": str(worker.proxy.on_client_gone),
        "max_response_head": worker.proxy.max_response_head,
        "max_response_fields": worker.proxy.max_response_fields,
        "raw_path": worker.proxy.raw_path,
        "via": worker.proxy.via,
        "static": _static(worker),
        "start_us": zero_if_endless(timeouts.start),
        "disabled": False,
    }


def _running(configuration: Configuration, target: Target, ports: Mapping[str, int]) -> list[Mapping[str, object]]:
    workers = (worker for worker in configuration.workers if worker.runs_in(configuration.server.mode))
    return [
        _worker(worker, [] if worker.type is WorkerType.STATIC else [_endpoint(worker, target, ports)])
        for worker in workers
    ]


def _disabled(configuration: Configuration) -> Iterator[Mapping[str, object]]:
    """Workers with `enabled: false` keep the routes that nobody else has: they are answered with 503.

    A worker that is for another mode has none here: on this host it was never meant to be.
    """
    mode = configuration.server.mode
    taken = {
        (host, route)
        for worker in configuration.workers
        if worker.runs_in(mode)
        for host in worker.hosts or ("",)
        for route in worker.routes
    }
    for worker in configuration.workers:
        hosts = worker.hosts or ("",)
        routes = [route for route in worker.routes if not any((host, route) in taken for host in hosts)]
        if worker.enabled is Enabled.FALSE and routes:
            taken |= {(host, route) for host in hosts for route in routes}
            yield {**_worker(worker, []), "routes": routes, "static": None, "disabled": True}


def _static(worker: Worker) -> Mapping[str, str] | None:
    folder = served_folder(worker)
    return None if folder is None else {"directory": str(folder), "prefix": worker.static.prefix}


def _endpoint(worker: Worker, target: Target, ports: Mapping[str, int]) -> str:
    socket = socket_path(worker, target.layout.runtime)
    return f"unix:{socket}" if socket else f"127.0.0.1:{ports[worker.name]}"
