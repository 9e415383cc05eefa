"""TLS on real sockets, with OpenSSL at both ends: the same behaviour as a plain socket, including
events of the kernel, and hostile bytes.

The client is `secure_peers.Client`, so a test can cut, break and hold back any of its ciphertext.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secure_peers import KNOWN, PATIENCE, Client, make, readable

from tqunits.proxy.reactor.poller import Poller
from tqunits.proxy.reactor.timers import Wheel
from tqunits.proxy.transport.secured import HELLO, RECORD, Secured, Step
from tqunits.proxy.transport.stream import RECEIVE, Stream
from tqunits.system.certificates import Certificates

ALERT = 0x15
APPLICATION_DATA = 0x17


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.load(*make(tmp_path_factory.mktemp("tls"), "a", "a.example"))


@pytest.fixture(params=KNOWN, ids=lambda version: version.name)
def client(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Client]:
    made = Client(certificates, version=request.param)
    made.open()
    yield made
    made.close()


@pytest.fixture
def stranger(certificates: Certificates) -> Iterator[Client]:
    """A client before its handshake."""
    made = Client(certificates)
    yield made
    made.close()


def test_bytes_go_both_ways(client: Client) -> None:
    client.put(client.records(b"GET / HTTP/1.1\r\n"))
    assert client.receive() == b"GET / HTTP/1.1\r\n"
    assert client.secured.send(b"HTTP/1.1 200 OK\r\n") == 17
    client.take()
    assert client.got == b"HTTP/1.1 200 OK\r\n"


def test_there_is_nothing_before_it_comes(client: Client) -> None:
    with pytest.raises(BlockingIOError):
        client.secured.recv(RECEIVE)


def test_the_first_byte_tells(stranger: Client) -> None:
    stranger.go_on()
    assert stranger.outgoing.read()[:1] == HELLO


def test_a_request_right_behind_the_handshake_is_not_lost(stranger: Client) -> None:
    """The client's last flight and its first request in one segment: the kernel announces both only
    once."""
    stranger.go_on()
    stranger.put(stranger.outgoing.read())
    assert stranger.secured.handshake() is Step.READ
    stranger.take()
    assert stranger.is_open
    stranger.put(stranger.outgoing.read() + stranger.records(b"GET ", b"/"))
    assert stranger.secured.handshake() is Step.DONE
    assert stranger.secured.recv(RECEIVE) == b"GET /"
    with pytest.raises(BlockingIOError):
        stranger.secured.recv(RECEIVE)


def test_half_a_request_right_behind_the_handshake_waits_for_its_other_half(stranger: Client) -> None:
    stranger.go_on()
    stranger.put(stranger.outgoing.read())
    assert stranger.secured.handshake() is Step.READ
    stranger.take()
    last, record = stranger.outgoing.read(), stranger.records(b"GET /")
    stranger.put(last + record[:7])
    assert stranger.secured.handshake() is Step.DONE
    with pytest.raises(BlockingIOError):
        stranger.secured.recv(RECEIVE)
    stranger.put(record[7:])
    assert stranger.receive() == b"GET /"


def test_byte_by_byte(stranger: Client) -> None:
    step = Step.READ
    while not (stranger.is_open and step is Step.DONE):
        stranger.take()
        for byte in stranger.outgoing.read():
            stranger.put(bytes([byte]))
            step = stranger.secured.handshake()
    record = stranger.records(b"GET /")
    for byte in record[:-1]:
        stranger.put(bytes([byte]))
        with pytest.raises(BlockingIOError):
            stranger.secured.recv(RECEIVE)
    stranger.put(record[-1:])
    assert stranger.secured.recv(RECEIVE) == b"GET /"


def test_all_records_that_one_read_held_come_at_once(client: Client) -> None:
    """Otherwise they would stay in OpenSSL's buffers, which no kernel event announces."""
    client.put(client.records(b"a" * RECORD, b"b", b"c" * 1000))
    assert client.receive() == b"a" * RECORD + b"b" + b"c" * 1000


def test_what_came_whole_is_given_although_a_half_is_behind_it(client: Client) -> None:
    first, second = client.records(b"first"), client.records(b"second")
    client.put(first + second[:-1])
    assert client.receive() == b"first"
    client.put(second[-1:])
    assert client.receive() == b"second"


@pytest.mark.parametrize("together", [True, False], ids=["in one read", "apart"])
def test_close_notify_is_the_end_and_the_kernel_announces_it(client: Client, *, together: bool) -> None:
    """The client keeps its connection open, so there is no FIN."""
    last = client.records(b"last")
    if together:
        client.put(last + client.goodbye())
    else:
        client.put(last)
    assert client.receive() == b"last"
    if not together:
        client.put(client.goodbye())
    assert client.receive() == b""
    assert client.receive() == b""
    assert client.secured.send(b"answer") == 6
    client.take()
    assert client.got == b"answer"


