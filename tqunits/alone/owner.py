"""Which user has the server's socket of a connection: any user's program may listen on a free port
(proc(5), /proc/net/tcp)."""

from __future__ import annotations

import _socket as socket
import sys

_MAPPED = "0000000000000000FFFF0000"  # ::ffff:0:0/96 as /proc/net/tcp6 writes it


def of_connection(server: tuple[str, int], client: tuple[str, int]) -> int | None:
    """The uid of the socket that has accepted the connection from `client`; if it is not accepted
    yet, that of the listening socket; None when unknown."""
    here, there = _hex(server), _hex(client)
    for table, mapped, wildcard in (("tcp", "", "0" * 8), ("tcp6", _MAPPED, "0" * 32)):
        listeners = (mapped + here, wildcard + here[8:])
        uid = _owner_in(f"/proc/self/net/{table}", (mapped + here, mapped + there), listeners)
        if uid is not None:
            return uid
    return None


def _owner_in(table: str, accepted: tuple[str, str], listeners: tuple[str, str]) -> int | None:
    owner: int | None = None
    try:
        with open(table, encoding="ascii") as rows:  # noqa: PTH123 - pathlib costs more than the whole probe
            for row in rows:
                _, local, remote, state, _, _, _, uid, _, inode = row.split(None, 10)[:10]
                if (local, remote) == accepted and inode != "0":  # inode 0: closed, or still in the backlog
                    return int(uid)
                if state == "0A" and local in listeners:
                    owner = int(uid)
    except (OSError, ValueError):
        return None
    return owner


def _hex(address: tuple[str, int]) -> str:
    """An IPv4 address and port as /proc/net/tcp writes them: 127.0.0.1:80 is 0100007F:0050 on a
    little-endian host."""
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"
