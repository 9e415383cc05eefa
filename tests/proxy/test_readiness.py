"""A socket that has failed is seen without taking its error; and a reader gets to it on the router's loop."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
import uvloop  # noqa: TID251 - both loops are to be tried

from tqunits.proxy.readiness import has_failed
from tqunits.proxy.stream import Stream
from tqunits.proxy.timers import Wheel

PATIENCE = 10.0


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        return listening.accept()[0], there


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


DOINGS: dict[str, tuple[Callable[[socket.socket], object], bool]] = {
    "nothing": (lambda _: None, False),
    "bytes": (lambda sock: sock.send(b"x"), False),
    "half-close": (lambda sock: sock.shutdown(socket.SHUT_WR), False),
    "close": (lambda sock: sock.close(), False),
    "reset": (reset, True),
}


@pytest.mark.parametrize(("do", "failed"), DOINGS.values(), ids=DOINGS)
def test_only_a_failure_is_one(do: Callable[[socket.socket], object], failed: bool) -> None:  # noqa: FBT001
    here, there = connected()
    with here, there:
        do(there)
        assert has_failed(here) == has_failed(here) == failed
        if failed:
            with pytest.raises(ConnectionResetError):
                here.recv(1)


class Reader(Stream):
    """Takes a little at a time, until the error comes out."""

    def __init__(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(sock, loop, Wheel(loop))
        self.read = 0
        self.broken: asyncio.Future[None] = loop.create_future()

    def on_readable(self) -> None:
        try:
            self.read += len(self.wire.recv(100))
        except ConnectionResetError:
            self.broken.set_result(None)
            self.close()
            return
        self.look_again()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_reader_gets_all_that_came_before_a_reset_and_the_reset(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def scenario() -> None:
        here, there = connected()
        here.setblocking(False)
        there.send(bytes(5000))
        reset(there)
        reader = Reader(here)
        reader.resume()
        await asyncio.wait_for(reader.broken, PATIENCE)
        assert reader.read == 5000

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())
