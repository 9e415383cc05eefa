"""Checks of instances that run, against programs that listen: what is found, told and restarted."""

from __future__ import annotations

import asyncio
import errno
import resource
import select
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from units.cases import worker

from tqunits.health import Health, HealthType
from tqunits.lifecycle.liveness import Work
from tqunits.lifecycle.state import Event, State
from tqunits.manager.checks import TOGETHER_S, HealthChecks, begin_at
from tqunits.manager.health_check import CheckResult, HealthCheck
from tqunits.manager.record import Change, InstanceRecord, Place, Seen
from tqunits.manager.registry import Registry
from tqunits.model import Instance
from tqunits.system.short_waits import ShortWaits

pytestmark = pytest.mark.loops("uvloop")

API = Instance("api")
RUNS = Seen(event=Event.READY, invocation="a" * 32)
RULES = replace(
    worker("api").health, interval=300_000, timeout=200_000, failure_threshold=3, success_threshold=1, start_period=0
)
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ILL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 11\r\n\r\nno database"
PATIENCE = 20.0
IDLE = Work(answers=0, in_flight=0)


@dataclass
class Program:
    """What listens: the bytes that it answers; None: it never answers."""

    answer: bytes | None = WELL
    requests: list[bytes] = field(default_factory=list)
    questions: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        self.questions.put_nowait(None)
        if self.answer is None:
            await reader.read()  # until the other side has enough
        else:
            writer.write(self.answer)
        writer.close()

    async def is_asked(self) -> None:
        """Wait for the next request."""
        await asyncio.wait_for(self.questions.get(), PATIENCE)


