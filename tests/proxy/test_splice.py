"""Relays over real sockets, on both loops: exact to the byte, with slow and broken peers, and
without free pipes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import resource
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tqunits.http.pump import LAST_CHUNK, ChunkedPump
from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.watched import Watched
from tqunits.proxy.transport.relay import MIN_PIPE, PIPE_SIZE, WORTH, ChunkRelay, End, Pipe, Pipes, Relay, pays

BIG = random.Random(7).randbytes(3 * 1024 * 1024 + 17)
NEXT = b"HTTP/1.1 200 OK\r\n"
LUMP = 64 * 1024


pytestmark = pytest.mark.loops("asyncio", "uvloop")


class Way(Watched):
    """Two connections and a relay between them: `sender` -> `source` => `target` -> `receiver`."""

    def __init__(self, family: socket.AddressFamily = socket.AF_UNIX, pipes: Pipes | None = None) -> None:
        self.sender, self.source = pair(family)
        self.target, self.receiver = pair(family)
        self.pipes = pipes or Pipes()
        self.loop = asyncio.get_running_loop()
        self.poller = Poller(self.loop)
        self.ended: asyncio.Future[End] = self.loop.create_future()
        self.handed_back = asyncio.Event()
        self.moved: list[int] = []  # the relay's count at each report of progress
        self.relay: Relay

    def back(self) -> Way:
        """The other direction of a tunnel, over the same connections."""
        back = Way.__new__(Way)
        back.__dict__.update(self.__dict__)
        back.sender, back.source, back.target, back.receiver = self.receiver, self.target, self.source, self.sender
        return back

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *_: object) -> None:
        if self.sender.fileno() < 0:  # the other direction has closed both sockets
            return
        for sock in (self.source, self.target):
            self.poller.close_socket(sock)
        self.poller.close()
        for sock in (self.sender, self.receiver):
            sock.close()
        self.pipes.close()

    def start(self, limit: int | None, kind: type[Relay] = Relay) -> Relay:
        self.ended = self.loop.create_future()
        self.relay = kind(
            self.poller,
            self.pipes,
            self.source,
            self.target,
            limit=limit,
            reader=self,
            on_moved=lambda: self.moved.append(self.relay.moved),
            on_end=self.ended.set_result,
        )
        self.relay.start()
        return self.relay

    def on_fault(self) -> None:
        """The loop has reported it, and the test fails."""

    def on_readable(self) -> None:
        """The relay does not read any more, although there is data."""
        self.poller.remove_reader(self.source)
        self.handed_back.set()

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.sender, data)

    async def receive(self, size: int) -> bytes:
        return await exactly(self.receiver, size)

    async def jam(self, kind: type[Relay] = Relay) -> bytes:
        """Send through a relay until it blocks, because the receiver reads nothing; gives what was
        sent."""
        self.start(None, kind)
        sent = bytearray()
        while not self.pipes.in_use:
            with contextlib.suppress(BlockingIOError):
                at = len(sent) % len(BIG)
                sent += BIG[at : at + self.sender.send(BIG[at : at + LUMP])]
            await asyncio.sleep(0)
            if self.ended.done():
                assert self.ended.result() is End.HANDED_OVER
                self.start(None, kind)
        return bytes(sent)


def pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection, non-blocking."""
    if family == socket.AF_UNIX:
        one, other = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname())
            other, _ = server.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < size:
        piece = await loop.sock_recv(sock, size - len(data))
        assert piece, "ended early"
        data += piece
    return bytes(data)


