"""`tqunits ls --watch`: the list, again after each change.

On a terminal it is drawn in its place. Elsewhere what was shown is compared with what is known now,
without what changes all the time: one change wakes us several times, and changes of other workers
and units do too.

While the list waits it writes nothing, so nothing would tell that the reader of a pipe has gone:
the descriptor of the output is polled for that.
"""

from __future__ import annotations

import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tqunits.cli import listing, screen
from tqunits.cli.context import Context
from tqunits.cli.listing import Listing
from tqunits.cli.output import UNREAD, Output
from tqunits.cli.screen import Canvas, RedrawSignals
from tqunits.errors import TqunitsError
from tqunits.host import run_time_health
from tqunits.host.change_watch import ChangeWatch
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.system.inotify import FolderBell

REFRESH_S: Final = 2.0
"""How often a terminal gets the times, the CPU and the memory anew."""

LOOK_S: Final = 25.0
"""How often somebody looks without having been told of a change: nobody tells that a worker's file
`serving` was removed."""

_BACK = "the manager is back"
_INTERRUPTED: Final = 128 + signal.SIGINT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is known at one moment."""

    found: Listing | TqunitsError  # an error: nobody tells it now
    is_away: bool  # the manager, which would tell us more


def watch(names: Sequence[str], context: Context, *, as_json: bool) -> int:
    """Show the list until the user ends it; returns the exit status. Raises TqunitsError when there
    is no list to begin with."""
    try:
        with ChangeWatch(context.layout, user_mode=context.user_mode) as changes, _bell(context.layout) as bell:
            changes.wait(0, {})
            first = _Moment(found=_list(names, changes, context), is_away=_is_away(changes, context))
            with _form(context.output, as_json=as_json) as form:
                form.show(first)
                return _go_on(names, changes, bell, form, context)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _go_on(names: Sequence[str], changes: ChangeWatch, bell: FolderBell | None, form: _Form, context: Context) -> int:
    others = {**form.descriptors, **({bell.fileno(): select.POLLIN} if bell is not None else {})}
    while True:
        context.output.flush()
        changes.wait(form.seconds, others)
        if context.output.is_unread:
            return UNREAD
        if bell is not None:
            bell.clear()
        form.show(_look(names, changes, context))


def _look(names: Sequence[str], changes: ChangeWatch, context: Context) -> _Moment:
    is_away = _is_away(changes, context)
    try:
        return _Moment(found=_list(names, changes, context), is_away=is_away)
    except TqunitsError as error:  # the bus is away for a moment, or what is named is installed no more
        return _Moment(found=error, is_away=is_away)


def _list(names: Sequence[str], changes: ChangeWatch, context: Context) -> Listing:
    """The manager is asked only while it runs: a question would start it."""
    known = run_time_health.UNKNOWN
    if changes.is_there:
        known = run_time_health.ask(context.layout)
    return listing.look(names, known, context)


def _is_away(changes: ChangeWatch, context: Context) -> bool:
    return run_time_health.may_ask(user_mode=context.user_mode) and not changes.is_there


@contextmanager
def _bell(layout: Layout) -> Iterator[FolderBell | None]:
    """What tells of changed files that the list shows: orders about traffic, and routes of files
    alone. None: this user has no inotify instance left."""
    try:
        bell = FolderBell()
    except OSError:
        yield None
        return
    with closing(bell):
        for folder in (layout.runtime, layout.state):
            bell.add(Path(folder))
        yield bell


# The forms


class _Form:
    """What all forms have: one document or block for each change."""

    seconds = LOOK_S

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown: Listing | str | None = None
        self._is_away = False

    @property
    def descriptors(self) -> Mapping[int, int]:
        """What ends a wait for a change, too."""
        return {self._output.descriptor: 0}

    def show(self, look: _Moment) -> None:
        """Show it, if something has changed."""
        if look.is_away is not self._is_away:
            self._is_away = look.is_away
            self._output.message(listing.AWAY if look.is_away else _BACK, style="yellow" if look.is_away else "")
        key = look.found.lasting if isinstance(look.found, Listing) else str(look.found)
        if key != self._shown:
            self._write(look.found)
            self._shown = key

    def _write(self, found: Listing | TqunitsError) -> None:
        if isinstance(found, TqunitsError):
            self._output.message(f"tqunits: {found.message}", style="red")
            return
        if self._shown is not None:
            self._output.line()
        listing.show(found, self._output)


class _Documents(_Form):
    """A JSON document a line."""

    def _write(self, found: Listing | TqunitsError) -> None:
        if isinstance(found, Listing):
            self._output.json_line("ls", 1, **found.members())
        else:
            super()._write(found)


class _Screen(_Form):
    """On a terminal, in its place."""

    seconds = REFRESH_S

    def __init__(self, output: Output, signals: RedrawSignals) -> None:
        super().__init__(output)
        self._signals = signals

    @property
    def descriptors(self) -> Mapping[int, int]:
        return {**super().descriptors, self._signals.fileno(): select.POLLIN}

    def show(self, look: _Moment) -> None:
        self._signals.clear()
        canvas = Canvas()
        lines = Output(canvas, canvas)
        if isinstance(look.found, Listing):
            listing.show(look.found, lines)
        else:
            lines.message(f"tqunits: {look.found.message}", style="red")
        if look.is_away:
            lines.message(listing.AWAY, style="yellow")
        self._output.draw(screen.drawing(canvas.getvalue(), screen.size_of(self._output.descriptor)))


@contextmanager
def _form(output: Output, *, as_json: bool) -> Iterator[_Form]:
    if as_json or not output.is_screen:
        yield _Documents(output) if as_json else _Form(output)
        return
    with RedrawSignals() as signals:
        try:
            yield _Screen(output, signals)
        finally:
            output.draw(screen.END)
            output.flush()
