"""The leave protocol has two implementations: the programs of workers send and understand what the
router defines, without importing it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.control import protocol
from tqunits.control.protocol import Doing, DoingThere, Drained, EndpointStatus, Problem, Status, Use, WorkerStatus
from tqunits.control.server import LocalServer
from tqunits.http.head import RequestHead
from tqunits.lifecycle.liveness import Work
from tqunits.model import Instance
from tqunits.units import name

LEAVE = Path(__file__).parents[2] / "tqunits/alone/leave.py"
SOME_S = 20.0

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True).filter(name.is_worker_name)
COUNTS = st.integers(0, 10**9)
ENDPOINTS = st.builds(
    EndpointStatus,
    address=st.text(),
    in_flight=COUNTS,
    answers=COUNTS,
    idle=COUNTS,
    draining=st.booleans(),
    failures=COUNTS,
    drained=st.booleans(),
)
WORKERS = st.builds(
    WorkerStatus,
    name=NAMES,
    in_flight=COUNTS,
    waiting=COUNTS,
    paused=st.booleans(),
    maintenance=st.booleans(),
    endpoints=st.lists(ENDPOINTS, max_size=2).map(tuple),
)
STATUSES = st.builds(
    Status,
    pid=COUNTS,
    release=st.sampled_from(["1.0.0", "1.0.0rc1", "2!1.0.post1.dev2+local.3"]),
    connections=COUNTS,
    asleep=COUNTS,
    requests=COUNTS,
    draining=st.booleans(),
    orders=st.dictionaries(NAMES, st.sampled_from(["pause", "drain", "maintenance"]), max_size=3),
    workers=st.lists(WORKERS, max_size=3, unique_by=lambda worker: worker.name).map(tuple),
)


class Asked:
    """A process of the router at whose leave socket a worker asks; it gives these answers in
    turn."""

    def __init__(self, folder: Path, answers: Sequence[Drained | Problem]) -> None:
        self.questions: list[tuple[Instance, int]] = []
        self._answers = list(answers)
        place = folder / "leave/1/leave.sock"
        place.parent.mkdir(parents=True)
        self.server = LocalServer(
            place, self._answer, mode=0o600, max_clients=4, patience=SOME_S, max_body=protocol.MAX_QUESTION
        )

    async def _answer(self, head: RequestHead, _: bytes, __: int) -> tuple[str, bytes]:
        self.questions.append(protocol.leave_question(head.method, head.target))
        answer = self._answers.pop(0)
        if isinstance(answer, Problem):
            raise answer
        return protocol.JSON, protocol.encoded(answer.body())


async def leave(folder: Path, wait: str) -> str:
    """A worker called w leaves; gives its output."""
    place = ("--serving", f"{folder}/serving", "--routers", f"{folder}/leave", "--name", "w")
    argv = ("/usr/bin/python3", "-I", "-S", str(LEAVE), *place, "--wait", wait, "--pid", str(os.getpid()))
    environment = {"CACHE_DIRECTORY": str(folder)}
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, env=environment)
    _, said = await asyncio.wait_for(process.communicate(), SOME_S)
    assert process.returncode == 0
    return said.decode()


async def left(folder: Path, wait: str, *answers: Drained | Problem) -> tuple[list[tuple[Instance, int]], str]:
    """The requests of a worker that got these answers, and its output."""
    asked = Asked(folder, answers)
    await asked.server.start()
    said = await leave(folder, wait)
    asked.server.close()
    return asked.questions, said


DONE = Drained(serving=False)
BUSY = Drained(serving=False, in_flight=True)


@pytest.mark.parametrize(
    ("wait", "wait_us"), [("0", 0), ("2.5", 2_500_000), ("infinity", protocol.LONGEST_WAIT_US)], ids=str
)
async def test_a_worker_that_leaves_asks_to_the_byte_what_is_written_here(
    tmp_path: Path, wait: str, wait_us: int
) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        body = protocol.encoded(DONE.body())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    place = tmp_path / "leave/1/leave.sock"
    place.parent.mkdir(parents=True)
    async with await asyncio.start_unix_server(serve, place):
        assert await leave(tmp_path, wait) == ""
    assert heard == [protocol.leave_request(Instance("w"), wait_us)]


ANSWERS: dict[str, tuple[list[Drained | Problem], int]] = {
    "nothing runs there": ([DONE], 1),
    "it is believed to serve": ([Drained(serving=True)], 1),
    "something ran there": ([BUSY, DONE], 2),
    "too many ask": ([Problem(503, "16 questions about w wait already"), DONE], 2),
}


@pytest.mark.parametrize(("answers", "times"), ANSWERS.values(), ids=ANSWERS)
async def test_a_worker_that_leaves_understands_each_answer(
    tmp_path: Path, answers: list[Drained | Problem], times: int
) -> None:
    asked, said = await left(tmp_path, "10", *answers)
    assert ([whose for whose, _ in asked], said) == ([Instance("w")] * times, "")


async def test_a_worker_whose_time_is_over_says_what_it_cuts_off(tmp_path: Path) -> None:
    asked, said = await left(tmp_path, "0", BUSY)
    assert asked == [(Instance("w"), 0)]
    assert "1 router processes still have requests for w after 0 s" in said


@given(worker=NAMES, number=st.integers(1, 9999), wait_us=st.integers(0, protocol.LONGEST_WAIT_US))
def test_every_instance_can_be_asked_about(worker: str, number: int, wait_us: int) -> None:
    request = protocol.leave_request(Instance(worker, number), wait_us)
    method, target, _ = request.split(b" ", 2)
    assert protocol.leave_question(method, target) == (Instance(worker, number), wait_us)
    assert len(request) < protocol.MAX_QUESTION


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"POST", b"/serving/w"),
        (b"GET", b"/serving/"),
        (b"GET", b"/serving/W"),
        (b"GET", b"/serving/w:1"),
        (b"GET", b"/serving/w:"),
        (b"GET", b"/serving/" + b"w" * 25),
        (b"GET", b"/serving/w?wait_us=-1"),
        (b"GET", b"/serving/w?wait_us=1&more"),
        (b"GET", b"/status"),
    ],
)
def test_what_is_no_question_is_refused(method: bytes, target: bytes) -> None:
    with pytest.raises(Problem, match="GET /serving/NAME"):
        protocol.leave_question(method, target)


@given(STATUSES)
def test_a_status_tells_what_is_done_for_each_worker(status: Status) -> None:
    answer = protocol.encoded(status.body())
    there = {w.name: tuple(DoingThere(e.drained, e.in_flight) for e in w.endpoints) for w in status.workers}
    told = {w.name: Doing(status.orders.get(w.name, ""), w.in_flight, there[w.name]) for w in status.workers}
    assert protocol.doing(answer) == told
    assert json.loads(answer)["version"] == protocol.VERSION
    assert protocol.release(answer) == status.release
    for worker in status.workers:
        for number, each in enumerate(worker.endpoints, 1):
            use = Use(sends=not each.draining, waits=each.in_flight > 0)
            assert protocol.use_of(answer, Instance(worker.name, number)) == use
        assert protocol.use_of(answer, Instance(worker.name, len(worker.endpoints) + 1)) == Use()
    assert protocol.works(answer) == {
        Instance(worker.name, number): Work(each.answers, each.in_flight)
        for worker in status.workers
        for number, each in enumerate(worker.endpoints, 1)
    }


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"workers": [{"name": "api"}]}',
        b'{"workers": [{"name": "api", "endpoints": [{"answers": "1", "in_flight": 0}]}]}',
        b'{"workers": [{"name": "api", "endpoints": [{"in_flight": 0}]}]}',
    ],
)
def test_a_process_that_does_not_say_what_an_instance_does(answer: bytes) -> None:
    assert protocol.works(answer) is None
    assert protocol.use_of(answer, Instance("w")) == Use()


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"release": null}', b'{"release": "1.0\\u001b[2J"}', b'{"release": "' + b"1" * 99 + b'"}'],
)
def test_a_process_that_does_not_say_its_release_has_none(answer: bytes) -> None:
    assert protocol.release(answer) is None


PLACES = {
    "the first": (1, DoingThere(drained=False, in_flight=3)),
    "another": (2, DoingThere(drained=True, in_flight=0)),
}


@pytest.mark.parametrize(("number", "expected"), PLACES.values(), ids=PLACES)
def test_an_instance_is_the_endpoint_of_its_number(number: int, expected: DoingThere) -> None:
    doing = Doing("", 3, tuple(there for _, there in PLACES.values()))
    assert doing.there(Instance("w", number)) == expected
    assert doing.there(Instance("w", 3)) is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"1", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(Problem, match="JSON object"):
        protocol.asked(data)
