"""One health check on the event loop: a request or a connection to an instance, bounded in time and
size.

lifecycle/check_answer.py has the bytes. A check has no result (None) when it says nothing about the
instance: this process may not use its socket, or the loop itself was held up for so long that the
answer may be waiting (a call to systemd blocks it, manager/observer.py).

A check is a plain socket and a callback: 570 µs of CPU, with the kernel's part. With a task and a
transport of the loop's for each it was 725 (medians of three pairs of 1500 checks), and with 300
workers checks are most of what the manager does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from tqunits.health import Health, HealthType
from tqunits.lifecycle import check_answer
from tqunits.light_dataclass import dataclass
from tqunits.system.short_waits import ShortWaits

AGENT: Final = "tqunits-manager"

LATE_S: Final = 0.1
"""A time limit that is noticed later than this was missed by this process, not by the instance."""

AGAIN_S: Final = 0.05
"""Between two attempts to connect to a Unix socket for which so many wait that the kernel refuses
one more (EAGAIN, connect(2))."""

LONGEST_S: Final = 300.0
"""For a check whose `health.timeout` is longer, or infinity."""

_NO_RESULT: Final = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check."""

    at: int  # µs since 1970, when it began
    elapsed: int  # µs
    wrong: str  # "" for a healthy answer


def asked(address: str, rules: Health) -> str:
    """What is asked, for people: 127.0.0.1:9000/health."""
    return f"{address}{rules.path}" if rules.type is HealthType.HTTP else f"a connection to {address}"


class HealthCheck:
    """A connection to the instance, a request, and as much of the answer as is needed."""

    def __init__(
        self, waits: ShortWaits, address: str, rules: Health, on_end: Callable[[CheckResult | None], None]
    ) -> None:
        """Begin. `on_end` is called once, later, unless it is cancelled. Raises nothing."""
        self._waits = waits
        self._address = address
        self._rules = rules
        self._on_end = on_end
        self._answer = b""
        self._error = 0  # of the request
        self._loop = asyncio.get_running_loop()
        self._at, self._begun = time.time_ns() // 1000, time.monotonic()  # the loop's own clock counts ms
        self._patience = min(rules.timeout / 1e6 or LONGEST_S, LONGEST_S)
        self._limit = self._loop.call_later(self._patience, self._on_limit)
        self._next: asyncio.Handle | None = None
        self._socket = _socket(address)
        if self._socket is None:
            self._next = self._loop.call_soon(self._end, errno.EPERM)
        else:
            self._connect(self._socket)

    def cancel(self) -> None:
        """Forget it: nobody is told."""
        self._limit.cancel()
        if self._next is not None:
            self._next.cancel()
        if self._socket is not None:
            self._waits.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _connect(self, to: socket.socket) -> None:
        try:
            error = to.connect_ex(_place(self._address))
        except OSError:  # a path that is too long for a socket
            error = errno.EINVAL
        if error == errno.EAGAIN:
            self._next = self._loop.call_later(AGAIN_S, self._connect, to)
        elif error == errno.EINPROGRESS and self._rules.type is HealthType.HTTP:
            self._ask(to)  # on one host there is a connection by now
        elif error == errno.EINPROGRESS:
            self._waits.write(to.fileno(), partial(self._on_writable, to))
        else:
            self._next = self._loop.call_soon(self._on_connected, to, error)

    def _on_writable(self, to: socket.socket) -> None:
        self._on_connected(to, to.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _on_connected(self, to: socket.socket, error: int) -> None:
        if error or self._rules.type is not HealthType.HTTP:
            self._end(error)
        else:
            self._ask(to)

    def _ask(self, to: socket.socket) -> None:
        host = self._rules.host or check_answer.host_of(self._address)
        try:
            to.send(check_answer.request(self._rules.path, host, AGENT))
        except BlockingIOError:
            self._waits.write(to.fileno(), partial(self._on_writable, to))
            return
        except OSError as error:  # what it has sent before it closed is read nevertheless
            self._error = error.errno or errno.ECONNRESET
        self._waits.read(to.fileno(), partial(self._on_answer, to))

    def _on_answer(self, to: socket.socket) -> None:
        try:
            more = to.recv(check_answer.MAX_ANSWER)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.errno or errno.ECONNRESET)
            return
        self._answer += more
        if not more or check_answer.is_enough(self._answer, self._rules.status):
            self._end(self._error)

    def _on_limit(self) -> None:
        """No answer in time; it says nothing if this process was late itself."""
        self.cancel()
        is_late = time.monotonic() - self._begun > self._patience + LATE_S
        self._on_end(None if is_late else self._result(f"no answer within {self._patience:g} s"))

    def _end(self, error: int) -> None:
        """Judge what has come."""
        self.cancel()
        if error in _NO_RESULT:
            self._on_end(None)
        elif self._rules.type is not HealthType.HTTP and not error:
            self._on_end(self._result(""))
        elif self._answer:
            self._on_end(self._result(check_answer.wrong(self._answer, self._rules.status)))
        else:
            self._on_end(self._result(os.strerror(error).lower() if error else "closed without an answer"))

    def _result(self, wrong: str) -> CheckResult:
        return CheckResult(self._at, round((time.monotonic() - self._begun) * 1e6), wrong)


def _socket(address: str) -> socket.socket | None:
    """A new socket for this address; None where this process has no descriptor for one."""
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    try:
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError:
        return None


def _place(address: str) -> str | tuple[str, int]:
    if address.startswith("/"):
        return address
    host, _, port = address.rpartition(":")
    return host, int(port)
