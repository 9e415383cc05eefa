"""The PROXY protocol: headers in one piece, byte by byte, and bytes that only resemble one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.http.address import plain, told
from tqunits.http.grammar import Malformed
from tqunits.http.proxy_protocol import MAX_BLOCK, MAX_LINE, SIGNATURE, Header, crc32c, may_begin, read

NEXT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LOOPBACKS = bytes((192, 0, 2, 7, 127, 0, 0, 1)) + b"\x12\x34\x00\x50"
MAPPED = IPv6Address("::ffff:192.0.2.7").packed


def block(rest: bytes = b"", *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    return SIGNATURE + bytes((command, family)) + (len(rest) if size is None else size).to_bytes(2, "big") + rest


def vector(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def summed(before: bytes, after: bytes = b"") -> bytes:
    """A header whose vectors have a correct checksum between `before` and `after`."""
    rest = LOOPBACKS + before
    zeroed = block(rest + vector(3, bytes(4)) + after)
    return block(rest + vector(3, crc32c(zeroed).to_bytes(4, "big")) + after)


GOOD = {
    "TCP4": (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", b"192.0.2.7"),
    "TCP4, longest": (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", b"255.255.255.255"),
    "TCP4, shortest": (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", b"0.0.0.0"),
    "TCP6": (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", b"2001:db8::7"),
    "TCP6 in full": (b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 0:0:0:0:0:0:0:1 4711 443\r\n", b"2001:db8::7"),
    "TCP6 of IPv4": (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n", b"192.0.2.7"),
    "UNKNOWN": (b"PROXY UNKNOWN\r\n", b""),
    "UNKNOWN with addresses": (b"PROXY UNKNOWN 192.0.2.7 127.0.0.1 4711 80\r\n", b""),
    "UNKNOWN, longest": (b"PROXY UNKNOWN ".ljust(MAX_LINE - 2, b"f") + b"\r\n", b""),
    "v2 TCP4": (block(LOOPBACKS), b"192.0.2.7"),
    "v2 UDP4": (block(LOOPBACKS, family=0x12), b""),
    "v2 TCP6": (block(IPv6Address("2001:db8::7").packed + bytes(20), family=0x21), b"2001:db8::7"),
    "v2 TCP6 of IPv4": (block(MAPPED + bytes(20), family=0x21), b"192.0.2.7"),
    "v2 UNIX": (block(b"/run/x".ljust(216, b"\0"), family=0x31), b""),
    "v2 unspecified": (block(family=0), b""),
    "v2 unspecified, with bytes": (block(b"anything", family=0), b""),
    "v2 TCP4 of an unspecified transport": (block(LOOPBACKS, family=0x10), b""),
    "v2 LOCAL": (block(command=0x20, family=0), b""),
    "v2 LOCAL with addresses": (block(LOOPBACKS, command=0x20), b""),
    "v2 LOCAL of an unknown family": (block(b"xyz", command=0x20, family=0xFF), b""),
    "v2 with vectors": (block(LOOPBACKS + vector(1, b"h2") + vector(4, b"") + vector(0xEA, b"x" * 300)), b"192.0.2.7"),
    "v2 with a checksum": (summed(vector(2, b"a.example"), vector(4, b"pad")), b"192.0.2.7"),
    "v2, longest": (block(LOOPBACKS + vector(4, bytes(MAX_BLOCK - 15))), b"192.0.2.7"),
}

BAD = {
    "a request": NEXT,
    "another name": b"PROXX TCP4 192.0.2.7 127.0.0.1 1 2\r\n",
    "a lower-case name": b"proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n",
    "a tab": b"PROXY\tTCP4 192.0.2.7 127.0.0.1 1 2\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2 \r\n",
    "no ports": b"PROXY TCP4 192.0.2.7 127.0.0.1\r\n",
    "LF only": b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\n",
    "CR only": b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r" + NEXT,
    "LF within": b"PROXY UNKNOWN a\nb\r\n",
    "CR within": b"PROXY UNKNOWN a\rb\r\n",
    "UNKNOWN without a space": b"PROXY UNKNOWN1\r\n",
    "another family": b"PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n",
    "a leading zero": b"PROXY TCP4 192.0.02.7 127.0.0.1 1 2\r\n",
    "a number beyond": b"PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n",
    "three numbers": b"PROXY TCP4 192.0.2 127.0.0.1 1 2\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n",
    "of two families": b"PROXY TCP6 2001:db8::7 127.0.0.1 1 2\r\n",
    "two gaps": b"PROXY TCP6 2001::db8::7 ::1 1 2\r\n",
    "a scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "a bad destination": b"PROXY TCP4 192.0.2.7 127.0.0.999 1 2\r\n",
    "a port beyond": b"PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n",
    "a second port beyond": b"PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n",
    "a port with a zero": b"PROXY TCP4 192.0.2.7 127.0.0.1 01 2\r\n",
    "a port with a sign": b"PROXY TCP4 192.0.2.7 127.0.0.1 +1 2\r\n",
    "no end": b"PROXY UNKNOWN ".ljust(MAX_LINE, b"f"),
    "an end too late": b"PROXY UNKNOWN ".ljust(MAX_LINE - 1, b"f") + b"\r\n",
    "v2 of version 1": block(LOOPBACKS, command=0x11),
    "v2 of another command": block(LOOPBACKS, command=0x22),
    "v2 of another family": block(LOOPBACKS, family=0x41),
    "v2 of another transport": block(LOOPBACKS, family=0x13),
    "v2 too short for its addresses": block(LOOPBACKS[:-1]),
    "v2 TCP6 too short": block(LOOPBACKS, family=0x21),
    "v2 too long": block(LOOPBACKS, size=MAX_BLOCK + 1),
    "v2 LOCAL too long": block(command=0x20, size=MAX_BLOCK + 1),
    "v2 with a rest": block(LOOPBACKS + b"\x01"),
    "v2 with a vector cut short": block(LOOPBACKS + vector(1, b"h2")[:-1]),
    "v2 with a wrong checksum": block(LOOPBACKS + vector(3, b"\x01\x02\x03\x04")),
    "v2 with a short checksum": block(LOOPBACKS + vector(3, b"\0\0\0")),
    "v2 with two checksums": block(LOOPBACKS + vector(3, bytes(4)) * 2),
    "v2 changed under its checksum": summed(vector(2, b"a.example")).replace(b"a.example", b"b.example"),
}


@pytest.mark.parametrize(("header", "address"), GOOD.values(), ids=GOOD.keys())
def test_a_header_tells_the_client(header: bytes, address: bytes) -> None:
    assert read(header) == Header(address, len(header))
    assert read(header + NEXT) == Header(address, len(header))


@pytest.mark.parametrize("header", [header for header, _ in GOOD.values()], ids=GOOD.keys())
def test_every_beginning_of_a_header_waits_for_more(header: bytes) -> None:
    for size in range(len(header)):
        assert may_begin(header[:size])
        assert read(header[:size]) is None


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        read(data)
    assert refused.value.status == 400


@pytest.mark.parametrize("data", [NEXT, b"PUT / HTTP/1.1\r\n", b"\r\nGET /", b"\x16\x03\x01", b"PROXYING / HTTP/1.1"])
def test_a_trusted_peer_may_do_without(data: bytes) -> None:
    assert not may_begin(data)


def test_a_header_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(Malformed):
        read(block(size=MAX_BLOCK + 1))
    assert read(block(size=MAX_BLOCK)) is None


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720 B.4 has more test vectors
    assert crc32c(bytes(32)) == 0x8A9136AA


PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.data())
def test_what_is_written_in_either_version_is_read_back(source: IPv4Address | IPv6Address, data: st.DataObject) -> None:
    destination = data.draw(st.ip_addresses(v=source.version))
    ports = data.draw(PORTS), data.draw(PORTS)
    follows = data.draw(st.binary(max_size=20))
    line = b"PROXY TCP%d %b %b %d %d\r\n" % (source.version, told(source), told(destination), *ports)
    packed = source.packed + destination.packed + b"".join(port.to_bytes(2, "big") for port in ports)
    binary = block(packed, family=0x11 if source.version == 4 else 0x21)
    for header in (line, binary):
        assert read(header + follows) == Header(told(plain(source)), len(header))


@given(st.sampled_from([b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0f"]), st.binary(max_size=60))
def test_anything_is_read_refused_or_waited_for(beginning: bytes, rest: bytes) -> None:
    try:
        header = read(beginning + rest)
    except Malformed:
        return
    if header is not None:
        assert header.length <= len(beginning + rest)
        assert header.address == b"" or told(ip_address(header.address.decode())) == header.address
