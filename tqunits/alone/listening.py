"""Finds where a worker's processes listen, if not at the worker's address; for the gate's last
message.

Only TCP sockets are found, in /proc/net/tcp (proc(5): state 0A is LISTEN). A socket is the worker's
if one of its processes has a descriptor of it. But in a unit with PrivateUsers= each command has a
user namespace of its own, and the kernel lets no process look from one into another (commoncap.c,
cap_ptrace_access_check). There all sockets of the worker's user count, if no other process of that
user runs.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path


def addresses(pid: int) -> tuple[str, ...]:
    """Where the worker's processes listen: `pid` and its descendants. At most three addresses."""
    family = _family(pid)
    links = {link for process in family for link in _links(f"/proc/{process}/fd")}
    user = str(os.getuid()) if not links and _is_alone(family) else None
    found: list[str] = []
    for table, kind in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with Path(f"/proc/self/net/{table}").open(encoding="ascii") as rows:
                for row in rows:
                    fields = row.split(None, 10)
                    if fields[3] == "0A" and (fields[7] == user or f"socket:[{fields[9]}]" in links):
                        found.append(_address(fields[1], kind))
        except (OSError, ValueError, IndexError):
            continue
    return tuple(dict.fromkeys(found))[:3]  # several processes may share one socket address (SO_REUSEPORT)


def _family(pid: int) -> set[int]:
    """A process and all its descendants (proc_pid_stat(5): ppid)."""
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                text = (process / "stat").read_text(encoding="ascii", errors="replace")
                parents[int(process.name)] = int(text.rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):  # the process has ended
                continue
    family = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in family} - family
        if not more:
            return family
        family |= more


def _is_alone(family: set[int]) -> bool:
    """Whether no other process of our user is visible, except this one."""
    mine = os.getuid()
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # the process has ended
            is_other = process.name.isdigit() and int(process.name) not in {*family, os.getpid()}
            if is_other and process.stat().st_uid == mine:
                return False
    return mine != 0


def _links(folder: str) -> list[str]:
    found = []
    with suppress(OSError):  # the process has ended, or we may not look into it
        for file in Path(folder).iterdir():
            with suppress(OSError):  # closed meanwhile
                found.append(str(file.readlink()))
    return found


def _address(text: str, family: int) -> str:
    """An address in the usual form, from the form of /proc/net/tcp: words of 32 bits, each in the
    host's byte order."""
    digits, _, port = text.partition(":")
    words = (int(digits[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(digits), 8))
    host = socket.inet_ntop(family, b"".join(words))
    return f"[{host}]:{int(port, 16)}" if family == socket.AF_INET6 else f"{host}:{int(port, 16)}"
