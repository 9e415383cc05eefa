"""Which socket unit has which address of the router, so that an address that stays is never closed.

systemd keeps a socket open through a reload and through a restart of its service, but it can not
pass a socket to another unit. So an address stays in the unit that it is installed in, whatever its
place in `listen`. A new address gets a unit of its own, `tq-proxy-ADDRESS.socket`, with one
exception: tq-proxy.socket always exists, and takes the first new address when it has none. If there
is no new address either, it listens on a socket for root on this host. (Earlier releases had all
addresses in tq-proxy.socket. They stay there until they are removed from `listen`.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from tqunits.units import name, quote, unitfile

Places = Mapping[str, tuple[str, ...]]
"""Socket unit -> its addresses, as in ListenStream=."""

_WILDCARDS = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - compared with, not bound to


class HasContent(Protocol):
    """An installed file."""

    @property
    def content(self) -> str:
        """Its text."""
        ...


def places(listen: Sequence[str], installed: Places, spare: str) -> Places:
    """The unit of each address. `installed`: the installed units. `spare`: the address of
    tq-proxy.socket when it has no other.

    tq-proxy.socket comes first, the others follow by name.
    """
    wanted = dict.fromkeys(map(canonical, listen))
    kept = {unit: tuple(a for a in addresses if a in wanted) for unit, addresses in installed.items()}
    held = {address for addresses in kept.values() for address in addresses}
    new = [address for address in wanted if address not in held]
    first = kept.pop(name.PROXY_SOCKET, ()) or tuple(new[:1])
    found = {unit: addresses for unit, addresses in kept.items() if addresses}
    found |= {name.proxy_socket(address): (address,) for address in new if address not in first}
    return {name.PROXY_SOCKET: first or (canonical(spare),), **dict(sorted(found.items()))}


def installed(files: Mapping[PurePosixPath, HasContent]) -> Places:
    """The addresses of the installed socket units."""
    found = ((path.name, file.content) for path, file in sorted(files.items()) if name.is_proxy_socket(path.name))
    return {unit: of_unit(content) for unit, content in found if unitfile.is_ours(content)}


def of_unit(text: str) -> tuple[str, ...]:
    """The addresses of a socket unit."""
    return tuple(a.value for a in unitfile.parse(text) if (a.section, a.name) == ("Socket", "ListenStream"))


def canonical(address: str) -> str:
    """An address as systemd and the kernel print it, for ListenStream=: [0::0]:80 is [::]:80."""
    quoted = quote.address(address)
    host, _, port = quoted.rpartition(":")
    if quoted.startswith("["):
        return f"[{ipaddress.IPv6Address(host[1:-1])}]:{int(port)}"
    return quoted if quoted.startswith("/") else f"{host}:{int(port)}"


def overlap(one: str, other: str) -> bool:
    """Whether only one of two sockets can listen on these canonical addresses. Our IPv6 sockets do
    not accept IPv4."""
    if one.startswith("/") or other.startswith("/"):
        return one == other
    (host, _, port), (other_host, _, other_port) = one.rpartition(":"), other.rpartition(":")
    if port != other_port or host.startswith("[") != other_host.startswith("["):
        return False
    return host == other_host or not _WILDCARDS.isdisjoint((host, other_host))


def is_special(address: str) -> bool:
    """Whether it is an address of one interface, which may appear after the router has started."""
    host = address.rpartition(":")[0]
    return not address.startswith("/") and host not in _WILDCARDS


def all_of(found: Places) -> tuple[str, ...]:
    """The addresses of all units, sorted. Their units and their order make no difference to the
    router."""
    return tuple(sorted(address for addresses in found.values() for address in addresses))


def overlapping(these: Iterable[str], those: Sequence[str]) -> bool:
    """Whether one of `these` can not be opened while one of `those` is open."""
    return any(overlap(one, other) for one in these for other in those)
