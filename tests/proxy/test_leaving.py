"""Workers join and leave a router: the file `serving`, the leave socket, and the programs that a
worker's unit runs for both."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from control_peers import GET, POST, Slow, controlled, leave_path, relayed, serving_path, status, until
from peers import OK, PATIENCE, Router, Worker, answering

from tqunits.proxy import leaving
from tqunits.system.inotify import MAX_RATE

ROOT = Path(__file__).parents[2]
ALONE = ROOT / "tqunits/alone"


async def run(program: Path, *arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Exit status and stderr of a program that a unit runs."""
    argv = ("/usr/bin/python3", "-I", "-S", program, *arguments)
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, env=environment)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, errors.decode()


async def leave(folder: Path, wait: str = "10", pid: str = "") -> tuple[int, str]:
    """What ExecStop= runs; `pid`: $MAINPID."""
    place = ("--serving", serving_path(folder), "--routers", folder / "leave", "--name", "w")
    return await run(ALONE / "leave.py", *place, "--wait", wait, "--pid", pid or str(os.getpid()))


async def join(folder: Path) -> tuple[int, str]:
    """What ExecStartPost= runs without a gate."""
    return await run(ALONE / "join.py", serving_path(folder), folder / "leave", "w")


async def ask(folder: Path, question: str) -> tuple[int, dict[str, Any]]:
    """A request to the leave socket; gives (status, body)."""
    reader, writer = await asyncio.open_unix_connection(leave_path(folder))
    writer.write(f"GET {question} HTTP/1.1\r\nHost: router\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_worker_leaves_and_comes_back(folder: Path) -> None:
    slow = Slow()
    async with relayed(folder, slow) as (router, worker):
        first = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        going = asyncio.create_task(leave(folder))
        await until(folder, endpoint={"draining": True})
        held = [asyncio.create_task(router.ask(request)) for request in (GET, POST)]
        await until(folder, waiting=2, in_flight=1)
        assert not going.done()
        slow.go.set()
        assert await going == (0, "")
        assert (await first).endswith(b"ok")
        assert (await status(folder))["worker"]["waiting"] == 2
        assert len(worker.connections) == 1
        assert await join(folder) == (0, "")
        assert [(await answer)[-2:] for answer in held] == [b"ok"] * 2


async def test_a_worker_that_can_not_finish_is_not_waited_for_for_ever(folder: Path) -> None:
    slow = Slow()
    async with relayed(folder, slow) as (router, _):
        first = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        code, said = await leave(folder, "0.05")
        assert (code, "1 router processes still have requests" in said) == (0, True), said
        slow.go.set()
        await first


async def test_a_worker_that_is_dead_is_not_waited_for(folder: Path) -> None:
    """A unit without a main process, and one whose main process ends while the router waits for its
    requests."""

    slow = Slow()
    async with relayed(folder, slow) as (router, _):
        first = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        assert await leave(folder, "1000", pid="0") == (0, "")
        assert not serving_path(folder).exists()
        program = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
        going = asyncio.create_task(leave(folder, "1000", pid=str(program.pid)))
        program.kill()
        assert await going == (0, "")
        await program.wait()
        assert await leave(folder, "1000", pid=str(program.pid)) == (0, "")
        slow.go.set()
        await first


async def test_a_router_that_starts_later_knows_who_leaves(folder: Path) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    options = controlled(folder, worker.endpoint)
    assert await leave(folder) == (0, "")  # no router runs, so there is nothing to wait for
    async with Router(folder, options) as router:
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        assert await join(folder) == (0, "")
        assert (await held).endswith(b"ok")
    worker.stop()


GONE = {
    "the file": lambda folder: serving_path(folder).unlink(),
    "renamed": lambda folder: serving_path(folder).rename(serving_path(folder).with_name("x")),
    "its folder": lambda folder: shutil.rmtree(serving_path(folder).parent),
    "its folder renamed": lambda folder: serving_path(folder).parent.rename(folder / "workers/x"),
    "all folders": lambda folder: (folder / "workers").rename(folder / "x"),
}


@pytest.mark.parametrize("go", GONE.values(), ids=GONE)
async def test_nothing_is_sent_while_the_file_is_gone(folder: Path, go: Any) -> None:
    """The router gets no message about it, as after a crash."""

    async with relayed(folder, answering(OK)) as (router, _):
        assert (await router.ask(GET)).endswith(b"ok")
        go(folder)
        await until(folder, endpoint={"draining": True})
        held = asyncio.create_task(router.ask(POST))
        await until(folder, waiting=1)
        serving_path(folder).parent.mkdir(parents=True, exist_ok=True)
        serving_path(folder).touch()
        assert (await held).endswith(b"ok")


THERE = {
    "a file": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("make", THERE.values(), ids=THERE)
async def test_whatever_is_there_is_there_and_never_opened(folder: Path, make: Any) -> None:
    worker = await Worker(folder / "w").start(answering(OK))
    options = controlled(folder, worker.endpoint)
    serving_path(folder).unlink()
    make(serving_path(folder))
    async with Router(folder, options) as router:
        assert (await router.ask(GET)).endswith(b"ok")
    worker.stop()


async def test_who_fills_its_own_folder_is_seen_still(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, _):
        for number in range(MAX_RATE):
            path = serving_path(folder).with_name(f"x{number % 2}")
            path.touch()
            path.unlink()
        serving_path(folder).unlink()
        await until(folder, endpoint={"draining": True})
        serving_path(folder).touch()
        assert (await router.ask(GET)).endswith(b"ok")


ANSWERS = {
    "/serving/w": (200, {"serving": True}),
    "/serving/w?wait_us=1000000": (200, {"serving": True}),
    "/serving/nobody": (200, {"serving": False, "in_flight": 0}),
    "/serving/": (404, None),
    "/serving/../w": (404, None),
    "/serving/w?wait_us=-1": (404, None),
    "/serving/w?wait_us=1e9": (404, None),
    "/status": (404, None),
    "/drain": (404, None),
}


@pytest.mark.parametrize(("question", "answer"), ANSWERS.items(), ids=ANSWERS)
async def test_what_the_leave_socket_answers(
    folder: Path, question: str, answer: tuple[int, dict[str, Any] | None]
) -> None:
    async with relayed(folder, answering(OK)) as (router, _):
        found = await ask(folder, question)
        assert (await router.ask(GET)).endswith(b"ok")  # a request changes nothing
    code, body = found
    assert code == answer[0]
    assert answer[1] is None or body == {"version": 1, **answer[1]}


async def test_everybody_may_ask_and_nobody_learns_how_much_runs(folder: Path) -> None:
    slow = Slow()
    async with relayed(folder, slow) as (router, _):
        assert leave_path(folder).stat().st_mode & 0o777 == 0o666
        asked = [asyncio.create_task(router.ask(GET)) for _ in range(3)]
        await until(folder, in_flight=3)
        serving_path(folder).unlink()
        assert await ask(folder, "/serving/w?wait_us=1000") == (
            200,
            {"version": 1, "serving": False, "in_flight": 1},
        )
        slow.go.set()
        await asyncio.gather(*asked)


async def test_those_who_ask_in_vain_keep_nobody_from_asking(folder: Path) -> None:
    """As many requests wait as may, besides silent connections. A worker that leaves repeats its
    request until it is accepted."""

    slow = Slow()
    async with relayed(folder, slow) as (router, _):
        first = asyncio.create_task(router.ask(GET))
        await slow.asked.wait()
        serving_path(folder).unlink()
        question = "/serving/w?wait_us=30000000"
        asked = [asyncio.create_task(ask(folder, question)) for _ in range(leaving.MAX_WAITING + 1)]
        (refused,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert (await refused)[0] == 503  # as many requests wait as may
        with ExitStack() as stack:
            for _ in range(50):
                silent = stack.enter_context(socket.socket(socket.AF_UNIX))
                silent.connect(str(leave_path(folder)))
            going = asyncio.create_task(leave(folder))
            slow.go.set()
            assert await going == (0, "")
        assert {code for code, _ in await asyncio.gather(*waiting)} == {200}
        assert (await first).endswith(b"ok")


async def test_units_of_an_earlier_release_join_and_leave_by_their_old_paths(folder: Path) -> None:
    async with relayed(folder, answering(OK)) as (router, worker):
        place = ("--runtime", folder, "--name", "w", "--wait", "10")
        assert await run(ROOT / "tqunits/leave.py", *place, MAINPID=str(os.getpid())) == (0, "")
        assert not serving_path(folder).exists()
        held = asyncio.create_task(router.ask(GET))
        await until(folder, waiting=1)
        serving_path(folder).parent.chmod(0o700)
        gate = ("--port", worker.endpoint.rpartition(":")[2], "--path", "/", "--pid", str(os.getpid()))
        code, said = await run(ROOT / "tqunits/gate.py", *gate, RUNTIME_DIRECTORY=str(folder / "workers/w"))
        assert code == 0, said
        assert serving_path(folder).parent.stat().st_mode & 0o777 == 0o755
        assert (await held).endswith(b"ok")


FEW_WATCHES = """
import ctypes, os, runpy
user = os.getuid()
assert ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER: the limit is of a user namespace
for path, text in (("self/uid_map", f"0 {user} 1"), ("sys/user/max_inotify_watches", "2")):
    with open(f"/proc/{path}", "w") as file:
        file.write(text)
runpy.run_module("tqunits", run_name="__main__", alter_sys=True)
"""


async def test_where_no_watch_is_left_the_router_looks_all_the_same_and_says_so(folder: Path) -> None:
    """inotify(7): max_user_watches. The two that are left are used for the routes and the folder
    above."""

    worker = await Worker(folder / "w").start(answering(OK))
    async with Router(folder, controlled(folder, worker.endpoint), program=("-c", FEW_WATCHES)) as router:
        serving_path(folder).unlink()
        await until(folder, endpoint={"draining": True})
        serving_path(folder).touch()
        assert (await router.ask(GET)).endswith(b"ok")
        said = router.said()
    worker.stop()
    assert said.count("raise fs.inotify.max_user_watches; what comes and goes there is seen up to 2 s late") == 1
