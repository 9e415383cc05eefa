"""Waits for the next change of a worker: as the manager tells it, or, without one, as systemd's
signals do.

The manager's long poll (control/manager_protocol.py) costs nothing while nothing changes. Who may
not ask the manager, and who finds it away, gets systemd's signals instead. They only say that
something may have changed: the caller looks, and compares.

While the manager is away it is asked again when systemd says that its unit has changed, and every
RETRY_S. It is asked only while its unit runs: a connection to its socket would start it, against
the will of an administrator who has stopped it. A manager that was started anew counts its changes
from 1 again. That is seen by the time of its start, and all its changes are new then.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tqunits.control import managers
from tqunits.control.managers import Member
from tqunits.control.questions import PendingAnswer
from tqunits.errors import TqunitsError
from tqunits.host.observe import manager_runs
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass
from tqunits.system.bus import Bus
from tqunits.system.dbus import object_path
from tqunits.system.signals import Signals
from tqunits.units import name

RETRY_S: Final = 5.0
"""How often a manager or a bus that is away is looked for without a signal."""

_WAIT_US: Final = 25_000_000
"""The longest wait in one question to the manager, which would end it after 30 s."""

_PATIENCE_S: Final = _WAIT_US / 1e6 + managers.PATIENCE_S
"""A manager that has not answered until then hangs."""

_WORKERS: Final = (object_path("tq-worker@"), object_path("tq-backoff@"))
_MANAGER: Final = object_path(name.MANAGER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Why a wait has ended."""

    events: Sequence[Member] = ()  # changes that the manager has told, oldest first
    are_lost: bool = False  # the manager has told more, and keeps them no more


class ChangeWatch:
    """The waits of one caller. Use it in a `with`, which raises TqunitsError when neither the
    manager nor systemd can be reached."""

    def __init__(self, layout: Layout, *, user_mode: bool) -> None:
        self._layout = layout
        self._user_mode = user_mode
        self._pending: PendingAnswer | None = None
        self._asked_at = 0.0
        self._last, self._since = 0, 0  # the last change that was told, and the start of who told it
        self._signals: Signals | None = None
        self._has_signal = False  # about a worker
        self._is_manager_changed = False  # its unit, by a signal
        self.is_there = False  # the manager has answered, and was not lost since

    def __enter__(self) -> ChangeWatch:
        is_asked = self._ask(0)
        if not is_asked or not self._poll(managers.PATIENCE_S, {}):
            self._open_signals()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._pending, self._signals):
            if each is not None:
                each.close()

    def wait(self, seconds: float, others: Mapping[int, int]) -> Woken:
        """Wait for a change, for the end or the return of the manager, or until the time is over.

        `others`: descriptors that end the wait too, with what is polled for (poll(2)).
        """
        deadline = time.monotonic() + seconds
        while True:
            ready = self._poll(deadline - time.monotonic(), others)
            woken = self._take(ready)
            if woken is not None:
                return woken
            if ready & others.keys() or time.monotonic() >= deadline:
                return Woken()

    def _poll(self, seconds: float, others: Mapping[int, int]) -> set[int]:
        poll = select.poll()
        for descriptor, mask in {**others, **dict.fromkeys(self._descriptors(), select.POLLIN)}.items():
            poll.register(descriptor, mask)
        if self.is_there:
            seconds = min(seconds, self._asked_at + _PATIENCE_S - time.monotonic())
        else:
            seconds = min(seconds, RETRY_S)
        return {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}

    def _descriptors(self) -> Iterator[int]:
        for each in (self._pending, self._signals):
            if each is not None and each.fileno() >= 0:
                yield each.fileno()

    def _take(self, ready: set[int]) -> Woken | None:
        """What has come; None: nothing that the caller waits for."""
        if self._pending is not None and self._pending.fileno() in ready:
            return self._answered(self._pending)
        if self.is_there and time.monotonic() - self._asked_at >= _PATIENCE_S:
            return self._give_up()
        if not self.is_there:
            self._hear()
            self._look_for_manager()
        has_signal, self._has_signal = self._has_signal, False
        return Woken() if has_signal else None

    # The manager

    def _ask(self, wait_us: int) -> bool:
        """Ask for the next changes; False: nobody listens."""
        self._asked_at = time.monotonic()
        try:
            self._pending = managers.ask_for_changes(self._layout, after=self._last, wait_us=wait_us)
        except OSError:
            self._pending = None
        return self._pending is not None

    def _answered(self, pending: PendingAnswer) -> Woken | None:
        self._pending = None
        with pending:
            found = managers.changes_in(pending.answer())
        if found is None:
            return self._lose()
        if found.since != self._since and self._last:
            self._last = 0
            return None if self._ask(0) else self._lose()
        woken = Woken(events=found.events, are_lost=found.lost(self._last))
        self._last, self._since = found.last, found.since
        self.is_there = self._ask(_WAIT_US)
        if self.is_there:
            self._close_signals()
        else:
            self._hear()
        return woken

    def _lose(self) -> Woken:
        """The manager has gone, or refuses. It is asked again soon, but not without a pause."""
        self.is_there = False
        self._hear()
        self._look_for_manager()
        return Woken()

    def _give_up(self) -> Woken:
        """The manager hangs: it has not even said that nothing has changed."""
        if self._pending is not None:
            self._pending.close()
            self._pending = None
        return self._lose()

    def _look_for_manager(self) -> None:
        is_due = self._is_manager_changed or time.monotonic() - self._asked_at >= RETRY_S
        self._is_manager_changed = False
        if self._pending is None and is_due and self._manager_runs():
            self._ask(0)

    def _manager_runs(self) -> bool:
        self._asked_at = time.monotonic()
        try:
            with Bus(user_mode=self._user_mode) as bus:
                return manager_runs(bus)
        except TqunitsError:
            return False

    # The signals, while no manager answers

    def _hear(self) -> None:
        """Note what signals tell; connect first, or again after the bus was lost."""
        if self._signals is None:
            try:
                self._open_signals()
            except TqunitsError:
                return
            self._has_signal = True  # what was told meanwhile nobody has heard
        elif not self._signals.process():
            self._close_signals()

    def _open_signals(self) -> None:
        """Raises TqunitsError."""
        self._signals = Signals(user_mode=self._user_mode)
        self._signals.on_unit_changed(self._on_unit)
        self._signals.on_signal("Reloading", self._on_reloading)
        self._signals.process()

    def _close_signals(self) -> None:
        if self._signals is not None:
            self._signals.close()
        self._signals = None

    def _on_unit(self, path: bytes) -> None:
        self._has_signal |= path.startswith(_WORKERS)
        self._is_manager_changed |= path == _MANAGER

    def _on_reloading(self, _: object) -> None:
        self._has_signal = True
