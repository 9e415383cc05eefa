"""Requests to the router's processes: whatever bytes come back, the result is an answer or None."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.control import protocol, questions
from tqunits.control.protocol import Doing
from tqunits.layout import SYSTEM_LAYOUT, Layout

UNIT = "tq-proxy@1.service"
WELL = {"orders": {"api": "pause"}, "workers": [{"name": "api", "in_flight": 2}, {"name": "web", "in_flight": 0}]}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, runtime=PurePosixPath(tmp_path))


@pytest.fixture
def control(layout: Layout) -> Iterator[socket.socket]:
    """The control socket of a process, with a server of the test behind it."""
    path = Path(layout.runtime) / "proxy/1/control.sock"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield listening


def answer(listening: socket.socket, body: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client has read enough


def asked(control: socket.socket, layout: Layout, body: bytes) -> object:
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(answer, control, body)
        found = questions.ask(UNIT, layout)
        done.result()
    return found


def test_what_it_does_is_told(control: socket.socket, layout: Layout) -> None:
    assert asked(control, layout, json.dumps(WELL).encode()) == {"api": Doing("pause", 2), "web": Doing("", 0)}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"orders": {}}',
        b'{"orders": [], "workers": [{"name": "api", "in_flight": 1}]}',
        b'{"orders": {}, "workers": [{"name": "api", "in_flight": Infinity}]}',
        b'{"orders": {}, "workers": [{"name": [], "in_flight": 1}]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_answer_is_none(body: bytes, control: socket.socket, layout: Layout) -> None:
    assert asked(control, layout, body) is None


def test_an_answer_without_an_end_is_not_read_to_it(control: socket.socket, layout: Layout) -> None:
    longer = json.dumps(WELL).encode().ljust(protocol.MAX_ANSWER + 1)
    assert asked(control, layout, longer) is None


def test_who_is_not_there_gives_none(layout: Layout) -> None:
    assert questions.ask(UNIT, layout) is None
