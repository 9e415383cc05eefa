"""What the manager says of deploys, in its journal and in refusals."""

from __future__ import annotations

from tqunits.lifecycle.deploys import DeployKind, DeployRecord


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
