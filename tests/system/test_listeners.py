"""Which process listens on a port of this host."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from tqunits.system.listeners import Holder, holder, listening_ports


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")]
)
def test_this_process_is_found(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        assert port in listening_ports()
        found = holder(port, but=-1)
        assert found is not None
        assert (found.uid, found.user, found.pid) == (os.geteuid(), pwd.getpwuid(os.geteuid()).pw_name, os.getpid())
        assert found.program
        assert holder(port, but=os.geteuid()) is None
    assert port not in listening_ports()
    assert holder(port, but=-1) is None


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getsockname()[1] not in listening_ports()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Holder(33, "www-data"), "a process of www-data"),
        (Holder(33, "www-data", 7, "python3"), "process 7 (python3) of www-data"),
        (
            Holder(33, "www-data", 7, "python3", "tq-worker@x.service"),
            "process 7 (python3) of www-data, tq-worker@x.service",
        ),
    ],
)
def test_in_words(found: Holder, text: str) -> None:
    assert str(found) == text
