"""Who listens on a TCP port of this host, as the kernel tells everybody (proc(5), /proc/net/tcp: state 0A is LISTEN).

Whose process it is, the kernel tells root and its owner alone; the user it tells everybody.
"""

from __future__ import annotations

import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port: the user, and, where that could be seen, the process."""

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
    """A socket that listens; `is_local`: on loopback, where no other host gets."""

    port: int
    uid: int
    is_local: bool


def listening() -> tuple[Listener, ...]:
    """Every TCP socket of this host that listens."""
    return tuple(Listener(int(port, 16), uid, _is_loopback(address)) for address, port, uid, _ in _rows())


def listening_ports() -> frozenset[int]:
    """Ports that something listens on now."""
    return frozenset(port for port, _, _ in _listeners())


def holder(port: int) -> Holder | None:
    """Who listens on this port, on any address; None when nobody does."""
    found = next(((uid, inode) for its, uid, inode in _listeners() if its == port), None)
    if found is None:
        return None
    uid, inode = found
    user = _user(uid)
    pid = _process_with(f"socket:[{inode}]")
    if pid == 0:
        return Holder(uid, user)
    return Holder(uid, user, pid, _text(Path(f"/proc/{pid}/comm")), _unit(_text(Path(f"/proc/{pid}/cgroup"))))


def _listeners() -> Iterator[tuple[int, int, str]]:
    """Port, uid and inode of each socket that listens."""
    return ((int(port, 16), uid, inode) for _, port, uid, inode in _rows())


def _rows() -> Iterator[tuple[str, str, int, str]]:
    """Address and port (both in hex), uid and inode of each socket that listens."""
    for table in _TABLES:
        for row in _text(table).splitlines()[1:]:
            fields = row.split()
            if len(fields) > 9 and fields[3] == "0A":
                address, _, port = fields[1].rpartition(":")
                yield address, port, int(fields[7]), fields[9]


def _is_loopback(address: str) -> bool:
    """An address as the kernel prints it: words of 32 bits, each in this host's order of bytes."""
    words = (bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8))
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    found = ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def _process_with(link: str) -> int:
    """The first process that has this open; 0 where none can be seen."""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if any(str(file.readlink()) == link for file in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:  # somebody else's, or it has ended
                continue
    return 0


def _unit(cgroups: str) -> str:
    """The service whose cgroup that is: the last name in its path that ends as one."""
    names = [name for line in cgroups.splitlines() for name in line.rpartition(":")[2].split("/")]
    return next((name for name in reversed(names) if name.endswith((".service", ".scope"))), "")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
