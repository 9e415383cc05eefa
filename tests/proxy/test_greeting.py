"""How the router detects TLS, and what happens to connections that never send anything; a real loop
with real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from secure_peers import PATIENCE, Client, make

from tqunits.proxy.front.greeting import Greeting
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import NEVER, Wheel
from tqunits.proxy.transport.secured import Secured
from tqunits.proxy.transport.stream import RECEIVE
from tqunits.system.certificates import Certificates
from tqunits.system.loop import run


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.load(*make(tmp_path_factory.mktemp("tls"), "a", "a.example"))


class Guest(Client):
    """A client whose server end is handled by the loop instead of the test."""

    def __init__(self, certificates: Certificates, *, handshake: int, buffers: int | None) -> None:
        super().__init__(certificates, buffers=buffers)
        self.loop = asyncio.get_running_loop()
        self.poller = Poller(self.loop)
        self.outcome: asyncio.Future[Secured | str | None] = self.loop.create_future()
        self.greeting = Greeting(
            self.server,
            certificates,
            self.poller,
            Wheel(self.loop),
            ticks=handshake,
            done=lambda _, secured: self.outcome.set_result(secured),
            gone=lambda _: self.outcome.set_result("gone"),
        )

    async def outcome_in_time(self) -> Secured | str | None:
        return await asyncio.wait_for(self.outcome, PATIENCE)

    async def shake_hands(self) -> None:
        """The client's part of the handshake."""
        self.go_on()
        while not self.is_open:
            await self.loop.sock_sendall(self.sock, self.outgoing.read())
            self.incoming.write(await asyncio.wait_for(self.loop.sock_recv(self.sock, 1000), PATIENCE))
            self.go_on()


@contextlib.asynccontextmanager
async def guest(
    certificates: Certificates, *, idle: int = NEVER, handshake: int = NEVER, buffers: int | None = None
) -> AsyncIterator[Guest]:
    made = Guest(certificates, handshake=handshake, buffers=buffers)
    made.greeting.start(idle)
    yield made
    made.poller.close()
    made.close()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"\r\n", b"\0", b"\x80\x2e\x01"], ids=repr)
async def test_what_is_no_handshake_is_plain_and_untouched(certificates: Certificates, first: bytes) -> None:
    async with guest(certificates) as client:
        client.put(first)
        assert await client.outcome_in_time() is None
        assert client.server.recv(100) == first


@pytest.mark.parametrize("buffers", [None, 2048], ids=["room", "little room"])
async def test_a_handshake_ends_in_a_secured_connection(tmp_path: Path, buffers: int | None) -> None:
    """The request comes with the end of the handshake. It has to be handed over at once, because
    the kernel does not announce it again."""
    certificates = Certificates.load(*make(tmp_path, "a", *(f"{n:03}.example.org" for n in range(1000))))

    async with guest(certificates, buffers=buffers) as client:
        await client.shake_hands()
        client.put(client.outgoing.read() + client.records(b"GET /"))
        secured = await client.outcome_in_time()
        assert isinstance(secured, Secured)
        assert secured.recv(RECEIVE) == b"GET /"


def test_it_is_the_same_on_the_loop_of_the_router(certificates: Certificates) -> None:
    async def scenario() -> None:
        async with guest(certificates) as client:
            await client.shake_hands()
            client.put(client.outgoing.read())
            assert isinstance(await client.outcome_in_time(), Secured)

    run(lambda _: scenario())


ENDS = {"nothing": b"", "a handshake that is none": b"\x16hello", "half a hello": b"\x16\x03\x01"}


@pytest.mark.parametrize("sent", ENDS.values(), ids=ENDS)
async def test_a_client_that_leaves_is_gone(certificates: Certificates, sent: bytes) -> None:
    async with guest(certificates) as client:
        client.put(sent)
        client.sock.close()
        assert await client.outcome_in_time() == "gone"
        assert client.server.fileno() == -1


async def test_a_client_that_is_refused_is_told(certificates: Certificates) -> None:
    async with guest(certificates) as client:
        client.go_on()
        client.put(client.outgoing.read()[:-3] + b"\0\0\0" + b"\x17\x03\x03\x00\x01x")
        assert await client.outcome_in_time() == "gone"
        with pytest.raises(ssl.SSLError):
            client.take()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03"], ids=["nothing", "half a hello"])
async def test_nobody_is_waited_for_for_ever(certificates: Certificates, sent: bytes) -> None:
    idle, handshake = (NEVER, 0) if sent else (0, NEVER)
    async with guest(certificates, idle=idle, handshake=handshake) as client:
        client.put(sent)
        assert await client.outcome_in_time() == "gone"


async def test_a_drain_lets_handshakes_finish_and_closes_the_rest(certificates: Certificates) -> None:
    async with guest(certificates) as silent, guest(certificates) as busy:
        busy.go_on()
        busy.put(busy.outgoing.read())
        await busy.loop.sock_recv(busy.sock, 1)  # the server has answered
        silent.greeting.drain()
        busy.greeting.drain()
        assert await silent.outcome_in_time() == "gone"
        assert not busy.outcome.done()
