"""Every error of tqunits. Each one knows its message, its place and its exit status.

The core raises errors; only `cli/main.py` prints them and exits. A message says what is wrong, a
hint says what to do instead, a mark says where. Exit statuses are part of the interface
(`man tqunits`, EXIT STATUS): scripts rely on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

from tqunits.light_dataclass import dataclass


class ExitStatus(IntEnum):
    """The exit statuses of every verb; what stands behind each is its line in the man page."""

    OK = 0  # it is done
    FAILED = 1  # it failed; standard error says why
    USAGE = 2  # the command line is wrong; of diff and of --dry-run: something differs, or is to be done
    NOT_RUNNING = 3  # a worker is not running, or no router; of why: it does not run, and nothing is wrong
    NO_SUCH_WORKER = 4  # there is no such worker
    NOT_PERMITTED = 5  # run it as root, or with --user; or somebody else may change what root is to install from
    TIMEOUT = 6  # it did not happen in time, or a worker is not healthy


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file. Line and column count from 1, as in editors."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    """How bad a finding is: an ERROR stops everything, a WARNING and a NOTE stop nothing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding about one place. `source` is the text of the marked line, without its line
    end."""

    severity: Severity
    message: str
    mark: Mark | None = None
    hint: str | None = None
    source: str | None = None


class TqunitsError(Exception):
    """The base class of all our errors: a failure whose message tells the user what to do."""

    exit_status = ExitStatus.FAILED

    def __init__(self, message: str, *, hint: str | None = None, mark: Mark | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.mark = mark

    @property
    def in_one_line(self) -> str:
        """The message with its hint, for a journal."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(TqunitsError):
    """The command line is wrong."""

    exit_status = ExitStatus.USAGE


class ConfigurationError(TqunitsError):
    """The YAML is wrong. The error carries every finding of every file, so that one run shows them
    all."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        errors = sum(1 for d in diagnostics if d.severity is Severity.ERROR)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} in the configuration; nothing was changed")
        self.diagnostics = tuple(diagnostics)


class NotRunning(TqunitsError):
    """What is asked does not run."""

    exit_status = ExitStatus.NOT_RUNNING


class NoSuchWorker(TqunitsError):
    """No worker of that name is configured or installed."""

    exit_status = ExitStatus.NO_SUCH_WORKER


class NotPermitted(TqunitsError):
    """The kernel, D-Bus or polkit refused."""

    exit_status = ExitStatus.NOT_PERMITTED


class TimedOut(TqunitsError):
    """Something did not happen in time, or the worker did not become healthy in time."""

    exit_status = ExitStatus.TIMEOUT
