"""Makes listening sockets when systemd passes none: `HOST:PORT`, `[v6]:PORT`, `unix:/path` or
`/path`."""

from __future__ import annotations

import contextlib
import errno
import socket
import stat
from pathlib import Path
from typing import Final

from tqunits.errors import NotPermitted, TqunitsError, UsageError
from tqunits.routing.endpoint import parse_address, parse_port

BACKLOG: Final = 4096
"""As in tq-proxy.socket; the kernel limits it to net.core.somaxconn."""


def listen_on(text: str) -> tuple[socket.socket, ...]:
    """Listen; a name may have several addresses. Raises UsageError for an invalid address,
    TqunitsError if it is taken."""
    if text.startswith(("unix:", "/")):
        return (_listen_unix(parse_address(text).path),)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise UsageError(f"--listen {text}: no port", hint="write HOST:PORT, [ADDRESS]:PORT or unix:/run/x.sock")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UsageError(f"--listen {text}: an IPv6 address needs brackets", hint=f"write [{host}]:{port}")
    number = 0 if port == "0" else parse_port(port, text)
    return tuple(_listen_tcp(family, address, text) for family, address in _resolve(host.strip("[]"), number, text))


def name_of(sock: socket.socket) -> str:
    """The address of a socket in the usual form."""
    address = sock.getsockname()
    if not isinstance(address, tuple):
        return f"unix:{address}"
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def _resolve(host: str, port: int, text: str) -> list[tuple[int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--listen {text}: {error.strerror}", hint="write an address, as in 127.0.0.1:8080") from None
    return [(family, address) for family, _, _, _, address in found]


def _listen_tcp(family: int, address: tuple[object, ...], text: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refused(error, text) from None
    return sock


def _listen_unix(path: str) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refused(error, f"unix:{path}") from None
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket on which nobody listens any more. With any other file there bind(2) fails."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(path) == errno.ECONNREFUSED:
                Path(path).unlink()


def _refused(error: OSError, text: str) -> TqunitsError:
    if error.errno == errno.EADDRINUSE:
        return TqunitsError(
            f"{text} is taken: another process listens there",
            hint="stop it (ss -lntpx shows which), or listen elsewhere",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"not permitted to listen on {text}", hint="ports under 1024 are what tq-proxy.socket is for; or use sudo"
        )
    return TqunitsError(f"can not listen on {text}: {error.strerror}")
