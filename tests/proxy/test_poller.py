"""The poller on real sockets, on both loops: which handler is called, for which event, and that
one's error does not affect others."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tqunits.proxy.reactor.poller import BATCH, Poller
from tqunits.proxy.reactor.watched import Watched

pytestmark = pytest.mark.loops("asyncio", "uvloop")


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller(asyncio.get_running_loop())
    yield poller
    poller.close()


def said() -> list[str]:
    """The exceptions of handlers from now on, as the loop reports them."""
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(repr(context["exception"])))
    return failures


class Told(Watched):
    """Counts its calls, and then runs a function."""

    def __init__(self, do: Callable[[], object] = lambda: None) -> None:
        self.readable = 0
        self.writable = 0
        self.faults = 0
        self.event = asyncio.Event()
        self._do = do

    def on_readable(self) -> None:
        self.readable += 1
        self.event.set()
        self._do()

    def on_writable(self) -> None:
        self.writable += 1
        self.event.set()
        self._do()

    def on_fault(self) -> None:
        self.faults += 1


def pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.setblocking(False)
    return one, other


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection; the first one is non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        here = listening.accept()[0]
    here.setblocking(False)
    return here, there


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def turns(count: int = 3) -> None:
    """So many turns of the loop, each of which has asked the kernel."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        one, other = pair()
        event = asyncio.Event()
        loop.add_reader(one, event.set)
        other.send(b"x")
        await event.wait()
        loop.remove_reader(one)
        one.close()
        other.close()


async def test_a_reader_is_told_until_it_has_taken_all(poller: Poller) -> None:
    here, there = pair()
    got = b""

    def take() -> None:
        nonlocal got
        got += here.recv(1)

    told = Told(take)
    poller.add_reader(here, told)
    there.send(b"abc")
    while len(got) < 3:
        await asyncio.sleep(0)
    await turns()
    assert (got, told.readable, told.writable) == (b"abc", 3, 0)
    poller.close_socket(here)
    there.close()


async def test_reader_and_writer_of_one_socket_are_told_of_their_own(poller: Poller) -> None:
    here, there = pair()
    reader, writer = Told(lambda: here.recv(9)), Told(lambda: poller.remove_writer(here))
    poller.add_reader(here, reader)
    poller.add_writer(here, writer)
    await writer.event.wait()
    assert (reader.readable, writer.writable) == (0, 1)
    there.send(b"x")
    await reader.event.wait()
    poller.remove_reader(here)
    there.send(b"x")
    poller.add_writer(here, other := Told(lambda: poller.remove_writer(here)))
    await other.event.wait()
    await turns()
    assert (reader.readable, reader.writable, writer.writable, writer.readable) == (1, 0, 1, 0)
    poller.add_reader(here, third := Told(lambda: here.recv(9)))
    await third.event.wait()
    poller.close_socket(here)
    there.close()


async def test_another_reader_takes_the_place_of_the_first(poller: Poller) -> None:
    here, there = pair()
    first, second = Told(), Told(lambda: here.recv(9))
    poller.add_reader(here, first)
    poller.add_reader(here, second)
    there.send(b"x")
    await second.event.wait()
    assert (first.readable, second.readable) == (0, 1)
    poller.close_socket(here)
    there.close()


async def test_who_asks_for_nothing_is_told_of_no_hang_up(poller: Poller) -> None:
    """epoll(7) always reports errors and hang-ups of a registered socket, and would do so for
    ever."""

    here, there = connected()
    told = Told(lambda: poller.remove_reader(here))
    poller.add_reader(here, told)
    reset(there)
    await told.event.wait()
    await turns()
    assert told.readable == 1
    poller.add_writer(here, later := Told(lambda: poller.remove_writer(here)))
    await later.event.wait()
    assert (later.writable, told.readable) == (1, 1)
    poller.close_socket(here)


async def test_a_reader_gets_all_that_came_before_a_reset_and_the_reset(poller: Poller) -> None:
    here, there = connected()
    there.send(bytes(5000))
    reset(there)
    read, broken = 0, asyncio.Event()

    def take() -> None:
        nonlocal read
        try:
            read += len(here.recv(100))
        except ConnectionResetError:
            poller.close_socket(here)
            broken.set()

    poller.add_reader(here, Told(take))
    await broken.wait()
    assert read == 5000


@pytest.mark.parametrize("again", ["reader", "writer"])
async def test_an_event_of_a_closed_socket_is_not_told_to_the_next_owner_of_its_number(
    poller: Poller, again: str
) -> None:
    """All of these have an event at once. The handler that is called first closes the others and
    connects anew."""

    pairs = [pair() for _ in range(8)]
    numbers = {here.fileno() for here, _ in pairs}
    new: list[tuple[socket.socket, socket.socket]] = []
    later = Told()

    def replace() -> None:
        for here, there in pairs:
            poller.close_socket(here)
            there.close()
        while not numbers.issubset(here.fileno() for here, _ in new):  # smaller numbers may be free
            new.append(pair())
            here = new[-1][0]
            fill(here)
            (poller.add_reader if again == "reader" else poller.add_writer)(here, later)

    first = Told(replace)
    for here, there in pairs:
        there.send(b"x")
        poller.add_reader(here, first)
    await first.event.wait()
    await turns()
    assert (first.readable, later.readable, later.writable) == (1, 0, 0)
    for here, there in new:
        poller.close_socket(here)
        there.close()


