"""Requests that come through this router again: how it marks forwarded requests, and how many
passes count as a loop.

A worker that sends a request to the site with the fields that it got, and two routers in a row, are
no loop. Only a loop comes back for ever. So passes are counted, by a name that all routers of this
host add.

The name stands in CDN-Loop (RFC 8586), or in Via (RFC 9110 §7.6.3) for a worker that wants it. RFC
8586 §1 says why not in Via: servers change what they do by it. nginx compresses nothing that has
one (`gzip_proxied off` is its default).
"""

from __future__ import annotations

from typing import Final

from tqunits.http.fields import Fields
from tqunits.http.grammar import split_list

MAX_PASSES: Final = 8
"""Times that one request may come through here. A page's worker that asks an API, that asks who the
user is, makes three, twice that with a router behind a router. Where each of a loop's requests
makes two, the last round has 2^8."""

PASSES: Final = frozenset({b"cdn-loop", b"via"})
"""The fields that may tell of it."""


def pass_line(name: bytes, *, via: bool) -> bytes:
    """The line that leaves the name of this host's routers, with the CRLF before it. To be made
    once, per route."""
    return (b"\r\nVia: 1.1 " if via else b"\r\nCDN-Loop: ") + name


def passes(fields: Fields, name: bytes) -> int:
    """How many times a request with these fields has come through routers of that name, which is in
    lower case.

    A comma in a comment parts it in two, which hides no name.
    """
    special = fields.special
    count = 0
    if b"via" in special:
        count += sum(name in member.split() for member in split_list(fields.values(b"via")))
    if b"cdn-loop" in special:
        count += sum(name == member.partition(b";")[0].rstrip() for member in split_list(fields.values(b"cdn-loop")))
    return count
