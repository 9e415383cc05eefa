"""The PROXY protocol, versions 1 and 2, as it comes in: who a load balancer of TCP connections
speaks for.

HAProxy's doc/proxy-protocol.txt, by section. The header stands before everything else on a
connection. It is a claim like any X-Forwarded-For, so only a peer in `trusted_proxies` is asked for
it (§2, §5: never guess with strangers); such a peer may also do without, and `may_begin` tells by
its first bytes. No HTTP request that is served looks like one: version 2 has a NUL in its
signature, and version 1 takes the method `PROXY`, which nobody has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from tqunits.http.address import plain, read_address, told
from tqunits.http.grammar import Malformed

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins (§2.2)."""
NAME: Final = b"PROXY "
"""How version 1 begins (§2.1)."""

MAX_LINE: Final = 107
"""Of version 1, with its CRLF (§2.1)."""
MAX_BLOCK: Final = 4096
"""Bytes after the fixed 16 of version 2, out of 65535 that it could say: addresses take 216 at
most, the rest are descriptions (TLS version, certificate's name) that nobody here reads."""

_FIXED: Final = 16
_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_LINE: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) " + _PORT + rb" " + _PORT)
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*+)?+")

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_UNSPECIFIED: Final = frozenset({0x00, 0x01, 0x02, 0x10, 0x20, 0x30})
"""A family or a transport that the sender could not name: no address to read (§2.2)."""
_ADDRESSES: Final = {_TCP4: 12, 0x12: 12, _TCP6: 36, 0x22: 36, 0x31: 216, 0x32: 216}
"""Family and transport -> bytes of both addresses and ports. Datagrams and Unix sockets are known
to be skipped."""
_CRC32C: Final = 0x03


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header. `address`: the client's, in one spelling; b"" when none is told (LOCAL,
    UNKNOWN, AF_UNIX)."""

    address: bytes
    length: int  # bytes that it took


def may_begin(data: bytes) -> bool:
    """Whether `data`, the first bytes of a connection, is the beginning of a header, or can still
    become one."""
    return data.startswith((NAME, SIGNATURE)) or NAME.startswith(data) or SIGNATURE.startswith(data)


def read(data: bytes) -> Header | None:
    """The header that `data` begins with; None when more bytes are needed. What follows it is not
    looked at.

    Raises Malformed (400) for what is no header: the connection is to be dropped (§2.1, §2.2).
    """
    if data.startswith(NAME):
        return _read_line(data)
    if data.startswith(SIGNATURE):
        return _read_block(data)
    if may_begin(data):
        return None
    raise _malformed("neither version 1 nor 2")


def _read_line(data: bytes) -> Header | None:
    """Version 1: wait for the CRLF, then decode (§2.1)."""
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE or b"\n" in data:
            raise _malformed("no CRLF where the line must have ended")
        return None
    line = data[:end]
    if _UNKNOWN.fullmatch(line):
        return Header(b"", end + 2)
    match = _LINE.fullmatch(line)
    if match is None or int(match[4]) > 0xFFFF or int(match[5]) > 0xFFFF:
        raise _malformed("not TCP4, TCP6 or UNKNOWN with two addresses and two ports")
    return Header(_line_address(match), end + 2)


def _line_address(match: re.Match[bytes]) -> bytes:
    """The source. Both addresses must be of the family that is said; inet_ntop(3) writes some of
    IPv6 with dots."""
    source, destination = read_address(match[2]), read_address(match[3])
    colons = match[1] == b"6"
    if source is None or destination is None or not (b":" in match[2]) == (b":" in match[3]) == colons:
        raise _malformed("an address that is not of its family")
    return told(source)


def _read_block(data: bytes) -> Header | None:
    """Version 2: 16 fixed bytes, the addresses, then type-length-value vectors (§2.2)."""
    if len(data) < _FIXED:
        return None
    command, family, size = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise _malformed("not version 2 with LOCAL or PROXY")
    if size > MAX_BLOCK:
        raise _malformed(f"longer than {MAX_BLOCK} bytes")
    known = _ADDRESSES.get(family, 0)
    if command == _PROXY and (size < known or not (known or family in _UNSPECIFIED)):
        raise _malformed("a family that is none, or too short for its addresses")
    if len(data) < _FIXED + size:
        return None
    header = data[: _FIXED + size]
    if command == _LOCAL or not known:  # the block means nothing, its family included: skipped
        return Header(b"", len(header))
    _check_vectors(header, _FIXED + known)
    return Header(_block_address(header, family), len(header))


def _block_address(header: bytes, family: int) -> bytes:
    if family == _TCP4:
        return told(IPv4Address(header[_FIXED : _FIXED + 4]))
    if family == _TCP6:
        return told(plain(IPv6Address(header[_FIXED : _FIXED + 16])))
    return b""


def _check_vectors(header: bytes, at: int) -> None:
    """Each vector must end within the header; none is read but the checksum, which a receiver must
    obey (§2.2.3)."""
    summed = False
    while at < len(header):
        start = at + 3
        end = start + int.from_bytes(header[at + 1 : start], "big")
        if start > len(header) or end > len(header):
            raise _malformed("a vector that runs over the end")
        if header[at] == _CRC32C:
            if summed or end - start != 4 or not _sum_is_right(header, start):
                raise _malformed("a wrong checksum")
            summed = True
        at = end


def _sum_is_right(header: bytes, at: int) -> bool:
    """The sum is taken over the whole header with zeros in its own place."""
    return crc32c(header[:at] + bytes(4) + header[at + 4 :]) == int.from_bytes(header[at : at + 4], "big")


def crc32c(data: bytes) -> int:
    """The CRC of RFC 4960 Appendix B (Castagnoli's polynomial, bits reversed)."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = _TABLE[(remainder ^ byte) & 0xFF] ^ (remainder >> 8)
    return remainder ^ 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_table_entry(byte) for byte in range(256))


def _malformed(detail: str) -> Malformed:
    return Malformed(400, f"a PROXY header that is none: {detail}")
