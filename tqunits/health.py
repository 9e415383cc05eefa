"""How a worker is asked whether it is well: one meaning, for its gate, for `why`, for who asks
later."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_RANGE: Final = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")
_LEAST, _MOST = 200, 599  # what ends an answer (RFC 9110, section 15): 1xx only comes before one


class HealthType(StrEnum):
    """What is asked."""

    HTTP = "http"  # GET, and a status
    TCP = "tcp"  # a connection, at a Unix socket too
    COMMAND = "command"  # a program of the worker's own, and its exit status
    NONE = "none"  # nothing: it is ready as soon as it runs


@dataclass(frozen=True, slots=True)
class Statuses:
    """Codes of answers, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


OK: Final = (Statuses(200, 200),)
"""What is well where nobody says anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The settings of one worker; spans in microseconds."""

    type: HealthType
    path: str  # http: with its query
    host: str | None  # http: the Host field; None: the address that is asked
    status: tuple[Statuses, ...]  # http
    command: tuple[str, ...]  # command: with placeholders
    interval: int
    timeout: int
    failure_threshold: int
    success_threshold: int
    start_period: int


def statuses(text: str) -> Statuses | None:
    """`204` or `300-399`; None for what is neither, or no status that an answer ends with."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return Statuses(first, last) if _LEAST <= first <= last <= _MOST else None


def printed(accepted: Iterable[Statuses]) -> str:
    """As a unit says it: `200,204,300-399`."""
    return ",".join(map(str, accepted))


def read(text: str) -> tuple[Statuses, ...]:
    """What `printed` was given; empty text is the usual."""
    found = (statuses(word) for word in text.split(",") if word)
    return tuple(each for each in found if each is not None) or OK


def accepts(accepted: Iterable[Statuses], code: int) -> bool:
    """Whether an answer with that status is a good one."""
    return any(each.first <= code <= each.last for each in accepted)
