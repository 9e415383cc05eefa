"""What an accepted connection is like, whichever way the listening socket came."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tqunits.cli.proxy import snapshot_of
from tqunits.proxy.complaints import Complaints
from tqunits.proxy.downstream import Client
from tqunits.proxy.listener import Listeners
from tqunits.proxy.router import Router


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
def test_it_does_not_block_and_sends_at_once(folder: Path, family: socket.AddressFamily) -> None:
    """Without TCP_NODELAY the end of an answer waits for the client's acknowledgement of its beginning."""

    async def scenario() -> None:
        listening = socket.socket(family)
        listening.bind({socket.AF_UNIX: str(folder / "s"), socket.AF_INET6: ("::1", 0)}.get(family, ("127.0.0.1", 0)))
        listening.listen()
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        routes = snapshot_of(["/=127.0.0.1:9"], strip=True)
        router = Router(loop, routes, complaints=Complaints(), via=b"v", seed=b"8 bytes.")
        listeners = Listeners([listening], router)
        listeners.start()
        with socket.socket(family) as client:
            client.connect(listening.getsockname())
            while not router.clients:
                await asyncio.sleep(0)
            (taken,) = router.clients
            assert isinstance(taken, Client)
            assert not taken.sock.getblocking()
            if family != socket.AF_UNIX:
                assert taken.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            taken.close()
        listeners.stop()
        router.poller.close()

    asyncio.run(scenario())