def test_nothing_counts_behind_close_notify(client: Client) -> None:
    client.put(client.records(b"last") + client.goodbye() + b"\x17\x03\x03\x00\x05HELLO")
    assert client.receive() == b"last"
    with contextlib.suppress(BrokenPipeError):  # on a Unix socket the client gets an error if nobody reads
        client.put(b"GET / HTTP/1.1\r\n")
    assert client.receive() == b""


@pytest.mark.parametrize("cut", [0, 3, 20], ids=["between records", "in a header", "in a record"])
def test_an_end_without_close_notify_is_an_error(client: Client, cut: int) -> None:
    client.put(client.records(b"a body that goes on")[:cut])
    client.sock.close()
    with pytest.raises(ConnectionResetError):
        client.receive()


def test_what_was_whole_comes_before_the_cut(client: Client) -> None:
    client.put(client.records(b"whole") + client.records(b"cut")[:9])
    client.sock.close()
    assert client.receive() == b"whole"
    with pytest.raises(ConnectionResetError):
        client.receive()


@pytest.mark.parametrize("more", [[], [b"more"]], ids=["the end alone", "more before it"])
def test_the_server_can_end_its_side_alone(client: Client, more: list[bytes]) -> None:
    """The server closes its sending side: the client sees the end, and what it still sends
    arrives."""
    assert client.secured.send(b"last") == 4
    client.secured.shutdown(socket.SHUT_WR)
    client.take()
    assert client.got == b"last"
    assert client.tls.read(1) == b""  # close_notify, not a cut
    client.put(client.records(b"still here"))
    assert client.receive() == b"still here"
    client.put(client.records(*more) + client.goodbye())
    assert [client.receive() for _ in more] == more
    assert client.receive() == b""


@pytest.mark.parametrize("waiting", [b"", b"half"], ids=["nothing", "half a record"])
def test_an_end_of_the_server_does_not_read_what_comes_behind_it(client: Client, waiting: bytes) -> None:
    """OpenSSL's own shutdown would treat data that waits as an attack."""
    record = client.records(waiting) if waiting else b""
    client.put(record[:-1])
    with contextlib.suppress(BlockingIOError):
        client.secured.recv(RECEIVE)
    client.put(record[-1:] + client.records(b"more"))
    client.secured.shutdown(socket.SHUT_WR)
    assert client.receive() == waiting + b"more"


def test_a_socket_that_closes_says_nothing_so_it_looks_cut(client: Client) -> None:
    client.secured.send(b"part")
    client.server.close()
    client.take()
    assert client.got == b"part"
    with pytest.raises(ssl.SSLError, match=r"(?i)eof"):
        client.take()


