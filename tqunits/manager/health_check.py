"""One health check on the event loop: a request or a connection to an instance, bounded in time and
size.

lifecycle/check_answer.py has the bytes. A check has no result (None) when it says nothing about the
instance: this process may not use its socket, or the loop itself was held up for so long that the
answer may be waiting (a call to systemd blocks it, manager/observer.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from typing import Final

from tqunits.health import Health, HealthType
from tqunits.lifecycle import check_answer

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
    reader, writer = await _connect(address)
    try:
        if rules.type is HealthType.TCP:
            return ""
        writer.write(check_answer.request(rules.path, rules.host or check_answer.host_of(address), AGENT))
        return await _read(reader, rules)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("/"):
        return await asyncio.open_unix_connection(address, limit=check_answer.MAX_ANSWER)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port), limit=check_answer.MAX_ANSWER)


async def _read(reader: asyncio.StreamReader, rules: Health) -> str:
    """What is wrong with the answer. What came before the time limit counts."""
    text = b""
    while not check_answer.is_enough(text, rules.status):
        more = await reader.read(check_answer.MAX_ANSWER)
        if not more:
            break
        text += more
    if not text:
        raise ConnectionResetError(0, "closed without an answer")
    return check_answer.wrong(text, rules.status)