def fill(sock: socket.socket) -> None:
    """Write until it takes no more."""
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        return


async def test_who_fails_is_said_and_not_told_again_and_the_others_are(poller: Poller) -> None:
    failures = said()
    bad, good = [pair() for _ in range(20)], [pair() for _ in range(20)]

    def fail() -> None:
        raise ZeroDivisionError

    failing = [Told(fail) for _ in bad]
    working = [Told(lambda here=here: here.recv(9)) for here, _ in good]  # type: ignore[misc]
    for (here, there), told in zip(bad + good, failing + working, strict=True):
        poller.add_reader(here, told)
        there.send(b"x")
    await asyncio.gather(*(told.event.wait() for told in failing + working))
    await turns()
    assert [told.readable for told in failing + working] == [1] * 40
    assert [told.faults for told in failing + working] == [1] * 20 + [0] * 20
    for here, there in bad + good:
        poller.close_socket(here)
        there.close()
    assert failures == ["ZeroDivisionError()"] * 20


async def test_a_crowd_of_events_leaves_the_loop_its_turns(poller: Poller) -> None:
    here, there = pair()
    there.send(b"x")
    numbers = [socket.socket(fileno=os.dup(here.fileno())) for _ in range(3 * BATCH)]
    told = Told()
    for sock in numbers:
        poller.add_reader(sock, told)
    loop = asyncio.get_running_loop()
    seen = []

    def look() -> None:
        seen.append(told.readable)
        if len(seen) < 4:
            loop.call_soon(look)

    look()
    while len(seen) < 4:
        await asyncio.sleep(0)
    assert max(after - before for before, after in pairwise(seen)) <= BATCH
    while told.readable < 6 * BATCH:  # each has its turn: a reported descriptor goes to the end of the kernel's list
        await asyncio.sleep(0)
    for sock in (*numbers, here):
        poller.remove_reader(sock)
        sock.close()
    there.close()


async def test_what_the_kernel_does_not_watch_leaves_no_trace_for_the_next_with_its_descriptor(
    poller: Poller, tmp_path: Path
) -> None:
    folder, unwatched = os.open(tmp_path, os.O_RDONLY), socket.socket()
    descriptor = os.dup2(folder, unwatched.fileno())  # epoll(7) does not support folders: EPERM
    with pytest.raises(PermissionError):
        poller.add_reader(unwatched, Told())
    other, there = socket.socketpair()
    unwatched.close()
    here = socket.socket(fileno=os.dup2(other.fileno(), descriptor))
    other.close()
    os.close(folder)
    told = Told()
    poller.add_reader(here, told)
    there.send(b"x")
    await told.event.wait()
    poller.close_socket(here)
    there.close()


class Gone(Told):
    """Waits only for the end."""

    def __init__(self, do: Callable[[], object]) -> None:
        super().__init__(do)
        self.hung_up = 0

    def on_hung_up(self) -> None:
        self.hung_up += 1
        self.event.set()
        self._do()


@pytest.mark.parametrize("family", ["unix", "tcp"])
async def test_who_waits_for_the_end_alone_is_told_when_both_ways_have_ended(poller: Poller, family: str) -> None:
    """It is not called for bytes, nor when only one direction has ended."""

    here, there = pair() if family == "unix" else connected()
    gone = Gone(lambda: poller.close_socket(here))
    poller.add_last(here, gone)
    there.send(b"x")
    there.shutdown(socket.SHUT_WR)
    await turns()
    assert gone.hung_up == 0
    if family == "unix":
        there.close()
    else:
        reset(there)
    await gone.event.wait()
    await turns()
    assert gone.hung_up == 1


async def test_a_reader_and_a_writer_come_and_go_before_the_end_is_told(poller: Poller) -> None:
    here, there = pair()
    gone = Gone(lambda: poller.close_socket(here))
    reader, writer = Told(lambda: here.recv(9)), Told(lambda: poller.remove_writer(here))
    poller.add_reader(here, reader)
    poller.add_last(here, gone)
    poller.add_writer(here, writer)
    there.send(b"x")
    await reader.event.wait()
    await writer.event.wait()
    poller.remove_reader(here)
    await turns()
    assert gone.hung_up == 0
    there.close()
    await gone.event.wait()
    assert (gone.hung_up, reader.readable, writer.writable) == (1, 1, 1)


async def test_the_next_socket_with_that_descriptor_has_nobody_who_waits_for_its_end(
    poller: Poller,
) -> None:
    here, there = pair()
    descriptor = here.fileno()
    gone = Gone(lambda: None)
    poller.add_last(here, gone)
    poller.close_socket(here)
    there.close()
    again, other = pair()
    assert descriptor in (again.fileno(), other.fileno())
    mine, its = (again, other) if again.fileno() == descriptor else (other, again)
    mine.setblocking(False)
    reader = Told(lambda: poller.close_socket(mine))
    poller.add_reader(mine, reader)
    its.close()
    await reader.event.wait()
    await turns()
    assert gone.hung_up == 0


async def test_who_fails_at_the_end_is_not_told_again(poller: Poller) -> None:
    failures = said()
    here, there = pair()

    def fail() -> None:
        raise ValueError("at the end")

    gone = Gone(fail)
    poller.add_last(here, gone)
    there.close()
    await gone.event.wait()
    await turns()
    assert (gone.hung_up, gone.faults) == (1, 1)
    poller.close_socket(here)
    assert failures == ["ValueError('at the end')"]
