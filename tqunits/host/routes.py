"""Makes the routes that the routers of this host need from the configuration (routing/codec writes
them down).

They contain workers that run, workers of type static, which have no process, and disabled workers,
for which the router answers 503. The same configuration gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network

from tqunits.model import (
    Configuration,
    Enabled,
    HeadLimits,
    Host,
    Instance,
    Server,
    Timeouts,
    Worker,
    WorkerType,
    zero_if_endless,
)
from tqunits.routing.codec.schema import snapshot_text
from tqunits.routing.endpoint import Address
from tqunits.routing.released_files import ReleasedFiles
from tqunits.routing.snapshot import (
    ClientTimeouts,
    RoutedWorker,
    Snapshot,
    StaticFiles,
    WorkerTimeouts,
)
from tqunits.units import release_mount
from tqunits.units.environment import served_folder, socket_path


def routes_snapshot(configuration: Configuration, target: Host, ports: Mapping[Instance, int]) -> str:
    """The text of routes.json. `ports`: the port of each instance that listens on one."""
    return snapshot_text(_snapshot(configuration, target, ports))


def _snapshot(configuration: Configuration, target: Host, ports: Mapping[Instance, int]) -> Snapshot:
    server = configuration.server
    return Snapshot(
        timeouts=_client_timeouts(server),
        max_connections=server.proxy.max_connections,
        max_connections_per_client=server.proxy.max_connections_per_client,
        heads=server.proxy.heads,
        trusted_proxies=tuple(map(ip_network, server.proxy.trusted_proxies)),
        access_log=server.proxy.access_log == "journal",
        redirect=server.tls.redirect,
        hsts_s=server.tls.hsts // 1_000_000,
        workers=(*_running(configuration, target, ports), *_disabled(configuration, target)),
    )


def _client_timeouts(server: Server) -> ClientTimeouts:
    return ClientTimeouts(
        head_us=zero_if_endless(server.timeouts.head),
        idle_us=zero_if_endless(server.timeouts.idle),
        drain_us=zero_if_endless(server.timeouts.drain),
    )


def _running(configuration: Configuration, target: Host, ports: Mapping[Instance, int]) -> Iterator[RoutedWorker]:
    for worker in configuration.workers:
        if worker.runs_in(configuration.server.mode):
            slots = () if worker.type is WorkerType.STATIC else worker.slots
            yield _routed(worker, tuple(_endpoint(worker, whose, target, ports) for whose in slots), target)


def _disabled(configuration: Configuration, target: Host) -> Iterator[RoutedWorker]:
    """Workers with `enabled: false` keep the routes that no other worker has, and get 503 there.

    A worker that is meant for the other mode has no route: it was never meant to run on this host.
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
        routes = tuple(route for route in worker.routes if not any((host, route) in taken for host in hosts))
        if worker.enabled is Enabled.FALSE and routes:
            taken |= {(host, route) for host in hosts for route in routes}
            yield replace(_routed(worker, (), target), routes=routes, static=None, disabled=True)


def _routed(worker: Worker, endpoints: tuple[Address, ...], target: Host) -> RoutedWorker:
    proxy = worker.proxy
    return RoutedWorker(
        name=worker.name,
        hosts=worker.hosts,
        routes=worker.routes,
        strip_prefix=worker.strip_prefix,
        endpoints=endpoints,
        surge=worker.surge is not None,
        timeouts=_timeouts(worker.timeouts),
        max_body=zero_if_endless(proxy.max_body),
        min_body_rate=zero_if_endless(proxy.min_body_rate),
        max_inflight=proxy.max_inflight,
        queue_us=zero_if_endless(proxy.queue_timeout),
        retry=proxy.retry,
        buffer_requests=proxy.buffer_requests,
        encoded_slash=proxy.allow_encoded_slash,
        on_client_gone=proxy.on_client_gone,
        response_heads=HeadLimits(proxy.max_response_head, proxy.max_response_head, proxy.max_response_fields),
        raw_path=proxy.raw_path,
        via=proxy.via,
        static=_static(worker, target),
        start_us=zero_if_endless(worker.timeouts.start),
    )


def _timeouts(timeouts: Timeouts) -> WorkerTimeouts:
    return WorkerTimeouts(
        request_us=zero_if_endless(timeouts.request),
        read_us=zero_if_endless(timeouts.read),
        write_us=zero_if_endless(timeouts.write),
        idle_us=zero_if_endless(timeouts.idle),
        body_us=zero_if_endless(timeouts.body),
        stream_us=zero_if_endless(timeouts.stream),
    )


def _static(worker: Worker, target: Host) -> StaticFiles | None:
    folder = served_folder(worker)
    if folder is None:
        return None
    return StaticFiles(directory=str(folder), prefix=worker.static.prefix, release=_released(worker, target))


def _released(worker: Worker, target: Host) -> ReleasedFiles | None:
    """The same folder in the release of the first instance; a worker without a program has that
    number too."""
    part = release_mount.served_part(worker)
    if part is None or release_mount.obstacle(worker, target):
        return None
    link = release_mount.link(Instance(worker.name), target.layout.state)
    return ReleasedFiles(link=str(link), directory=str(link / part))


def _endpoint(worker: Worker, whose: Instance, target: Host, ports: Mapping[Instance, int]) -> Address:
    socket = socket_path(worker, whose, target.layout.runtime)
    return Address(path=socket) if socket else Address("127.0.0.1", ports[whose])
