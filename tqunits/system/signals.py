"""Signals of the service manager, on a connection of their own.

A signal that arrives during a method call is queued inside libsystemd, where poll(2) does not see
it. So signals come on a second connection, on which no calls are made after the subscription. The
command line polls it (`wait`). An event loop watches its descriptor (`fileno`) and calls `process`,
which delivers without waiting.
"""

from __future__ import annotations

import select
from collections.abc import Callable

from tqunits.errors import TqunitsError
from tqunits.system.dbus import MANAGER, SYSTEMD, Connection, Receive, rows


class Signals:
    """Subscriptions, all on one descriptor. Use it in a `with`. Raises TqunitsError when there is
    no bus."""

    def __init__(self, *, user_mode: bool) -> None:
        self._connection = Connection(user_mode=user_mode)
        self._is_lost = False
        try:
            self._subscribe()
        except TqunitsError:
            self._connection.close()
            raise

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def on_job_removed(self, receive: Callable[[str, str], None]) -> None:
        """Call `receive` with a job's object path and its result when systemd has finished the job,
        with any result.

        `receive` must not raise. Call `process` after each subscription: signals that came in the
        meantime are queued where poll(2) does not see them.
        """

        def on_body(body: object) -> None:
            _, path, _, result = rows(body)
            receive(str(path), str(result))

        self.on_signal("JobRemoved", on_body)

    def on_signal(self, member: str, receive: Receive) -> None:
        """The same for any signal of the manager itself, by its name; `receive` gets its
        arguments."""
        self._connection.hear(SYSTEMD, MANAGER, member.encode(), receive)

    def on_unit_changed(self, receive: Callable[[bytes], None]) -> None:
        """Call `receive` with the object path of each unit of which a property has changed, often
        several times for one change. `receive` must not raise."""
        self._connection.hear_of_any(b"org.freedesktop.DBus.Properties", b"PropertiesChanged", receive)

    def fileno(self) -> int:
        """The descriptor to watch for reading; negative when the connection is gone. `renew` may
        change it."""
        return -1 if self._is_lost else self._connection.descriptor()

    def process(self) -> bool:
        """Deliver the signals that have come, without waiting. False when the connection is gone:
        the bus was restarted.

        Then stop watching the descriptor: it stays readable, and its number may soon be another
        file's.
        """
        self._is_lost = self._is_lost or not self._connection.dispatch()
        return not self._is_lost

    def wait(self, seconds: float) -> None:
        """Wait for a signal, at most this long, and deliver it. On a lost connection none ever
        comes."""
        poll = select.poll()
        descriptor = self.fileno()
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
        if poll.poll(max(0.0, seconds) * 1000):
            self.process()

    def renew(self) -> None:
        """Connect again after the connection was lost, with the same subscriptions. Signals in
        between are lost.

        Raises TqunitsError; then nothing has changed.
        """
        self._connection.reopen()
        self._subscribe()
        self._is_lost = False

    def _subscribe(self) -> None:
        """systemd sends most of its signals only to subscribed clients."""
        self._connection.call(SYSTEMD, MANAGER, b"Subscribe", [], what="subscribe to its signals")
