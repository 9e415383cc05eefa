"""What serves again a worker that runs and that no router sends requests: the decision alone.

Routers send a worker requests while the file `serving` is in its runtime folder
(environment.serving_file). Somebody may remove the file, the folder or all of /run/tqunits; systemd
knows that the worker runs all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cure(Enum):
    """What to do."""

    NOTHING = "nothing"
    ADMIT = "admit"  # make the file: the worker notices nothing
    RESTART = "restart"  # what it listens on, or the folder it was given, is gone: only a start makes that


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A worker's unit, and what is in its runtime folder."""

    state: str  # ActiveState: "active" means that the health check has answered
    has_job: bool  # somebody has just asked systemd to stop or restart it
    folder: bool  # the runtime folder is the one that the worker was given
    serving: bool
    leaving: bool  # it was asked to leave; then there is nothing to cure
    socket: bool  # what it listens on is there; true for a port


def cure(patient: Patient) -> Cure:
    """What serves this worker again."""
    if patient.state != "active" or patient.has_job or patient.leaving:
        return Cure.NOTHING
    if not (patient.folder and patient.socket):
        return Cure.RESTART
    return Cure.NOTHING if patient.serving else Cure.ADMIT