GARBAGE = {
    "a hello that is none": b"\x16\x03\x01\x00\x05hello",
    "a hello that is too long": b"\x16\x03\x01\xff\xff" + b"x" * 100,
    "another version": b"\x16\x09\x09\x00\x05hello",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "data": b"\x17\x03\x03\x00\x05hello",
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("after_hello", [True, False], ids=["after a hello", "at once"])
def test_garbage_in_the_handshake_ends_it(stranger: Client, garbage: bytes, *, after_hello: bool) -> None:
    if after_hello:
        stranger.go_on()
        stranger.put(stranger.outgoing.read())
        assert stranger.secured.handshake() is Step.READ
        stranger.take()
    stranger.put(garbage)
    with pytest.raises(OSError) as caught:
        while stranger.secured.handshake() is Step.READ:
            readable(stranger.server)
    assert not isinstance(caught.value, BlockingIOError)


def test_a_client_is_told_why(stranger: Client) -> None:
    stranger.put(GARBAGE["a hello that is none"])
    with pytest.raises(ssl.SSLError):
        stranger.secured.handshake()
    assert stranger.sock.recv(100)[0] == ALERT


@pytest.mark.parametrize("after_hello", [True, False], ids=["after a hello", "at once"])
def test_a_client_that_leaves_in_the_handshake(stranger: Client, *, after_hello: bool) -> None:
    if after_hello:
        stranger.go_on()
        stranger.put(stranger.outgoing.read())
        assert stranger.secured.handshake() is Step.READ
    stranger.sock.close()
    with pytest.raises(ConnectionResetError):
        while stranger.secured.handshake() is Step.READ:
            readable(stranger.server)


def flip(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


def test_a_changed_record_ends_the_connection_and_no_other(certificates: Certificates, client: Client) -> None:
    """The connections share their buffers: data that one leaves in them could reach another."""
    other = Client(certificates)
    other.open()
    client.put(client.records(b"good") + flip(client.records(b"bad")) + client.records(b"behind"))
    with pytest.raises(ssl.SSLError) as caught:
        client.receive()
    assert not isinstance(caught.value, BlockingIOError)
    assert client.sock.recv(100)[0] in (ALERT, APPLICATION_DATA)  # TLS 1.3 hides the type of a record
    with pytest.raises(OSError):
        client.secured.recv(RECEIVE)
    with pytest.raises(OSError):
        client.secured.send(b"x")
    other.put(other.records(b"fine"))
    assert other.receive() == b"fine"
    assert other.secured.send(b"fine") == 4
    other.take()
    assert other.got == b"fine"
    other.close()


def test_connections_do_not_mix(certificates: Certificates) -> None:
    clients = [Client(certificates, version=KNOWN[n % 2]) for n in range(6)]
    for one in clients:
        one.open()
    records = [one.records(b"%d" % n * 50) for n, one in enumerate(clients)]
    for one, record in zip(clients, records, strict=True):
        one.put(record[:30])
    for one in clients:
        with pytest.raises(BlockingIOError):
            one.secured.recv(RECEIVE)
    for one, record in zip(clients, records, strict=True):
        one.put(record[30:])
    assert [one.receive() for one in clients] == [b"%d" % n * 50 for n in range(6)]
    for one in clients:
        one.close()


def turns() -> Iterator[None]:
    """Enough bytes for every test here."""
    yield from (None for _ in range(20_000))
    raise AssertionError("it does not end")


def fill(client: Client, data: bytes) -> int:
    """Send until the kernel takes no more; gives how much was taken."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while taken < len(data):
            taken += client.secured.send(data[taken:])
    return taken


def test_what_the_kernel_does_not_take_is_asked_for_again(certificates: Certificates) -> None:
    client = Client(certificates, buffers=4096)
    client.open()
    data = bytes(range(256)) * 4096
    taken = fill(client, data)
    assert taken < len(data)
    for _ in turns():
        client.take()
        if len(client.got) >= len(data):
            break
        with contextlib.suppress(BlockingIOError):
            if taken < len(data):
                taken += client.secured.send(data[taken:])
    assert (taken, client.got == data) == (len(data), True)
    client.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=70_000), st.booleans()), min_size=1, max_size=12))
def test_an_outbox_that_grows_meanwhile_arrives_once_and_in_order(
    certificates: Certificates, writes: list[tuple[bytes, bool]]
) -> None:
    """As `Stream` does: first the bytes that were not taken, with more behind them. Some of them
    are already encrypted."""
    client = Client(certificates, buffers=2048)
    client.open()
    outbox, written = b"", b""
    for more, reads in writes:
        outbox += more
        written += more
        outbox = outbox[fill(client, outbox) :]
        if reads:
            client.take()
    for _ in turns():
        outbox = outbox[fill(client, outbox) :]
        client.take()
        if len(client.got) >= len(written):
            break
    assert (outbox, client.got == written) == (b"", True)
    client.close()


def test_every_byte_that_moves_is_said(certificates: Certificates) -> None:
    """A slow client makes progress. If only whole chunks counted, it would look dead."""
    client = Client(certificates, buffers=4096)
    client.open()
    data = b"x" * 60_000
    counts = [fill(client, data)]
    for _ in turns():
        client.take()
        if sum(counts) == len(data):
            break
        with contextlib.suppress(BlockingIOError):
            counts.append(client.secured.send(data[sum(counts) :]))
    assert len(counts) > 5
    client.close()


@pytest.mark.parametrize("left", [1, 20], ids=["a byte", "less than what encryption adds"])
def test_all_but_the_last_byte_is_taken_while_the_kernel_lacks_any_of_it(certificates: Certificates, left: int) -> None:
    """Otherwise the rest of the ciphertext would never be sent."""
    probe, client = (Client(certificates) for _ in range(2))
    for one in (probe, client):
        one.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        one.open()
    room = probe.server.send(b"x" * (1 << 20))
    assert room < RECORD
    added = len(probe.records(b"x")) - 1
    data = b"x" * (room + left - added)
    assert client.secured.send(data) == len(data) - 1
    with pytest.raises(BlockingIOError):
        client.secured.send(data[-1:])
    client.take()
    assert client.secured.send(data[-1:] + b"and more") == 1
    client.take()
    assert client.got == data
    probe.close()
    client.close()


def test_a_certificate_larger_than_the_kernels_buffer_waits_for_room(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "a", *(f"{n:03}.example.org" for n in range(1500)))
    client = Client(Certificates.load(certificate, key), buffers=2048)
    client.go_on()
    client.put(client.outgoing.read())
    step = client.secured.handshake()
    assert step is Step.WRITE
    steps = set()
    while not client.is_open:
        client.take()
        client.put(client.outgoing.read())
        steps.add(step := client.secured.handshake())
    while step is not Step.DONE:
        readable(client.server)
        step = client.secured.handshake()
    assert Step.WRITE in steps
    assert client.secured.send(b"ok") == 2
    client.close()


# OpenSSL's own client, for messages that Python's can not send.


async def s_client(certificates: Certificates, version: str, *commands: bytes) -> tuple[list[bytes], str]:
    """Run openssl s_client, and type each command and a line behind it; gives the lines and the
    output of the client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", address, version, "-msg", stdin=pipe, stdout=pipe, stderr=pipe
        )
        server = (await asyncio.get_running_loop().run_in_executor(None, listening.accept))[0]
    assert process.stdin is not None
    server.setblocking(False)
    secured = Secured(server, certificates.context)
    while secured.handshake() is not Step.DONE:
        await _readable(server)
    lines = []
    with contextlib.suppress(ConnectionError, ssl.SSLError), server:
        for command in commands:
            process.stdin.write(command + b"\n")
            await _readable(server)
            with pytest.raises(BlockingIOError):  # it is no application data
                secured.recv(RECEIVE)
            process.stdin.write(b"line\n")
            await _readable(server)
            lines.append(secured.recv(RECEIVE))
            secured.send(b"answer\n")
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return lines, out.decode("ascii", "replace")


async def _readable(sock: socket.socket) -> None:
    await asyncio.get_running_loop().run_in_executor(None, readable, sock)


async def test_new_keys_in_the_middle(certificates: Certificates) -> None:
    """TLS 1.3's KeyUpdate: the client changes its keys and requests new ones of the server, which
    it gets with the next answer."""
    got, printed = await s_client(certificates, "-tls1_3", b"K", b"K")
    assert got == [b"line\n", b"line\n"]
    assert printed.count("<<< TLS 1.3, Handshake [length 0005], KeyUpdate") == 2
    assert printed.count("answer\n") == 2


async def test_there_is_no_renegotiation(certificates: Certificates) -> None:
    got, printed = await s_client(certificates, "-tls1_2", b"R")
    assert "no_renegotiation" in printed
    assert got == []


# With `Stream`, for which it is made.


class Echo(Stream):
    """Sends back what comes, with the back-pressure of the router: reads on when everything is
    sent."""

    __slots__ = ("over",)

    def __init__(self, sock: socket.socket, secured: Secured, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(sock, Poller(loop), Wheel(loop))
        self.wire = secured
        self.over = over

    def on_readable(self) -> None:
        try:
            data = self.wire.recv(RECEIVE)
        except BlockingIOError:
            return
        if not data:
            self.pause()
            self.over.set()
        else:
            assert self.write(data)
            if self.outbox:
                self.pause()

    def on_flushed(self) -> None:
        self.resume()

    def on_broken(self) -> None:
        raise AssertionError


async def echoed(certificates: Certificates, data: bytes) -> tuple[bytes, bool]:
    """Send it and read it back at the same time; gives what came back, and whether the stream saw
    the end.

    With buffers a little smaller, TCP may get a window of less than a segment, and then waits for
    its persist timer.
    """
    client = Client(certificates, buffers=8192)
    client.open()
    over = asyncio.Event()
    stream = Echo(client.server, client.secured, over)
    stream.resume()
    loop = asyncio.get_running_loop()
    reader = loop.create_task(_read_back(client, len(data)))
    for at in range(0, len(data), 50_000):
        await loop.sock_sendall(client.sock, client.records(data[at : at + 50_000]))
    await asyncio.wait_for(reader, PATIENCE)
    await loop.sock_sendall(client.sock, client.goodbye())
    await asyncio.wait_for(over.wait(), PATIENCE)
    stream.close()
    stream.poller.close()
    client.close()
    return client.got, over.is_set()


async def _read_back(client: Client, size: int) -> None:
    while len(client.got) < size:
        client.incoming.write(await asyncio.get_running_loop().sock_recv(client.sock, 3000))
        client.go_on()


async def test_a_mebibyte_both_ways_through_tiny_buffers(certificates: Certificates) -> None:
    data = bytes(range(251)) * (1024 * 1024 // 251)
    got, ended = await echoed(certificates, data)
    assert (got == data, ended) == (True, True)
