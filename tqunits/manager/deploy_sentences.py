"""What the manager says of deploys, in its journal and in refusals."""

from __future__ import annotations

from tqunits.lifecycle.deploys import DeployKind, DeployRecord


def told(record: DeployRecord) -> str:
    """One line for the journal about a deploy that has ended."""
    what = f"{record.kind.value} {record.number} of {record.worker} by {record.actor}: {record.outcome.value}"
    release = f", release {record.release}" if record.release else ""
    return f"{what}{release}" + (f": {record.why}" if record.why else "")


def unprunable(record: DeployRecord) -> str:
    """Why no release of a worker is removed while this has not ended."""
    if record.kind is DeployKind.RESTART:
        return f"{record.worker} is being restarted: see 'tqunits history'"
    return f"{record.worker} is being deployed, and old releases go with that: see 'tqunits history'"
