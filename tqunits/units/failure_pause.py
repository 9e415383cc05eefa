"""The pause of a worker that has failed, from outside: what alone/backoff.py is told, and what it
leaves to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tqunits.model import Instance, RestartRules
from tqunits.units.name import Whose

GIVEN_UP: Final = 199
"""What alone/launch.py exits with for a worker that has failed more often than
restart.max_restarts."""

_BEGUN: Final = ".begun"


@dataclass(frozen=True, slots=True)
class Pause:
    """What is remembered of the last one."""

    failures: int  # in a row; 0: it was somebody's wish that ended them
    due: int  # µs on the monotonic clock


def begun(whose: Instance) -> str:
    """The link in the worker's cache that says that this instance has begun, and was not asked to
    stop.

    alone/leave.py takes it away. The first one's was there before there were others.
    """
    return _BEGUN if whose.number == 1 else f"{_BEGUN}-{whose.number}"


def note(restart: RestartRules) -> str:
    """What the ledger says of it. It is read at each failure, so a change needs neither a restart
    nor a reload."""
    return f"{restart.delay} {restart.backoff_max} {restart.max_restarts} {restart.period}"


def state_file(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    """Where the last pause is written down."""
    return _folder(whose, runtime) / "state"


def given_up_file(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    """What is made when the worker has failed too often."""
    return _folder(whose, runtime) / "given-up"


def pause(text: str) -> Pause | None:
    """What the state file says; None for anything else."""
    words = text.split()
    if len(words) != 5 or not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words):
        return None
    return Pause(int(words[3]), int(words[4]))


def _folder(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    return runtime / "backoff" / str(whose)
