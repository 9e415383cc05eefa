"""The sockets that listen on this host, as the kernel shows them to every user (proc(5),
/proc/net/tcp: state 0A is LISTEN).

The kernel shows the socket's user to everybody, but its process only to root and to that user.
"""

from __future__ import annotations

import ipaddress
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

from tqunits.light_dataclass import dataclass
from tqunits.system.process import run

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_UNIX = Path("/proc/net/unix")
_ACCEPTS = 0x10000  # __SO_ACCEPTCON: the flag of a Unix socket that listens


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port: the user and, if visible, the process."""

    uid: int
    user: str  # "worker-api", or "uid 1234"
    pid: int = 0
    program: str = ""
    unit: str = ""

    def __str__(self) -> str:
        process = f"process {self.pid} ({self.program})" if self.pid else "a process"
        return f"{process} of {self.user}{f', {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens: HOST:PORT, [HOST]:PORT or /path, as systemd writes it."""

    address: str
    uid: int  # the owner; -1 when the kernel does not tell
    inode: str

    @property
    def port(self) -> int:
        """The port; 0 for a Unix socket."""
        return 0 if self.address.startswith("/") else int(self.address.rpartition(":")[2])

    @property
    def is_local(self) -> bool:
        """Whether no other host can reach it: it is on loopback, or a Unix socket."""
        host = self.address.rpartition(":")[0].strip("[]")
        found = ipaddress.ip_address(host) if host else None
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return found is None or (mapped or found).is_loopback


def listening_ports() -> frozenset[int]:
    """Ports on which some program listens now."""
    return frozenset(one.port for one in listeners())


def holder(port: int, *, but: int) -> Holder | None:
    """Who listens on this port, on any address. None when nobody does, or the user `but`: finding
    his process costs more."""
    found = next((one for one in listeners() if one.port == port), None)
    return None if found is None or found.uid == but else holder_of(found)


def holder_of(listener: Listener) -> Holder:
    """Who has this socket open: the program that serves it, rather than systemd, which may hold it
    for the program."""
    user = _user(listener.uid)
    pids = sorted(_processes_with(f"socket:[{listener.inode}]"))
    pid = next((pid for pid in pids if pid > 1), 1 if pids else 0)
    if pid == 0:
        return Holder(listener.uid, user)
    unit = _unit(_text(Path(f"/proc/{pid}/cgroup"))) if pid > 1 else _socket_unit(listener.address)
    return Holder(listener.uid, user, pid, _text(Path(f"/proc/{pid}/comm")), unit)


def listeners() -> Iterator[Listener]:
    """Each TCP socket that listens."""
    for table in _TABLES:
        for row in _text(table).splitlines()[1:]:
            fields = row.split()
            if len(fields) > 9 and fields[3] == "0A":
                yield Listener(_address(fields[1]), int(fields[7]), fields[9])


def unix_listeners() -> Iterator[Listener]:
    """Each Unix socket with a path that listens (proc(5), /proc/net/unix)."""
    for row in _text(_UNIX).splitlines()[1:]:
        fields = row.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & _ACCEPTS and fields[7].startswith("/"):
            yield Listener(fields[7], -1, fields[6])


def _address(text: str) -> str:
    """From "0100007F:1F90": the address in words of 32 bits, each in the byte order of this
    machine."""
    host, _, port = text.partition(":")
    words = (int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8))
    address = ipaddress.ip_address(b"".join(words))
    return f"[{address}]:{int(port, 16)}" if address.version == 6 else f"{address}:{int(port, 16)}"


def _socket_unit(address: str) -> str:
    """The socket unit for which systemd has this address open."""
    lines = run(["systemctl", "list-sockets", "--no-legend", "--plain", "--full"]).stdout.splitlines()
    rows = (line.split() for line in lines)
    return next((row[1] for row in rows if len(row) > 1 and row[0] == address), "")


def _processes_with(link: str) -> Iterator[int]:
    """The processes that have this socket open, if they are visible."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if any(str(file.readlink()) == link for file in (process / "fd").iterdir()):
                    yield int(process.name)
            except OSError:  # another user's, or it has ended
                continue


def _unit(cgroups: str) -> str:
    """The service of a cgroup: the last name in its path with that suffix."""
    names = [name for line in cgroups.splitlines() for name in line.rpartition(":")[2].split("/")]
    return next((name for name in reversed(names) if name.endswith((".service", ".scope"))), "")


def _user(uid: int) -> str:
    if uid < 0:
        return "somebody"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
