"""Addresses of clients in fields and headers: parsed strictly, written in one spelling.

An address has many spellings (RFC 5952 §2), and an IPv4 address can be written as an IPv6 one; to
compare or log addresses one spelling is needed. `ipaddress` refuses leading zeros in IPv4, which
some parsers take for octal.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_V4: Final = re.compile(rb"[0-9.]{7,15}")
_V6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")


def read_address(text: bytes) -> Address | None:
    """An address without port, brackets and scope; None for anything else. `::ffff:192.0.2.1` is
    192.0.2.1."""
    pattern, kind = (_V6, IPv6Address) if b":" in text else (_V4, IPv4Address)
    if pattern.fullmatch(text) is None:
        return None
    try:
        return plain(kind(text.decode("ascii")))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The IPv4 address in an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2); any other address
    unchanged."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def told(address: Address) -> bytes:
    """The one spelling: lower case, zeros compressed (RFC 5952)."""
    return str(address).encode("ascii")