async def rest(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while piece := await loop.sock_recv(sock, LUMP):
        data += piece
    return bytes(data)


async def some_turns() -> None:
    """Let the loop call all handlers that are still registered: a relay that has ended would end
    twice, which is an error."""
    for _ in range(5):
        await asyncio.sleep(0)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


FAMILIES = {"tcp": socket.AF_INET, "unix": socket.AF_UNIX}
SIZES = {"64 KiB": 64 * 1024, "a pipe": PIPE_SIZE, "a pipe and one": PIPE_SIZE + 1, "big": len(BIG)}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
async def test_a_known_length_is_moved_and_not_a_byte_more(family: socket.AddressFamily, size: int) -> None:
    with Way(family) as way:
        sending = asyncio.create_task(way.send(BIG[:size] + NEXT))
        relay = way.start(size)
        assert await way.receive(size) == BIG[:size]
        assert await way.ended is End.DONE
        await sending
        assert (relay.moved, relay.left) == (size, 0)
        await way.handed_back.wait()
        assert await exactly(way.source, len(NEXT)) == NEXT
        assert way.moved == sorted(set(way.moved))
        with pytest.raises(BlockingIOError):
            way.receiver.recv(1)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
async def test_until_the_end_of_the_stream(family: socket.AddressFamily) -> None:
    with Way(family) as way:
        way.start(None)
        sending = asyncio.create_task(way.send(BIG))
        assert await way.receive(len(BIG)) == BIG
        await sending
        way.sender.shutdown(socket.SHUT_WR)
        assert await way.ended in (End.ENDED, End.HANDED_OVER)
        if way.ended.result() is End.HANDED_OVER:
            way.start(None)
            assert await way.ended is End.ENDED
        await some_turns()
        way.target.send(b"more")  # the end was reported, not passed on
        assert await way.receive(4) == b"more"


async def test_a_stream_that_ends_early_has_bytes_left() -> None:
    with Way() as way:
        await way.send(BIG[:100_000])
        way.sender.close()
        relay = way.start(200_000)
        assert await way.ended is End.ENDED
        assert (relay.moved, relay.left) == (100_000, 100_000)
        assert await way.receive(100_000) == BIG[:100_000]


@pytest.mark.parametrize("limit", [None, 1_000_000], ids=["until the end", "known length"])
async def test_little_at_a_time_is_handed_over(limit: int | None) -> None:
    with Way() as way:
        relay = way.start(limit)
        await way.send(b"event")
        assert await way.ended is End.HANDED_OVER
        assert await way.receive(5) == b"event"
        assert relay.moved == 5
        assert limit is None or relay.left == limit - 5
        assert way.pipes.in_use == 0
        assert not way.handed_back.is_set()
        await way.send(b"more")
        await way.handed_back.wait()


async def test_a_slow_target_stops_the_reading() -> None:
    with Way() as way:
        sent = await way.jam(Counted)
        assert way.pipes.in_use == 1
        assert way.relay.blocked
        assert len(sent) > way.relay.moved > 0
        turns = Counted.turns
        with contextlib.suppress(BlockingIOError):
            while True:
                way.sender.send(BIG[:LUMP])
        await some_turns()
        assert Counted.turns == turns  # no busy loop


async def test_a_slow_target_gets_everything_in_the_end() -> None:
    with Way() as way:
        sent = await way.jam()
        way.sender.close()
        assert await way.receive(len(sent)) == sent
        if await way.ended is End.HANDED_OVER:
            way.start(None)
            assert await way.ended is End.ENDED
        assert way.pipes.in_use == 0
        await some_turns()


async def test_who_waited_for_the_target_waits_for_the_source_again() -> None:
    with Way() as way:
        sent = await way.jam(Counted)
        assert await way.receive(len(sent)) == sent
        while way.pipes.in_use:
            await asyncio.sleep(0)
        assert not way.relay.blocked
        turns = Counted.turns
        await some_turns()
        assert Counted.turns == turns  # no busy loop
        await way.send(b"more")
        assert await way.receive(4) == b"more"


async def test_a_target_that_is_gone() -> None:
    with Way(socket.AF_INET) as way:
        await way.jam()
        reset(way.receiver)
        assert await way.ended is End.TARGET_BROKEN
        assert way.pipes.in_use == 0
        await some_turns()


async def test_a_source_that_is_cut_off() -> None:
    with Way(socket.AF_INET) as way:
        way.start(1_000_000)
        reset(way.sender)
        assert await way.ended is End.SOURCE_BROKEN
        await some_turns()


def exhausted(pipes: Pipes) -> bool:
    """A function, because a type checker would take the first result for permanent."""
    return pipes.exhausted


async def test_what_an_aborted_relay_held_goes_to_nobody() -> None:
    pipes = Pipes(most=1)
    with Way(pipes=pipes) as way, Way(pipes=pipes) as other:
        sent = await way.jam()
        assert exhausted(pipes)
        way.relay.abort()
        way.relay.abort()
        assert not exhausted(pipes)
        assert await way.receive(way.relay.moved) == sent[: way.relay.moved]
        await some_turns()
        await other.send(b"x" * LUMP)
        other.start(LUMP)
        assert await other.ended is End.DONE
        assert await other.receive(LUMP) == b"x" * LUMP
        assert not way.ended.done()


async def test_without_a_pipe_it_hands_over_untouched() -> None:
    with Way(pipes=Pipes(most=0)) as way:
        await way.send(BIG[:LUMP])
        relay = way.start(LUMP)
        assert await way.ended is End.HANDED_OVER
        assert (relay.moved, relay.left) == (0, LUMP)
        assert await exactly(way.source, LUMP) == BIG[:LUMP]


class Counted(Relay):
    """A relay that counts how often it is called, and treats any piece as a large one."""

    little: ClassVar[int] = 0
    turns: ClassVar[int] = 0

    def _turn(self) -> None:
        Counted.turns += 1
        super()._turn()


class Brief(Relay):
    """A relay with the shortest turn: one load."""

    turn: ClassVar[int] = 1


async def test_a_turn_is_bounded_so_that_others_get_theirs() -> None:
    with Way(pipes=Pipes(size=MIN_PIPE)) as way:
        await way.send(BIG[: 2 * MIN_PIPE])
        way.start(2 * MIN_PIPE, Brief)
        assert await way.ended is End.DONE
        assert way.moved  # all of it was there, and still it took more than one turn
        assert way.moved[0] <= MIN_PIPE


async def test_both_ways_of_a_tunnel_share_two_sockets() -> None:
    with Way(socket.AF_INET) as there, there.back() as back:
        there.start(len(BIG))
        back.start(len(BIG))
        sending = asyncio.gather(there.send(BIG), there.loop.sock_sendall(there.receiver, BIG[::-1]))
        received = asyncio.gather(exactly(there.receiver, len(BIG)), exactly(there.sender, len(BIG)))
        assert list(await received) == [BIG, BIG[::-1]]
        await sending
        assert (await there.ended, await back.ended) == (End.DONE, End.DONE)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
async def test_a_body_until_close_in_chunks(family: socket.AddressFamily) -> None:
    with Way(family) as way:
        sending = asyncio.create_task(way.send(BIG))
        way.start(len(BIG), ChunkRelay)
        receiving = asyncio.create_task(rest(way.receiver))
        assert await way.ended is End.DONE
        await sending
        await way.loop.sock_sendall(way.target, LAST_CHUNK)
        way.target.shutdown(socket.SHUT_WR)
        pump = ChunkedPump(rechunk=False)
        assert pump.feed(await receiving) == BIG
        assert pump.done
        assert not pump.surplus
        assert way.relay.moved == len(BIG)


async def test_a_small_chunk_is_whole_at_once() -> None:
    with Way(socket.AF_INET) as way:
        way.start(None, ChunkRelay)
        await way.send(b"event")
        assert await way.receive(10) == b"5\r\nevent\r\n"
        assert await way.ended is End.HANDED_OVER


PAYS = {
    "large": (socket.AF_INET, socket.AF_INET, WORTH, 1, True),
    "small": (socket.AF_INET, socket.AF_INET, WORTH - 1, 1, False),
    "no pipe left": (socket.AF_INET, socket.AF_INET, WORTH, 0, False),
    "to a Unix socket": (socket.AF_INET, socket.AF_UNIX, WORTH, 1, True),
    "from a Unix socket": (socket.AF_UNIX, socket.AF_INET, WORTH, 1, False),
    "between Unix sockets": (socket.AF_UNIX, socket.AF_UNIX, WORTH, 1, True),
}


@pytest.mark.parametrize(("source", "target", "left", "most", "paying"), PAYS.values(), ids=PAYS.keys())
def test_where_a_relay_pays(
    source: socket.AddressFamily, target: socket.AddressFamily, left: int, most: int, *, paying: bool
) -> None:
    with socket.socket(source) as one, socket.socket(target) as other:
        assert pays(Pipes(most=most), one, other, left) is paying


@pytest.mark.loops("uvloop")
@settings(max_examples=40, deadline=None)
@given(
    bodies=st.lists(st.integers(1, 3 * MIN_PIPE), min_size=1, max_size=5),
    lumps=st.lists(st.integers(1, 2 * MIN_PIPE), min_size=1, max_size=5),
    kind=st.sampled_from([Relay, Brief]),
)
async def test_bodies_one_after_the_other_never_mix(bodies: list[int], lumps: list[int], kind: type[Relay]) -> None:
    with Way(pipes=Pipes(size=MIN_PIPE)) as way:
        sending = asyncio.create_task(in_lumps(way, BIG[: sum(bodies)], lumps))
        at = 0
        for size in bodies:
            receiving = asyncio.create_task(way.receive(size))
            left = size
            while left:
                relay = way.start(left, kind)
                end = await way.ended
                assert end is (End.HANDED_OVER if relay.left else End.DONE)
                assert relay.moved + relay.left == left
                left = relay.left
            assert await receiving == BIG[at : at + size]
            at += size
        await sending


async def in_lumps(way: Way, data: bytes, lumps: list[int]) -> None:
    at = turn = 0
    while at < len(data):
        size = lumps[turn % len(lumps)]
        await way.send(data[at : at + size])
        at += size
        turn += 1


def test_pipes_are_kept_up_to_a_number_and_inherited_by_nobody() -> None:
    pipes = Pipes(size=MIN_PIPE, most=3, idle=1)
    taken = [pipe for pipe in (pipes.take() for _ in range(4)) if pipe is not None]
    assert len(taken) == 3
    assert exhausted(pipes)
    for pipe in taken:
        assert pipe.size == MIN_PIPE
        for end in (pipe.read_end, pipe.write_end):
            assert not os.get_inheritable(end)
            assert not os.get_blocking(end)
        pipes.give(pipe)
    assert not exhausted(pipes)
    assert [is_open(pipe) for pipe in taken] == [True, False, False]
    assert pipes.take() is taken[0]
    pipes.give(taken[0])
    pipes.close()
    assert not is_open(taken[0])


def test_a_pipe_that_is_not_empty_is_closed() -> None:
    pipes = Pipes()
    pipe = pipes.take()
    assert pipe is not None
    pipe.held = os.write(pipe.write_end, b"secret")
    pipes.give(pipe)
    assert not is_open(pipe)


def is_open(pipe: Pipe) -> bool:
    try:
        fcntl.fcntl(pipe.read_end, fcntl.F_GETFD)
    except OSError:
        return False
    return True


@pytest.fixture
def no_descriptors() -> Iterator[None]:
    """No new descriptor can be opened from here on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("no_descriptors")
def test_no_descriptors_no_pipe() -> None:
    pipes = Pipes()
    assert pipes.take() is None
    assert not pipes.exhausted
    assert pipes.in_use == 0


def test_a_user_who_has_too_many_pages_gets_no_bad_pipe() -> None:
    """pipe(7): beyond pipe-user-pages-soft a new pipe of an unprivileged user has two pages."""
    if Path("/proc/sys/fs/pipe-user-pages-soft").read_text().strip() == "0":
        pytest.skip("this host sets no such limit")
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = exhaust_pages()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def exhaust_pages() -> int:
    """0 when the pipes were large, then normal, then none."""
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    sizes: list[int] = []
    while (pipe := Pipe.open(1024 * 1024)) is not None and len(sizes) < 400:
        sizes.append(pipe.size)
    return 0 if pipe is None and sizes[0] == 1024 * 1024 and sizes == sorted(sizes, reverse=True) else 1
