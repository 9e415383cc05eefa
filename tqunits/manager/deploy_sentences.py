"""What the manager says of deploys, in its journal and in refusals."""

from __future__ import annotations

from typing import Final

from tqunits.lifecycle.deploys import DeployKind, DeployRecord
from tqunits.lifecycle.release import HarvestResult

_LONGEST_NAME: Final = 300
"""Characters of each name that is told: MAX_LEFT of them fit a step's MAX_TEXT, with the number of
the others behind them."""


def told(record: DeployRecord) -> str:
    """One line for the journal about a deploy that has ended."""
    what = f"{record.kind.value} {record.number} of {record.worker} by {record.actor}: {record.outcome.value}"
    release = f", release {record.release}" if record.release else ""
    return f"{what}{release}" + (f": {record.why}" if record.why else "")


def waits_for(running: DeployRecord, now_us: int) -> str:
    """Why one that was accepted does not begin: who has the worker's turn, and since when. `now_us`
    since 1970."""
    seconds = max(0, now_us - (running.begun_us or now_us)) // 1_000_000
    who = running.actor.partition("/")[2] or running.actor
    return f"waits for {running.kind.value} {running.number} by {who}, which has begun {seconds} s ago"


def unprunable(record: DeployRecord) -> str:
    """Why no release of a worker is removed while this has not ended."""
    if record.kind is DeployKind.RESTART:
        return f"{record.worker} is being restarted: see 'tqunits history'"
    return f"{record.worker} is being deployed, and old releases go with that: see 'tqunits history'"


def left_out(made: HarvestResult) -> str:
    """Which files of the sources are not in a release that was made."""
    names = ", ".join(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in made.left)
    more = made.left_count - len(made.left)
    others = f" and {more} more" if more > 0 else ""
    return f"not in the release, because not everybody may read it: {names}{others}"
