"""From an accepted socket to a client's connection, through the stages before HTTP.

A trusted proxy may first send the client's address (preface.py); with a certificate the first byte
then decides about TLS (greeting.py). The order is that of the bytes: the PROXY header comes before
the ClientHello. Most connections have neither stage, and begin at once.
"""

from __future__ import annotations

import socket
from functools import lru_cache, partial

from tqunits.proxy.downstream.asleep import Asleep
from tqunits.proxy.downstream.client import Client
from tqunits.proxy.front.arrival import Arrival
from tqunits.proxy.front.greeting import Greeting
from tqunits.proxy.front.preface import Preface
from tqunits.proxy.reactor.fault import give_up
from tqunits.proxy.routes.clients import Peer
from tqunits.proxy.routes.router import Router
from tqunits.proxy.transport.secured import Secured
from tqunits.proxy.transport.stream import received


def welcome(sock: socket.socket, address: object, router: Router) -> None:
    """Take a connection from accept(2), with its address. After a failure only `sock` is left of
    it."""
    router.books.metrics.accepted += 1
    sock.setblocking(False)
    host = _host(address[0]) if isinstance(address, tuple) else b""
    if router.rules.networks.contains(host):  # a trusted proxy has many clients: no limit counts it as one
        _await_preface(sock, host, router)
    elif router.clients.admit(host, router.rules.snapshot.max_connections_per_client):
        try:
            _greet(sock, host, router, believed=False, first=b"", counted=host)
        except Exception:
            router.clients.release(host)
            raise
    else:
        sock.close()


@lru_cache(1024)
def _host(address: str) -> bytes:
    """The host without a zone; an IPv4-mapped address as IPv4. One bytes object for each
    address."""
    return address.partition("%")[0].removeprefix("::ffff:").encode("ascii")


@lru_cache(1024)
def _plain(address: bytes, believed: bool) -> Peer:  # noqa: FBT001 (a cache's key)
    """Who speaks plain HTTP from there: one object for all of them, for there may be ten thousand
    behind one proxy."""
    return Peer(address, believed, None)


def _await_preface(sock: socket.socket, host: bytes, router: Router) -> None:
    preface = Preface(
        sock,
        router.poller,
        router.wheel,
        ticks=router.rules.head_ticks,
        done=partial(_after_preface, host, router),
        gone=partial(_gone, router, b""),
    )
    _start(router, preface)


def _after_preface(host: bytes, router: Router, preface: Preface, speaks_for: bytes | None, first: bytes) -> None:
    router.clients.arrived(preface)
    address = host if speaks_for is None else speaks_for or host
    believed = speaks_for is None or (speaks_for != b"" and router.rules.networks.contains(speaks_for))
    _greet(preface.sock, address, router, believed=believed, first=first, counted=b"")


def _greet(
    sock: socket.socket, address: bytes, router: Router, *, believed: bool, first: bytes, counted: bytes
) -> None:
    if router.certificates is None or first:  # what came first was no ClientHello
        _begin(sock, _plain(address, believed), router, first, counted)
        return
    greeting = Greeting(
        sock,
        router.certificates,
        router.poller,
        router.wheel,
        ticks=router.rules.head_ticks,
        done=partial(_after_greeting, address, router, counted, believed=believed),
        gone=partial(_gone, router, counted),
    )
    _start(router, greeting)


def _after_greeting(
    address: bytes, router: Router, counted: bytes, greeting: Greeting, secured: Secured | None, *, believed: bool
) -> None:
    router.clients.arrived(greeting)
    _begin(greeting.sock, Peer(address, believed, secured), router, b"", counted)


def _begin(sock: socket.socket, peer: Peer, router: Router, first: bytes, counted: bytes) -> None:
    """Start the client's connection. Most clients have sent a request by now; a silent one costs
    little."""
    data = first or received(peer.secured or sock)  # the kernel does not announce what TLS has decrypted already
    if data is None:
        asleep = Asleep(sock, peer, router, counted, Client)
        asleep.start(router.rules.idle_ticks)
        router.clients.joined_silent(asleep)
    elif data:
        client = Client(sock, peer, router)
        client.wake(counted)
        router.clients.joined(client)
        client.rest()
        try:
            client.take(data)
        except Exception as error:  # the caller must go on
            give_up(router.loop, client, error)
    else:
        sock.close()
        router.clients.release(counted)


def _start(router: Router, arrival: Arrival) -> None:
    arrival.start(router.rules.idle_ticks)
    router.clients.awaits(arrival)


def _gone(router: Router, counted: bytes, arrival: Arrival) -> None:
    router.clients.arrived(arrival)
    router.clients.release(counted)
