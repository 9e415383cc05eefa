"""The back-off of a failed worker as other programs see it: the settings that alone/backoff.py
reads, and the files that it writes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from tqunits.light_dataclass import dataclass
from tqunits.model import Instance, RestartRules
from tqunits.units.name import Whose

GIVEN_UP: Final = 199
"""The exit status of alone/launch.py for a worker that has failed more often than
restart.max_restarts."""

_BEGUN: Final = ".begun"


@dataclass(frozen=True, slots=True)
class Pause:
    """The record of the last back-off."""

    failures: int  # in a row; 0: somebody has ended the wait
    due: int  # when it ends, in µs of the monotonic clock


def begun(whose: Instance) -> str:
    """The link in the worker's cache that says that this instance has begun, and was not asked to
    stop.

    alone/leave.py takes it away. The first one's was there before there were others.
    """
    return _BEGUN if whose.number == 1 else f"{_BEGUN}-{whose.number}"


def note(restart: RestartRules) -> str:
    """The line in the ledger with the restart rules. It is read at each failure, so a change needs
    neither a restart nor a reload."""
    return f"{restart.delay} {restart.backoff_max} {restart.max_restarts} {restart.period}"


def state_file(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    """The file with the record of the last back-off."""
    return _folder(whose, runtime) / "state"


def given_up_file(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    """The file that is made when the worker has failed too often."""
    return _folder(whose, runtime) / "given-up"


def pause(text: str) -> Pause | None:
    """Parse the state file; None for anything else."""
    words = text.split()
    if len(words) != 5 or not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words):
        return None
    return Pause(int(words[3]), int(words[4]))


def _folder(whose: Whose, runtime: PurePosixPath) -> PurePosixPath:
    return runtime / "backoff" / str(whose)
