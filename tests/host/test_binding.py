"""The reasons why an address can not be opened, tested with this host's kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tqunits.host.binding import obstacle


@contextmanager
def listening(host: str, *, dual: bool = False) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=dual) as server:
        yield server.getsockname()[1]


DUAL = "[::] for both families"
TAKEN = [
    ("127.0.0.1", "127.0.0.1:{}"),
    ("0.0.0.0", "127.0.0.1:{}"),
    ("127.0.0.1", "0.0.0.0:{}"),
    (DUAL, "0.0.0.0:{}"),
    (DUAL, "127.0.0.1:{}"),
    ("::", "[::1]:{}"),
    ("::1", "[::]:{}"),
]
FREE = [("127.0.0.1", "127.0.0.2:{}"), ("::", "0.0.0.0:{}"), ("0.0.0.0", "[::]:{}")]


@pytest.mark.parametrize(("host", "wanted"), [*TAKEN, *FREE])
def test_an_address_is_taken_as_systemd_would_find(host: str, wanted: str) -> None:
    with listening("::" if host == DUAL else host, dual=host == DUAL) as port:
        found = obstacle(wanted.format(port), ())
        assert (found is not None) == ((host, wanted) in TAKEN)
        if found is not None:
            assert found.is_now
            assert f"is in use by process {os.getpid()} (" in found.message
    assert obstacle(wanted.format(port), ()) is None


def test_what_sockets_of_ours_have_is_not_taken_by_another() -> None:
    with listening("0.0.0.0") as port:
        assert obstacle(f"127.0.0.1:{port}", [f"0.0.0.0:{port}"]) is None
        assert obstacle(f"127.0.0.1:{port}", ["0.0.0.0:1"]) is not None


def test_a_socket_that_does_not_listen_can_be_in_the_way_too() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = obstacle(f"127.0.0.1:{sock.getsockname()[1]}", ())
        assert found is not None
        assert found.message == "is in use by a socket that does not listen"


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "[2001:db8::1]:8080"])
def test_an_address_of_another_host_is_for_later(address: str) -> None:
    found = obstacle(address, ())
    assert found is not None
    assert (found.message, found.is_now) == ("is no address of this host now", False)


def test_a_path_is_free_where_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    assert obstacle(str(path), ()) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        found = obstacle(str(path), ())
        assert found is not None
        assert f"process {os.getpid()} (" in found.message
        assert obstacle(str(path), [str(path)]) is None
    assert obstacle(str(path), ()) is None  # the file still exists, but nothing listens there


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a.sock").write_text("of somebody")
    found = obstacle(str(tmp_path / "a.sock"), ())
    assert found is not None
    assert found.message == "is there, and no socket"
