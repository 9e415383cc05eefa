"""Whether all addresses that the router listens on can be open at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import PurePosixPath


def conflicts(listen: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Pairs of an index in the list and the earlier address that it conflicts with.

    A wildcard address (0.0.0.0, [::]) conflicts with every address on the same port. An IPv6 socket
    does not accept IPv4, as its socket unit says (BindIPv6Only=, systemd.socket(5)), so it never
    conflicts with an IPv4 address.
    """
    for at, address in enumerate(listen):
        taker = next((before for before in listen[:at] if _is_both(before, address)), None)
        if taker is not None:
            yield at, taker


def _is_both(one: str, other: str) -> bool:
    if one.startswith("/") or other.startswith("/"):
        return PurePosixPath(one) == PurePosixPath(other)
    (host, port), (other_host, other_port) = _parts(one), _parts(other)
    if port != other_port or host.version != other_host.version:
        return False
    return host == other_host or host.is_unspecified or other_host.is_unspecified


def _parts(address: str) -> tuple[IPv4Address | IPv6Address, int]:
    host, _, port = address.rpartition(":")
    return ip_address(host.removeprefix("[").removesuffix("]")), int(port)
