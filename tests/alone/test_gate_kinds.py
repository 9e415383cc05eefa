"""Health checks that are not a GET: a connection, a command."""

from __future__ import annotations

import asyncio
import os
import select
import time
from pathlib import Path

import pytest
from gates import LONGER, OK, Answer, a_process, free_port, run_gate, saying, serving, silent

from tqunits.alone import verdicts


@pytest.mark.parametrize("answer", [saying(OK), silent])
async def test_a_connection_is_enough_for_tcp(answer: Answer) -> None:
    async with serving(answer) as port:
        code, text = await run_gate("--port", port, "--type", "tcp")
    assert code == verdicts.READY
    assert text.startswith("tqunits-gate: tcp://127.0.0.1:")


async def test_a_connection_at_a_unix_socket_is_enough(tmp_path: Path) -> None:
    async with await asyncio.start_unix_server(silent, str(tmp_path / "s")):
        code, _ = await run_gate("--socket", str(tmp_path / "s"), "--type", "tcp")
    assert code == verdicts.READY
    arguments = ("--socket", str(tmp_path / "s"), "--type", "tcp", "--budget", "0.1")
    assert (await run_gate(*arguments))[0] == verdicts.SILENT


async def test_no_connection_is_none() -> None:
    assert (await run_gate("--port", free_port(), "--type", "tcp", "--budget", "0.1"))[0] == verdicts.SILENT


async def commanded(*argv: str, budget: str = "0.5", more: tuple[str, ...] = ()) -> tuple[int, str]:
    words = [word for each in argv for word in ("--run", each)]
    return await run_gate("--port", "9", "--type", "command", "--budget", budget, *more, *words)


async def test_a_command_that_exits_with_0_is_well() -> None:
    code, text = await commanded("/bin/sh", "-c", 'test "$1" = "a b" && kill -0 $PPID', "sh", "a b", budget="5")
    assert code == verdicts.READY, text
    assert text.startswith("tqunits-gate: command /bin/sh -c ")


@pytest.mark.parametrize(
    ("script", "verdict", "last"),
    [
        ("echo the database; echo is gone >&2; exit 3", verdicts.UNHEALTHY, "exit status 3: the database is gone"),
        ("exit 1", verdicts.UNHEALTHY, "exit status 1"),
        ("kill -9 $$", verdicts.UNHEALTHY, "killed by signal 9"),
        ("printf '\\033[2J'; exit 1", verdicts.UNHEALTHY, "exit status 1: \\x1b[2J"),
        ("head -c 1000000 /dev/zero | tr '\\0' A; exit 1", verdicts.UNHEALTHY, f"exit status 1: {'A' * 200}..."),
    ],
)
async def test_what_a_command_says_is_told(script: str, verdict: int, last: str) -> None:
    code, text = await commanded("/bin/sh", "-c", script)
    assert code == verdict
    assert text.endswith(f"; last answer: {last}\n")


async def test_a_command_that_is_not_there_says_so() -> None:
    code, text = await commanded("/bin/nothing")
    assert code == verdicts.UNHEALTHY
    assert text.endswith("; last answer: it can not be run: no such file or directory\n")


async def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path: Path) -> None:
    note = tmp_path / "child"
    started = time.monotonic()
    code, text = await commanded(
        "/bin/sh", "-c", f"sleep 1000 & echo $! > {note}; sleep 1000", more=("--probe-timeout", "0.3")
    )
    assert time.monotonic() - started < 10
    assert code == verdicts.SLOW, text
    assert "last answer: not ended in time" in text
    assert _ends(int(note.read_text()))


async def test_what_a_command_leaves_behind_keeps_nobody_waiting(tmp_path: Path) -> None:
    note = tmp_path / "child"
    code, _ = await commanded("/bin/sh", "-c", f"sleep 1000 & echo $! > {note}", budget="20")
    assert code == verdicts.READY
    assert _ends(int(note.read_text()))


async def test_what_a_command_leaves_behind_may_go_on_writing() -> None:
    for budget in map(str, LONGER):
        code, text = await commanded("/bin/sh", "-c", "yes & exit 3", budget=budget, more=("--probe-timeout", budget))
        if code == verdicts.UNHEALTHY:
            assert "; last answer: exit status 3" in text
            return
    raise AssertionError("it was waited for each time")


async def test_a_command_ends_with_the_worker(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    os.mkfifo(runs)
    async with a_process("cat") as worker:
        words = ("--run", "/bin/sh", "--run", "-c", "--run", f"echo > {runs}; exec sleep 1000")
        arguments = ("--port", "9", "--type", "command", "--pid", str(worker.pid), *words)
        waiting = asyncio.create_task(run_gate(*arguments))
        await asyncio.to_thread(runs.read_bytes)
        worker.kill()
        assert (await waiting)[0] == verdicts.EXITED


def _ends(pid: int) -> bool:
    """Whether a process that was killed has ended, or ends in a moment: the kernel needs some
    time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
