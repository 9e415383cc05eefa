"""systemd's side of a service: readiness and state (sd_notify(3)), inherited sockets
(sd_listen_fds(3)).

Both need a few lines with sockets and the environment, so no library is used. Without systemd (no
NOTIFY_SOCKET, no LISTEN_FDS) everything here does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""

MAX_DESCRIPTORS: Final = 256
"""A LISTEN_FDS that is larger than this is broken."""


class Notifier:
    """Tells the service manager the state of this service."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes the variables out of `environment`, so that no child process can send in our
        name."""
        self._address = _address(environment.pop("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog(environment)

    @property
    def watchdog(self) -> float:
        """Seconds between two keep-alive messages, half of what systemd allows; 0: there is no
        watchdog."""
        return self._watchdog / 2e6

    def ready(self, status: str) -> None:
        """The service is up (again): READY=1."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again: RELOADING=1 with the time that Type=notify-reload
        requires."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The service is about to end: STOPPING=1."""
        self._send("STOPPING=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """The keep-alive message: WATCHDOG=1."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        """Failures are ignored, as sd_notify(3) recommends: without a receiver there is nothing to
        do."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(assignments).encode(), self._address)


def inherited_sockets(environment: MutableMapping[str, str]) -> tuple[tuple[str, socket.socket], ...]:
    """The sockets that systemd has passed, each with its name (FileDescriptorName=); empty when
    they are not for this process.

    Takes the variables out of `environment`. The sockets are non-blocking and close-on-exec.
    """
    process = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdigit() or not 0 < int(count) <= MAX_DESCRIPTORS:
        return ()
    return tuple(
        (names[index] if index < len(names) else "", _inherited(FIRST_DESCRIPTOR + index))
        for index in range(int(count))
    )


def _inherited(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def _address(text: str) -> str:
    """A path, or a name in the abstract namespace written with "@"."""
    return "\0" + text[1:] if text.startswith("@") else text


def _watchdog(environment: MutableMapping[str, str]) -> int:
    span = environment.pop("WATCHDOG_USEC", "")
    process = environment.pop("WATCHDOG_PID", "")
    if not span.isdigit() or (process and process != str(os.getpid())):
        return 0
    return int(span)
