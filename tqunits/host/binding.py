"""Whether the router could listen on an address. The address is bound as systemd would bind it
(systemd.socket(5)), and released at once.

Only the kernel knows. It gives an error number ("in use"); this module makes sentences of it, and
says which process has the address.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from tqunits.light_dataclass import dataclass
from tqunits.system.listeners import Holder, Listener, holder_of, listeners, unix_listeners
from tqunits.units import addresses, name

_IPV6_FREEBIND = 78  # linux/in6.h; Python has no name for it
_IP_FREEBIND = 15  # linux/in.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why the router can not listen on an address. If `is_now` is not set: why nobody can connect
    to it at present."""

    address: str
    message: str  # without the address: "is in use by ..."
    hint: str
    is_now: bool = True


def obstacle(address: str, ours: Collection[str], *, user_mode: bool = False) -> Obstacle | None:
    """What is in the way of an address (as in `listen`); None when nothing is.

    `ours`: the addresses of the router's own sockets, as `addresses.canonical` writes them. An
    address that only the router itself has is not taken.
    """
    if address.startswith("/"):
        return _of_path(address, ours)
    error = _bind(address, free=False)
    absent = _absent(address) if error == errno.EADDRNOTAVAIL else None
    if absent is not None:
        error = _bind(address, free=True)
    if error == errno.EADDRINUSE:
        return _taken(address, ours) or absent
    if error in (errno.EACCES, errno.EPERM):  # the system's own systemd may open any port
        hint = "your own systemd opens ports from net.ipv4.ip_unprivileged_port_start on"
        return Obstacle(address=address, message="may not be opened by you", hint=hint) if user_mode else None
    return Obstacle(address=address, message=f"can not be opened: {os.strerror(error)}", hint="") if error else absent


def is_ours(holder: Holder) -> bool:
    """Whether the holder of the socket is a process of the router."""
    return name.is_proxy(holder.unit)


def _bind(address: str, *, free: bool) -> int:
    """The error number of bind(2) with the options of our socket units; 0: it worked."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if free and family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            elif free:
                sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.bind((host.strip("[]"), int(port)))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _absent(address: str) -> Obstacle:
    """An address that no network interface has. Our sockets open it all the same (FreeBind=),
    because the address may come later."""
    hint = "'ip address' has those that are; nobody can connect until it is one"
    return Obstacle(address=address, message="is no address of this host now", hint=hint, is_now=False)


def _taken(address: str, ours: Collection[str]) -> Obstacle | None:
    found = list(_in_the_way(addresses.canonical(address)))
    others = [(one, holder) for one in found if one.address not in ours and not is_ours(holder := holder_of(one))]
    if found and not others:
        return None
    hint = "stop it, or take another address"
    if not others:  # a socket that only connects, or a closed one whose connections go on
        message = "is in use by a socket that does not listen"
        return Obstacle(
            address=address, message=message, hint=f"'ss -tanp sport = :{address.rpartition(':')[2]}' tells"
        )
    listener, holder = others[0]
    on = "" if listener.address == addresses.canonical(address) else f", which listens on {listener.address}"
    return Obstacle(address=address, message=f"is in use by {holder}{on}", hint=hint)


def _in_the_way(address: str) -> Iterator[Listener]:
    """The sockets that keep this address from being opened. An IPv6 wildcard socket may accept IPv4
    as well; it counts only where no other socket is found."""
    all_of_them = list(listeners())
    same = [one for one in all_of_them if addresses.overlap(one.address, address)]
    port = address.rpartition(":")[2]
    yield from same or (one for one in all_of_them if one.address == f"[::]:{port}" and not address.startswith("["))


def _of_path(address: str, ours: Collection[str]) -> Obstacle | None:
    """What is in the way of a Unix socket. systemd would remove any file at that path, even a
    socket that another program serves."""
    try:
        mode = Path(address).lstat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    if not stat.S_ISSOCK(mode):
        return Obstacle(address=address, message="is there, and no socket", hint="move it away, or take another path")
    if addresses.canonical(address) in ours:
        return None
    found = next((one for one in unix_listeners() if one.address == address), None)
    holder = None if found is None else holder_of(found)
    if holder is None or is_ours(holder):
        return None
    return Obstacle(address=address, message=f"is in use by {holder}", hint="stop it, or take another path")
