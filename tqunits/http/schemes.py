"""Whether a client spoke HTTPS, in the words that proxies have for it.

There is one standard (RFC 7239, `proto=`) and many habits: nginx, HAProxy, Traefik, Envoy, ALB,
Heroku and Cloudflare say X-Forwarded-Proto, Traefik `wss` in it for a WebSocket, and where each of
several proxies adds its own it is a list, or the field is there twice: the first is the client's.
Others say X-Forwarded-Ssl, Front-End-Https and so on.

Two fields may contradict each other: a proxy writes its own field and passes on another. Then HTTPS
is assumed, because that mistake does less harm. A worker that takes HTTP for HTTPS makes links to
HTTPS, and cookies that are sent over HTTPS only. A worker that takes HTTPS for HTTP makes cookies
that are sent unencrypted, and redirects for ever to the place where the client is already.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tqunits.http.fields import SCHEMES, Fields
from tqunits.http.grammar import split_list

_MEANINGS: Final = {
    b"https": b"https",
    b"wss": b"https",
    b"ssl": b"https",
    b"on": b"https",
    b'{"scheme":"https"}': b"https",  # CF-Visitor
    b"http": b"http",
    b"ws": b"http",
    b"off": b"http",
    b'{"scheme":"http"}': b"http",
}
_FORWARDED: Final = "forwarded"


class Said(NamedTuple):
    """What was said, by all fields of a request."""

    scheme: bytes  # b"http" or b"https"; b"": nobody says it
    contradicting: tuple[str, ...] = ()  # the names of the fields, if some say this and some say that


_NOTHING: Final = Said(b"")


def scheme_said(fields: Fields, forwarded: bytes) -> Said:
    """What the fields of a request say. `forwarded`: what Forwarded says, if that is believed; b""
    if nothing."""
    special = fields.special
    if not forwarded and special.isdisjoint(SCHEMES):
        return _NOTHING
    said = {name.decode("ascii"): meaning for name in special & SCHEMES if (meaning := _first(fields.values(name)))}
    if meaning := _MEANINGS.get(forwarded.lower(), b""):
        said[_FORWARDED] = meaning
    if len(set(said.values())) > 1:
        return Said(b"https", tuple(sorted(said)))
    return Said(next(iter(said.values()), b""))


def _first(values: list[bytes]) -> bytes:
    """Of all lines of a field, the first member that can be read: the client's."""
    return next((_MEANINGS[member] for member in split_list(values) if member in _MEANINGS), b"")
