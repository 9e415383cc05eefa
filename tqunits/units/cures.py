"""The decision how to repair a worker that runs but gets no requests.

Routers send requests to a worker while the file `serving` is in its runtime folder
(environment.serving_file). Somebody may remove the file, the folder or all of /run/tqunits; to
systemd the worker still runs.
"""

from __future__ import annotations

from enum import Enum

from tqunits.light_dataclass import dataclass


class Cure(Enum):
    """The repair."""

    NOTHING = "nothing"
    ADMIT = "admit"  # make the file; the worker does not notice
    RESTART = "restart"  # its socket or its folder is gone, and only a start makes these


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A worker's unit, and the content of its runtime folder."""

    state: str  # ActiveState: "active" means that the health check has passed
    has_job: bool  # a stop or a restart is queued
    folder: bool  # the runtime folder is the one that the worker was given
    serving: bool
    leaving: bool  # the file `leaving`: the worker stops, and there is nothing to repair
    socket: bool  # the file of its socket exists; true for a port


def cure(patient: Patient) -> Cure:
    """The repair for this worker."""
    if patient.state != "active" or patient.has_job or patient.leaving:
        return Cure.NOTHING
    if not (patient.folder and patient.socket):
        return Cure.RESTART
    return Cure.NOTHING if patient.serving else Cure.ADMIT
