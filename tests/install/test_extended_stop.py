"""A worker can extend its stop without end (sd_notify(3), EXTEND_TIMEOUT_USEC=): a known limit.

systemd 252 and 257 extend the time for as long as the worker asks, whatever TimeoutStopSec= says,
and have no directive against that. RuntimeMaxSec= is about the time before a stop, JobTimeoutSec=
ends the job and kills no process, and without NotifyAccess= there is no READY=1. Only workers with
`service_type: notify` can do this.
"""

from __future__ import annotations

import pytest

from .conftest import Site

UNIT = "tq-worker@alpha.service"
ASKS = """\
import asyncio, os, signal, socket

TOLD = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    writer.close()


async def main():
    await asyncio.start_server(serve, "127.0.0.1", int(os.environ["WORKER_PORT"]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    TOLD.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    while True:
        TOLD.sendto(b"EXTEND_TIMEOUT_USEC=5000000", os.environ["NOTIFY_SOCKET"])
        await asyncio.sleep(0.2)


asyncio.run(main())
"""


def stopping_for(site: Site) -> float:
    """Seconds since its SIGTERM; 0 if the unit is not in that state."""
    if site.machine.show(UNIT, "SubState") != "stop-sigterm":
        return 0
    since = int(site.machine.show(UNIT, "StateChangeTimestampMonotonic")) / 1e6
    return float(site.machine.read("/proc/uptime").split()[0]) - since


@pytest.mark.long
def test_who_asks_for_more_time_gets_it_and_holds_up_nobody_else(site: Site) -> None:
    site.worker("alpha", "service_type: notify\ntimeouts: {stop: 1s}\n", program=ASKS)
    site.worker("beta")
    site.install()
    site.machine.systemctl("stop", "--no-block", UNIT)
    site.machine.wait_until(lambda: stopping_for(site) > 3)
    site.machine.tqunits("restart", "beta")
    assert site.machine.show("tq-worker@beta.service", "ActiveState") == "active"
    site.machine.systemctl("kill", "--signal=KILL", UNIT)
    site.machine.wait_until(lambda: site.machine.show(UNIT, "ActiveState") in {"inactive", "failed"})
