"""The address of a worker, as it is written in snapshots and on the command line.

`127.0.0.1:9000`, `[::1]:9000` or `unix:/run/x.sock`. Hosts are numeric, so the data path never
waits for a name server.
"""

from __future__ import annotations

from ipaddress import ip_address

from tqunits.errors import TqunitsError
from tqunits.light_dataclass import dataclass

MAX_SOCKET_PATH = 107
"""sun_path of unix(7) is 108 bytes, the last of them NUL."""


@dataclass(frozen=True, slots=True)
class Address:
    """A socket address: a host (numeric) and a port, or a path."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an endpoint. Raises TqunitsError that says what to write instead."""
    if text.startswith(("unix:", "/")):
        return Address(path=_socket_path(text.removeprefix("unix:"), text))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise TqunitsError(f"{text!r} is no endpoint", hint=f"write {_guess(text)}")
    return Address(host=_numeric(host, port, text), port=parse_port(port, text))


def parse_port(text: str, whole: str) -> int:
    """A TCP port, 1 to 65535. Raises TqunitsError naming `whole`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise TqunitsError(f"{whole!r}: {text!r} is no port", hint="write a port from 1 to 65535, as in 127.0.0.1:9000")
    return int(text)


def _socket_path(path: str, whole: str) -> str:
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise TqunitsError(f"{whole!r}: a socket needs an absolute path", hint="write unix:/run/NAME.sock")
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise TqunitsError(f"{whole!r}: the path is longer than {MAX_SOCKET_PATH} bytes", hint="see unix(7)")
    return path


def _numeric(host: str, port: str, whole: str) -> str:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
    except ValueError:
        known = "127.0.0.1" if host in {"", "localhost"} else "ADDRESS"
        raise TqunitsError(f"{whole!r}: {host!r} is no address", hint=f"write {known}:{port}") from None
    if address.version == 6 and bare == host:
        raise TqunitsError(f"{whole!r}: an IPv6 address needs brackets", hint=f"write [{host}]:{port}")
    return bare


def _guess(text: str) -> str:
    return f"127.0.0.1:{text}" if text.isdigit() else "127.0.0.1:9000 or unix:/run/x.sock"
