"""Why a worker is not installed as it is configured. A refused worker stays as it is installed, and
serves. Other workers are installed, and the exit status is 1.
"""

from __future__ import annotations

from tqunits.errors import Diagnostic, Mark, Severity
from tqunits.light_dataclass import dataclass
from tqunits.model import SettingOrigin, Worker

Item = int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason, its place, and what to do."""

    worker: str
    message: str
    mark: Mark
    hint: str | None = None

    def diagnostic(self) -> Diagnostic:
        """The refusal as an install reports it."""
        return Diagnostic(severity=Severity.ERROR, message=self.message, mark=self.mark, hint=self.hint)

    def note(self) -> Diagnostic:
        """The refusal as a note, for commands that do not install."""
        message = f"an install by root refuses this: {self.message}"
        return Diagnostic(severity=Severity.NOTE, message=message, mark=self.mark, hint=self.hint)


def refusal(worker: Worker, message: str, hint: str | None, *settings: str, item: Item = None) -> Refusal:
    """A refusal at the first of these settings that was written (for a list at that item), or at
    the top of worker.yaml."""
    return Refusal(worker=worker.name, message=message, hint=hint, mark=place(worker, *settings, item=item))


def place(worker: Worker, *settings: str, item: Item = None) -> Mark:
    """Where the first of these settings was written; the top of worker.yaml if none was.

    `item` selects a value of a list or a mapping: by its index, or by a word of it.
    """
    origins = (worker.origins.get(setting) for setting in settings)
    written = [origin for origin in origins if origin is not None and origin.mark is not None]
    marks = (*(_item(origin, item) for origin in written), *(origin.mark for origin in written))
    return next((mark for mark in marks if mark is not None), Mark(str(worker.source), 1, 1))


def _item(origin: SettingOrigin, item: Item) -> Mark | None:
    """None for a setting that is not a list, and for an item that is written in other words."""
    if isinstance(item, int):
        return origin.items[item][1] if item < len(origin.items) else None
    marks = (mark for text, mark in origin.items if item == text or item in text.split())
    return None if item is None else next(marks, None)