@asynccontextmanager
async def listening(program: Program) -> AsyncIterator[str]:
    server = await asyncio.start_server(program.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


async def outcome(address: str, rules: Health) -> CheckResult:
    """What a check finds. It is asked again while this process is too late to tell a slow answer
    from its own delay: the machine may be busy with other tests."""
    while (found := await one_outcome(address, rules)) is None:
        pass
    return found


async def one_outcome(address: str, rules: Health) -> CheckResult | None:
    """What one check finds; None: nothing."""
    found: asyncio.Future[CheckResult | None] = asyncio.get_running_loop().create_future()
    waits = ShortWaits()
    HealthCheck(waits, address, rules, found.set_result)
    try:
        return await asyncio.wait_for(found, PATIENCE)
    finally:
        waits.close()


@dataclass
class Host:
    """A registry with one instance that runs, its checks, and what they have led to."""

    registry: Registry
    changes: asyncio.Queue[Change]
    restarts: asyncio.Queue[tuple[InstanceRecord, str]]
    work: Work | None = IDLE  # by the routers
    is_refused: bool = False
    is_held: bool = False  # its file `serving` is gone
    is_idle: bool = False  # it has had no request for a while
    wake: Callable[[], None] = lambda: None

    def failures(self) -> int:
        """Failed checks in a row, up to now."""
        found = self.registry.records[API].check
        return found.failures if found else 0

    async def change(self) -> Change:
        return await asyncio.wait_for(self.changes.get(), PATIENCE)

    async def restart(self) -> tuple[InstanceRecord, str]:
        return await asyncio.wait_for(self.restarts.get(), PATIENCE)


@asynccontextmanager
async def checked(
    address: str,
    rules: Health | None = RULES,
    count: Callable[[Host], None] | None = None,
    unready: Mapping[Instance, int] = MappingProxyType({}),
) -> AsyncIterator[Host]:
    registry = Registry()
    unit = "tq-worker@api.service"
    place = Place(whose=API, unit=unit, routes=(), hosts=(), address=address, source="", health=rules)
    registry.place([place])
    host = Host(registry, asyncio.Queue(), asyncio.Queue())

    def restart(record: InstanceRecord, reason: str) -> bool:
        host.restarts.put_nowait((record, reason))
        return not host.is_refused

    async def work(_: Instance) -> Work | None:
        if count is not None:
            count(host)
        return host.work

    checks = HealthChecks(
        registry,
        restart=restart,
        work=work,
        is_held=lambda _: host.is_held,
        is_idle=lambda _: host.is_idle,
        say=lambda _: None,
    )
    host.wake = lambda: checks.wake(API)
    registry.see(API, RUNS, 1)
    registry.settle(unready)
    registry.subscribe(host.changes.put_nowait)
    checks.follow_all()
    yield host
    checks.close()


async def test_a_failed_check_is_told_with_the_answer_and_a_good_one_ends_it() -> None:
    program = Program(ILL)
    async with listening(program) as address, checked(address) as host:
        change = await host.change()
        assert (change.event, change.after) == (Event.MISSED, State.UNHEALTHY)
        assert change.cause == f"{address}/health: 500 Internal Server Error: no database"
        program.answer = WELL
        change = await host.change()
        assert (change.event, change.after, change.cause) == (Event.PASSED, State.HEALTHY, "")
        assert host.failures() == 0
    assert host.restarts.empty()
    assert program.requests[0].startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"User-Agent: tqunits-manager\r\n" in program.requests[0]


async def test_what_fails_often_enough_is_restarted_with_the_reason() -> None:
    async with listening(Program(None)) as address, checked(address) as host:
        record, reason = await host.restart()
        assert record.place.unit == "tq-worker@api.service"
        assert reason == f"{address}/health: no answer within 0.2 s (3 checks failed in a row)"
        assert host.registry.records[API].requested_restarts == 1


async def test_what_completes_requests_is_busy_and_not_restarted() -> None:
    def one_more(host: Host) -> None:
        host.work = replace(host.work or IDLE, answers=(host.work or IDLE).answers + 1)

    program = Program(None)
    async with listening(program) as address, checked(address, count=one_more) as host:
        while host.failures() <= RULES.failure_threshold:
            await program.is_asked()
        assert host.restarts.empty()


async def test_what_has_requests_is_given_time_for_them() -> None:
    def with_one(host: Host) -> None:
        host.work = Work(answers=7, in_flight=1)

    program = Program(None)
    async with listening(program) as address, checked(address, count=with_one) as host:
        while host.failures() <= RULES.failure_threshold:
            await program.is_asked()
        assert host.restarts.empty()


async def test_where_the_routers_say_nothing_the_checks_decide() -> None:
    def away(host: Host) -> None:
        host.work = None

    async with listening(Program(None)) as address, checked(address, count=away) as host:
        await host.restart()


async def test_a_restart_that_is_refused_is_tried_again_and_not_counted() -> None:
    async with listening(Program(ILL)) as address, checked(address) as host:
        host.is_refused = True
        await host.restart()
        await host.restart()
        assert host.registry.records[API].requested_restarts == 0


async def test_who_gets_no_requests_is_not_healthy_and_not_restarted() -> None:
    program = Program()
    async with listening(program) as address, checked(address) as host:
        host.is_held = True
        change = await host.change()
        assert (change.event, change.after) == (Event.MISSED, State.UNHEALTHY)
        assert change.cause == f"{address}/health: its file 'serving' is gone, so it gets no traffic"
        for _ in range(RULES.failure_threshold):
            await program.is_asked()
        host.is_held = False
        assert (await host.change()).event is Event.PASSED
    assert host.restarts.empty()


async def test_what_is_idle_is_asked_a_third_as_often_until_it_is_woken() -> None:
    rules, program = replace(RULES, interval=1_000_000), Program()
    async with listening(program) as address, checked(address, rules) as host:
        host.is_idle = True
        await program.is_asked()
        begin = time.monotonic()
        await program.is_asked()
        assert time.monotonic() - begin > 2.5
        host.is_idle, begin = False, time.monotonic()
        host.wake()
        await program.is_asked()
        assert time.monotonic() - begin < 2.5


async def test_what_fails_while_it_is_idle_is_asked_more_often_all_the_same() -> None:
    async with listening(Program(ILL)) as address, checked(address) as host:
        host.is_idle = True
        record, reason = await host.restart()
        assert (record.place.whose, "3 checks failed in a row" in reason) == (API, True)


@given(st.floats(0, 1e6), st.floats(0, 1e4))
def test_checks_begin_together_and_never_late(now: float, seconds: float) -> None:
    at = begin_at(now, seconds)
    assert now <= at <= now + seconds
    rounding = 1e-9 * (1 + now + seconds)  # 65.0 - 64.8 is a little more than 0.2
    assert now + seconds - at <= TOGETHER_S + rounding
    if seconds >= 10 * TOGETHER_S:
        assert begin_at(at, 11 * TOGETHER_S) - at == pytest.approx(11 * TOGETHER_S, abs=TOGETHER_S * 1.01)


async def test_who_failed_before_the_manager_started_is_unhealthy_until_a_check_passes() -> None:
    async with listening(Program()) as address, checked(address, unready={API: 2}) as host:
        assert host.registry.records[API].state is State.UNHEALTHY
        assert "before the manager was restarted" in host.registry.records[API].why
        assert (await host.change()).event is Event.PASSED


async def test_what_nobody_listens_for_is_refused() -> None:
    async with listening(Program()) as address:
        pass
    async with checked(address) as host:
        assert (await host.change()).cause == f"{address}/health: connection refused"


@pytest.mark.parametrize(
    "seen",
    [replace(RUNS, event=Event.LEAVING), replace(RUNS, event=Event.EXITED), replace(RUNS, event=Event.BEGUN)],
    ids=["it stops", "it has ended", "it starts"],
)
async def test_what_does_not_serve_is_not_asked(seen: Seen) -> None:
    program = Program()
    async with listening(program) as address, checked(address) as host:
        host.registry.see(API, seen, 2)  # before its first check, which is due within an interval
        await asyncio.sleep(2 * RULES.interval / 1e6)
    assert not program.requests


async def test_another_run_begins_anew() -> None:
    program = Program(ILL)
    async with listening(program) as address, checked(address) as host:
        await host.change()
        host.registry.see(API, replace(RUNS, invocation="b" * 32), 2)
        assert (await host.change()).event is Event.READY
        assert (await host.change()).event is Event.MISSED


@pytest.mark.parametrize(
    "rules",
    [
        None,
        replace(RULES, type=HealthType.NONE),
        replace(RULES, type=HealthType.COMMAND),
        replace(RULES, interval=0),
    ],
    ids=["unknown", "none", "command", "no interval"],
)
async def test_what_has_no_checks_is_not_asked(rules: Health | None) -> None:
    program = Program()
    async with listening(program) as address, checked(address, rules) as host:
        await asyncio.sleep(2 * RULES.interval / 1e6)
    assert not program.requests
    assert host.registry.records[API].state is State.HEALTHY


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (WELL, ""),
        (b"HTTP/1.0 200 OK\n\nfine", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content"),
        (ILL, "500 Internal Server Error: no database"),
        (b"HTTP/1.1 503 \r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n", "503: busy 0"),
        (b"HTTP/1.1 500 X\r\n\r\n" + b"y" * 70000, f"500 X: {'y' * 200}"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not HTTP: SSH-2.0-OpenSSH_9"),
        (b"\x1b[31m\xff", "not HTTP: \x1b[31m\xff"),
        (b"", "closed without an answer"),
    ],
)
async def test_what_is_wrong_with_an_answer(answer: bytes, wrong: str) -> None:
    async with listening(Program(answer)) as address:
        found = await outcome(address, RULES)
    assert found.wrong == wrong


async def test_a_connection_is_enough_for_tcp() -> None:
    program = Program(None)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        found = await outcome(f"{host}:{port}", replace(RULES, type=HealthType.TCP))
    assert (found.wrong, program.requests) == ("", [])


async def test_a_unix_socket(tmp_path: Path) -> None:
    program = Program()
    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(program.serve, path):
        found = await outcome(path, replace(RULES, host="api.example"))
    assert found.wrong == ""
    assert b"\r\nHost: api.example\r\n" in program.requests[0]


async def test_a_unix_socket_for_which_too_many_wait_is_tried_again(tmp_path: Path) -> None:
    program, path = Program(), str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(path)
        listener.listen(0)
        other.connect(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as refused:
            assert refused.connect_ex(path) == errno.EAGAIN
        checks = asyncio.create_task(outcome(path, replace(RULES, timeout=20_000_000)))
        await asyncio.sleep(0)  # it has begun
        listener.accept()[0].close()  # the other one: there is room now
        server = await asyncio.start_unix_server(program.serve, sock=listener.dup())
        async with server:
            found = await checks
    assert found.wrong == ""


@pytest.mark.parametrize("type_", [HealthType.HTTP, HealthType.TCP])
async def test_a_port_for_which_too_many_wait_does_not_answer(type_: HealthType) -> None:
    """The kernel drops the SYN, so the connection is not there when the call returns."""
    with socket.socket() as listener, socket.socket() as other:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        other.connect(listener.getsockname())
        select.select([listener], [], [])  # now it waits to be accepted, and there is no room for more
        found = await outcome(f"127.0.0.1:{listener.getsockname()[1]}", replace(RULES, type=type_))
    assert found.wrong == "no answer within 0.2 s"


async def test_without_a_descriptor_there_is_no_result() -> None:
    found: asyncio.Future[CheckResult | None] = asyncio.get_running_loop().create_future()
    waits, (soft, hard) = ShortWaits(), resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with suppress(OSError):
            while True:
                held.enter_context(socket.socket())
        HealthCheck(waits, "127.0.0.1:9", RULES, found.set_result)
        assert await asyncio.wait_for(found, PATIENCE) is None
    waits.close()


async def test_a_limit_that_this_process_missed_is_no_result() -> None:
    """The loop is held up over the limit, as by a daemon-reload of systemd."""
    loop = asyncio.get_running_loop()
    async with listening(Program(None)) as address:
        loop.call_later(0.1, time.sleep, 0.5)
        assert await one_outcome(address, RULES) is None


@pytest.mark.parametrize("text", ["trickled", "endless"])
async def test_an_answer_that_never_ends_is_bounded(text: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                writer.write(b"x" if text == "trickled" else b"x" * 65536)
                await writer.drain()
                await asyncio.sleep(0.01 if text == "trickled" else 0)
        except OSError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        found = await outcome(f"{host}:{port}", RULES)
    assert found.wrong in {"no answer within 0.2 s", f"not HTTP: {'x' * 200}"}
    assert found.elapsed < 5_000_000
