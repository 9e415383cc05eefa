"""Which worker a request belongs to: host first, then the longest path prefix on segment borders.

`/api` takes `/api` and `/api/x`, never `/apix`. A table is built once per reload and never changed:
the router swaps the whole of it by one assignment. Paths and hosts come in the canonical spelling
that http/target.py gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from tqunits.errors import TqunitsError

T = TypeVar("T")


class _Prefixes(Generic[T]):
    """The prefixes of one host."""

    __slots__ = ("_by_prefix", "_longest", "_root")

    def __init__(self, by_prefix: Mapping[bytes, T]) -> None:
        self._root = by_prefix.get(b"/")
        self._by_prefix = {prefix: value for prefix, value in by_prefix.items() if prefix != b"/"}
        self._longest = max(map(len, self._by_prefix), default=0)

    def find(self, path: bytes) -> T | None:
        """Try the borders from the right; none is looked for beyond the longest prefix, however
        long the path is."""
        by_prefix = self._by_prefix
        if path in by_prefix:
            return by_prefix[path]
        end = path.rfind(b"/", 0, self._longest + 1)
        while end > 0:
            found = by_prefix.get(path[:end])
            if found is not None:
                return found
            end = path.rfind(b"/", 0, end)
        return self._root


class Table(Generic[T]):
    """Routes to values of any kind."""

    __slots__ = ("_any_host", "_by_host")

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        """`routes`: host (lower case, "" for any), prefix, value. Raises TqunitsError for two of
        the same."""
        by_host: dict[bytes, dict[bytes, T]] = {}
        for host, prefix, value in routes:
            prefixes = by_host.setdefault(host.encode("ascii"), {})
            if prefix.encode() in prefixes:
                raise TqunitsError(f"two routes for {host}{prefix}", hint="give each worker a path of its own")
            prefixes[prefix.encode()] = value
        self._any_host = _Prefixes(by_host.pop(b"", {}))
        self._by_host = {host: _Prefixes(prefixes) for host, prefixes in by_host.items()}

    @property
    def by_host(self) -> bool:
        """Whether any route asks for a host: if none does, nobody needs to work out the name."""
        return bool(self._by_host)

    def find(self, host: bytes, path: bytes) -> T | None:
        """The value for a request, or None: no route."""
        prefixes = self._by_host.get(host)
        if prefixes is not None:
            found = prefixes.find(path)
            if found is not None:
                return found
        return self._any_host.find(path)
