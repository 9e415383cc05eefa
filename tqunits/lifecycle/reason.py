"""The causes of failures, and a reason: one cause in words."""

from __future__ import annotations

from enum import StrEnum

from tqunits.light_dataclass import dataclass


class Cause(StrEnum):
    """The causes of failures; some are not failures."""

    WELL = "well"
    STOPPED = "stopped"
    WAITING = "waiting"
    NOT_INSTALLED = "not-installed"
    CONFIGURATION = "configuration"
    LEFT_OUT = "left-out"  # install has left it out: refused, or its host lacks something
    BUILD = "build"
    SYNTAX = "syntax-error"
    WRONG_PORT = "wrong-port"
    PROGRAM = "program-missing"
    MODULE = "module-missing"
    HEALTH = "health"
    SLOW = "slow"
    MEMORY = "out-of-memory"
    SANDBOX = "sandbox"
    FILE_PERMISSION = "file-permission"
    PORT_TAKEN = "port-taken"
    ENVIRONMENT = "environment"
    TIMEOUT = "start-timeout"
    FILE_MISSING = "file-missing"
    DEPENDENCY = "connection-refused"
    KILLED = "killed"
    CRASHED = "crashed"
    HOLDING = "holding"
    EXITED = "exited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause in words, with what to do."""

    cause: Cause
    text: str
    advice: tuple[str, ...] = ()
    killed_by: str = ""
    sandbox: str = ""
