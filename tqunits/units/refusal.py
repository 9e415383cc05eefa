"""Why a worker is not installed as it asks to be. One that is refused stays as it is installed, and serves; the others
go on, and the exit status is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from tqunits.errors import Diagnostic, Mark, Severity
from tqunits.model import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason, where it stands, and what helps."""

    worker: str
    message: str
    mark: Mark
    hint: str | None = None

    def diagnostic(self) -> Diagnostic:
        """As an install says it."""
        return Diagnostic(severity=Severity.ERROR, message=self.message, mark=self.mark, hint=self.hint)

    def note(self) -> Diagnostic:
        """As it is said to somebody who could not install it anyway."""
        message = f"an install by root refuses this: {self.message}"
        return Diagnostic(severity=Severity.NOTE, message=message, mark=self.mark, hint=self.hint)


def refusal(worker: Worker, message: str, hint: str | None, *settings: str) -> Refusal:
    """At the first of these settings that was written, or at the top of worker.yaml."""
    return Refusal(worker=worker.name, message=message, hint=hint, mark=place(worker, *settings))


def place(worker: Worker, *settings: str) -> Mark:
    """Where the first of these settings was written; the top of worker.yaml, where nobody wrote any."""
    origins = (worker.origins.get(setting) for setting in settings)
    marks = (origin.mark for origin in origins if origin is not None and origin.mark is not None)
    return next(marks, Mark(str(worker.source), 1, 1))
