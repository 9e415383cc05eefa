"""The fields that each address has sent last: a new connection from there is likely to say nearly
the same.

A browser opens six, and a load balancer or a script may open one for each request. A head that is
like a known one (http/stencil.py) is read in 2.1 µs in place of 7.0, a browser's, or 1.2 in place
of 2.7, curl's (`bench.python parse`), and means what it means without.
"""

from __future__ import annotations

from typing import Final

from tqunits.http.fields import RequestFields

MOST: Final = 1024
"""Addresses."""

LONGEST: Final = 2048
"""Bytes of the fields that are kept for one."""


class Recent:
    """For all connections of a router process; a few MiB at most."""

    __slots__ = ("_by_address",)

    def __init__(self) -> None:
        self._by_address: dict[bytes, RequestFields] = {}  # the longest unchanged first

    def fields(self, address: bytes) -> RequestFields | None:
        """Those of the last head from there, if there was one."""
        return self._by_address.get(address)

    def keep(self, address: bytes, fields: RequestFields) -> None:
        """A head has come from there, the first one on its connection."""
        kept = self._by_address
        kept.pop(address, None)
        if len(fields.block) <= LONGEST:
            if len(kept) >= MOST:
                del kept[next(iter(kept))]
            kept[address] = fields
