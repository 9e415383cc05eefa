"""A small file that another program replaces by rename(2), and that is read when it has changed.
The caller decides when to look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tqunits.errors import TqunitsError
from tqunits.proxy.log.complaints import Complaints
from tqunits.system.files import read_regular

Version = tuple[int, int, int]

_T = TypeVar("_T")


class SwappedFile:
    """The place of the file, and which of its versions was read last."""

    def __init__(self, place: Path, most: int, complaints: Complaints) -> None:
        """`most`: bytes of a file that is read; a larger one is refused."""
        self.place = place
        self._most = most
        self._complaints = complaints
        self._version: Version | None = None

    def has_changed(self) -> bool:
        """Whether it is another file than at the last call."""
        before, self._version = self._version, _version(self.place)
        return self._version != before

    def read(self, parse: Callable[[bytes], _T], nothing: _T) -> _T:
        """Its content; `nothing` for a file that is not there or does not read, which is said."""
        if self._version is None:
            return nothing
        try:
            return parse(read_regular(self.place, self._most))
        except (OSError, TqunitsError) as error:
            self._complaints.say(f"{self.place}: {error}: as if it were not there", priority=4)
            return nothing


def _version(place: Path) -> Version | None:
    """A value that differs for another content; None: there is no file."""
    try:
        found = place.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
