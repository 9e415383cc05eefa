"""What a health check asks a worker: its kinds, its settings and the statuses that count as
healthy."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

_RANGE: Final = late_pattern(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")
_LEAST, _MOST = 200, 599  # status codes of final responses (RFC 9110, section 15); 1xx responses are interim


class HealthType(StrEnum):
    """The kind of the check."""

    HTTP = "http"  # GET, and the status of its answer
    TCP = "tcp"  # a connection, to a port or to a Unix socket
    COMMAND = "command"  # a program of the worker, and its exit status
    NONE = "none"  # no check: the worker is ready as soon as it runs


@dataclass(frozen=True, slots=True)
class Statuses:
    """A range of status codes, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


OK: Final = (Statuses(200, 200),)
"""The healthy status codes where the configuration names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health settings of one worker. Time spans are in microseconds."""

    type: HealthType
    path: str  # http: the path, with its query
    host: str | None  # http: the Host field; None: the address that is asked
    status: tuple[Statuses, ...]  # http
    command: tuple[str, ...]  # command: its words, with placeholders
    interval: int
    timeout: int
    failure_threshold: int
    success_threshold: int
    start_period: int


def statuses(text: str) -> Statuses | None:
    """Parse `204` or `300-399`. None for anything else, and for what is not a status of a final
    response."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return Statuses(first, last) if _LEAST <= first <= last <= _MOST else None


def printed(accepted: Iterable[Statuses]) -> str:
    """The ranges as a unit has them: `200,204,300-399`."""
    return ",".join(map(str, accepted))


def read(text: str) -> tuple[Statuses, ...]:
    """The inverse of `printed`. Empty text means OK."""
    found = (statuses(word) for word in text.split(",") if word)
    return tuple(each for each in found if each is not None) or OK


def accepts(accepted: Iterable[Statuses], code: int) -> bool:
    """Whether an answer with this status is a healthy one."""
    return any(each.first <= code <= each.last for each in accepted)
