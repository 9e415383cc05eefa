"""One health check on the event loop: a request or a connection to an instance, bounded in time and
size.

lifecycle/check_answer.py has the bytes. A check has no result (None) when it says nothing about the
instance: this process may not use its socket, or the loop itself was held up for so long that the
answer may be waiting (a call to systemd blocks it, manager/observer.py).
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final, cast

from tqunits.health import Health, HealthType
from tqunits.lifecycle import check_answer
from tqunits.light_dataclass import dataclass

AGENT: Final = "tqunits-manager"

LATE_S: Final = 0.1
"""A time limit that is noticed later than this was missed by this process, not by the instance."""

LONGEST_S: Final = 300.0
"""For a check whose `health.timeout` is longer, or infinity."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check."""

    at: int  # µs since 1970, when it began
    elapsed: int  # µs
    wrong: str  # "" for a healthy answer


async def check(address: str, rules: Health) -> CheckResult | None:
    """Ask the instance at this address once. Raises nothing."""
    loop = asyncio.get_running_loop()
    at, begin = time.time_ns() // 1000, loop.time()
    patience = min(rules.timeout / 1e6 or LONGEST_S, LONGEST_S)
    wrong = ""
    try:
        async with asyncio.timeout(patience):
            wrong = await _ask(address, rules)
    except PermissionError:
        return None
    except TimeoutError:
        if loop.time() - begin > patience + LATE_S:
            return None
        wrong = f"no answer within {patience:g} s"
    except OSError as error:
        wrong = (
            os.strerror(error.errno) if error.errno else str(error.strerror or error)
        ).lower()  # asyncio rewords it
    return CheckResult(at, round((loop.time() - begin) * 1e6), wrong)


def is_asked(rules: Health) -> bool:
    """Whether instances with these rules are checked while they run. A health command runs in the
    instance's sandbox only, so only at its start."""
    return rules.type in {HealthType.HTTP, HealthType.TCP} and rules.interval > 0


def asked(address: str, rules: Health) -> str:
    """What is asked, for people: 127.0.0.1:9000/health."""
    return f"{address}{rules.path}" if rules.type is HealthType.HTTP else f"a connection to {address}"


async def _ask(address: str, rules: Health) -> str:
    """What is wrong with the answer; "" for a healthy one. Raises OSError."""
    loop = asyncio.get_running_loop()
    request = b""
    if rules.type is HealthType.HTTP:
        request = check_answer.request(rules.path, rules.host or check_answer.host_of(address), AGENT)
    exchange = _Exchange(loop.create_future(), request, rules)
    if address.startswith("/"):
        transport, _ = await loop.create_unix_connection(lambda: exchange, address)
    else:
        host, _, port = address.rpartition(":")
        transport, _ = await loop.create_connection(lambda: exchange, host, int(port))
    try:
        return await exchange.wrong
    finally:
        transport.close()


class _Exchange(asyncio.Protocol):
    """One connection: a request, and as much of the answer as is needed. (Streams would cost almost
    twice as much: 290 µs instead of 170 for each check.)"""

    def __init__(self, wrong: asyncio.Future[str], request: bytes, rules: Health) -> None:
        """`request`: b"" where a connection is enough."""
        self.wrong = wrong
        self._request = request
        self._rules = rules
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._request:
            self.wrong.set_result("")
        else:
            cast("asyncio.WriteTransport", transport).write(self._request)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if check_answer.is_enough(self._answer, self._rules.status):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, error: Exception | None = None) -> None:
        """Judge what has come."""
        if self.wrong.done():
            return
        if self._answer:
            self.wrong.set_result(check_answer.wrong(self._answer, self._rules.status))
        else:
            self.wrong.set_exception(error or ConnectionResetError(0, "closed without an answer"))
