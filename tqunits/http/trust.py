"""Which proxies are trusted, and how far: what a worker is told about the client of a trusted
proxy.

`proxy.trusted_proxies` names networks. A peer outside them gets `forward.Origin`, whatever it
sends. The fields of a peer inside them are still parsed strictly, because proxies pass on what they
do not overwrite: one field line, one value, in a narrow alphabet; anything else is ignored. The
client is the rightmost address of X-Forwarded-For that no trusted proxy has (each proxy adds its
peer at the right, so everything left of that one is the client's own invention).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from tqunits.http.address import Address, read_address, told
from tqunits.http.fields import Fields, valid_authority
from tqunits.http.forward import element, node
from tqunits.http.grammar import TOKEN, Malformed, split_list
from tqunits.http.schemes import scheme_said
from tqunits.http.target import canonical_path

MAX_HOPS: Final = 32
"""Entries of a chain that are looked at, from the right; nobody has that many proxies in a row."""
MAX_KNOWN: Final = 4096
"""Entries of chains whose reading is remembered: the clients of a busy while, in under 1 MiB."""
MAX_PREFIX: Final = 1024
"""Bytes of X-Forwarded-Prefix; a route's own prefix has the same limit."""

_ENTRY: Final = re.compile(
    rb"([0-9.]{7,15})(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]{2,45})"
)
"""An address in X-Forwarded-For or behind `for=`, with the port that some proxies add."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._=+:@\-]{1,128}")
"""UUIDs, hexadecimal, base64url, `Root=1-...` of AWS: nothing that a log, a page or a shell has to
quote. No slash, for somebody names a file by it."""
_PREFIX: Final = re.compile(rb"/[A-Za-z0-9._~/\-]++")
"""Unreserved characters only: workers put it into pages and redirects."""

_TOKEN: Final = TOKEN.pattern
_PAIR: Final = re.compile(rb"([\t ,;]*+)(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"([^"\\]*+)")[\t ]*+')
"""One pair of Forwarded (RFC 7239 §4), with what is between it and the one before. No `\\` in a
quoted string: neither an address nor a host needs one."""


class Hop(NamedTuple):
    """One address of a chain."""

    address: bytes  # in its one spelling
    trusted: bool


class Networks:
    """The networks whose members are trusted proxies."""

    __slots__ = ("_known", "_v4", "_v6")

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        members = tuple(networks)
        self._v4 = _by_length(network for network in members if network.version == 4)
        self._v6 = _by_length(network for network in members if network.version == 6)
        self._known: dict[bytes, Hop | None] = {}

    def contains(self, address: bytes) -> bool:
        """Whether a peer of that address is trusted. A peer on a Unix socket has none (b"") and
        never is."""
        if not self._v4 and not self._v6:
            return False
        known = read_address(address)
        return known is not None and self._has(known)

    def hop(self, entry: bytes) -> Hop | None:
        """The address in an entry of X-Forwarded-For, or in a node of Forwarded; None when there is
        none."""
        known = self._known
        if entry in known:
            return known[entry]
        match = _ENTRY.fullmatch(entry)
        if match is None or match.lastindex is None:
            return None
        address = read_address(match[match.lastindex])
        if len(known) == MAX_KNOWN:
            known.clear()
        known[entry] = found = None if address is None else Hop(told(address), self._has(address))
        return found

    def _has(self, address: Address) -> bool:
        """One look-up per length of prefix, however many networks there are."""
        number = int(address)
        return any(number >> shift in networks for shift, networks in (self._v4 if address.version == 4 else self._v6))


class TrustedPeer:
    """A trusted peer; one object per connection."""

    __slots__ = ("_address", "_networks", "_scheme")

    def __init__(self, address: bytes, scheme: bytes, networks: Networks) -> None:
        """`address`, `scheme`: as for `forward.Origin`, of the peer itself."""
        self._address = address
        self._scheme = scheme
        self._networks = networks

    def origin(self, fields: Fields) -> RelayedOrigin:
        """The sender of a request with these fields."""
        chain = _members(fields)
        forwarded = _forwarded(fields)
        nodes, proto = _nodes(forwarded)
        if not nodes or (chain and self._networks.hop(nodes[-1]) != self._networks.hop(chain[-1])):
            forwarded, nodes, proto = b"", [], b""  # no story, or two: the proxy writes one and passes the other on
        hops = self._hops(chain or nodes)
        (scheme, contradicting), host = scheme_said(fields, proto), _host(fields)
        if not forwarded and (hops or scheme or host):
            forwarded = _from_hops(hops, host, scheme or self._scheme)
        return RelayedOrigin(
            client=hops[-1] if hops else self._address,
            scheme=scheme or self._scheme,
            contradicting=contradicting,
            host=host,
            prefix=_prefix(fields),
            request_id=_request_id(fields),
            chain=b", ".join((*(chain or reversed(hops)), self._address)),
            forwarded=forwarded + b", " if forwarded else b"",
            peer=self,
        )

    def element(self, host: bytes) -> bytes:
        """This hop in Forwarded: what the peer itself asked for, and how."""
        return element(node(self._address), host, self._scheme)

    def _hops(self, chain: list[bytes]) -> list[bytes]:
        """The addresses from the nearest proxy to the client. What is no address ends the walk, as
        in nginx."""
        hops = []
        for entry in reversed(chain[-MAX_HOPS:]):
            hop = self._networks.hop(entry)
            if hop is None:
                break
            hops.append(hop.address)
            if not hop.trusted:
                break
        return hops


@dataclass(slots=True, kw_only=True, eq=False)
class RelayedOrigin:
    """The sender of a request that came through a trusted proxy; a `forward.Forwarder`, made for
    one request."""

    client: bytes  # its address; the peer's own when the peer names nobody
    scheme: bytes  # of the client's request: b"http" or b"https"
    contradicting: tuple[str, ...]  # the fields that do not agree about it
    host: bytes  # that the client asked for, if the peer says so; b"" if not
    prefix: bytes  # that a proxy before us stripped; b"" if none
    request_id: bytes  # b"": make one
    chain: bytes  # X-Forwarded-For, with the peer
    forwarded: bytes  # Forwarded up to the peer, with a comma behind it; may be empty
    peer: TrustedPeer

    def lines(self, host: bytes) -> bytes:
        """The lines for a request to that host, each with the CRLF before it."""
        asked = self.host or host
        head = b"\r\nX-Forwarded-For: %b\r\nX-Real-IP: %b" % (self.chain, self.client)
        return b"%b\r\nX-Forwarded-Proto: %b%b\r\nForwarded: %b%b" % (
            head,
            self.scheme,
            b"\r\nX-Forwarded-Host: %b" % asked if asked else b"",
            self.forwarded,
            self.peer.element(host),
        )


def _by_length(networks: Iterable[IPv4Network | IPv6Network]) -> tuple[tuple[int, frozenset[int]], ...]:
    """The numbers of the networks by how many low bits their members differ in."""
    found: dict[int, set[int]] = {}
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        found.setdefault(shift, set()).add(int(network.network_address) >> shift)
    return tuple((shift, frozenset(numbers)) for shift, numbers in found.items())


def _one(fields: Fields, name: bytes) -> bytes:
    """The value of a field that was said once; b"" otherwise."""
    if name not in fields.special:
        return b""
    values = fields.values(name)
    return values[0] if len(values) == 1 else b""


def _members(fields: Fields) -> list[bytes]:
    """X-Forwarded-For, all lines joined, from the client to the nearest proxy."""
    if b"x-forwarded-for" not in fields.special:
        return []
    members = b",".join(fields.values(b"x-forwarded-for")).split(b",")
    return [stripped for member in members if (stripped := member.strip(b" \t"))]


def _forwarded(fields: Fields) -> bytes:
    """Forwarded, all lines joined."""
    if b"forwarded" not in fields.special:
        return b""
    return b", ".join(fields.values(b"forwarded")).strip(b" \t,;")


def _nodes(forwarded: bytes) -> tuple[list[bytes], bytes]:
    """For each element the node after `for=`, b"" without one; and the first `proto`.

    Nothing at all if any part is invalid: an open quote, for example, would swallow what is
    appended.
    """
    nodes, proto = [b""], b""
    at = 0
    while at < len(forwarded):
        pair = _PAIR.match(forwarded, at)
        if pair is None or (at > 0 and not pair[1].strip(b" \t")):
            return [], b""
        if b"," in pair[1]:
            nodes.append(b"")
        name = pair[2].lower()
        if name == b"for":
            nodes[-1] = pair[3] or pair[4]
        elif name == b"proto":
            proto = proto or pair[3] or pair[4]
        at = pair.end()
    return (nodes, proto) if at else ([], b"")


def _from_hops(hops: list[bytes], host: bytes, scheme: bytes) -> bytes:
    """The chain in the words of Forwarded (RFC 7239 §7.4): only of the client is it known what it
    asked for."""
    client, *proxies = reversed(hops or [b""])
    return b", ".join((element(node(client), host, scheme), *(b"for=" + node(proxy) for proxy in proxies)))


def _host(fields: Fields) -> bytes:
    """The host on which all proxies agree: among different ones, one may be the client's invention,
    and pages link to it."""
    if b"x-forwarded-host" not in fields.special:
        return b""
    values = fields.values(b"x-forwarded-host")
    members = split_list(values)
    value = values[0].partition(b",")[0].rstrip(b" \t") if len(set(members)) == 1 else b""
    try:
        return valid_authority(value) if value else b""
    except Malformed:
        return b""


def _prefix(fields: Fields) -> bytes:
    value = _one(fields, b"x-forwarded-prefix")
    if len(value) > MAX_PREFIX or not _PREFIX.fullmatch(value) or value.endswith(b"/") or b"//" in value:
        return b""
    try:
        return value if canonical_path(value) == value else b""  # which refuses dot segments, or leaves them out
    except Malformed:
        return b""


def _request_id(fields: Fields) -> bytes:
    value = _one(fields, b"x-request-id")
    return value if _REQUEST_ID.fullmatch(value) else b""
