"""The worst that a rule of polkit's can allow: units of allowed names that are made by
StartTransientUnit(), with a command as root. systemd refuses a name only while its fragment is
there."""

from __future__ import annotations

from machine import Host

from tqunits.model import MANAGER_USER

CALL = ("busctl", "--system", "--timeout=20", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1")
MANAGER = "org.freedesktop.systemd1.Manager"
OWNED = "/run/owned"
NAMES = (
    *(
        "tq-worker@evil.service",
        "tq-worker@x.timer",
        "tq-worker@alpha.service",
        "tq-build@x.service",
        "tq-release@x.service",
    ),
    *("tq-apply.service", "tq-apply@alpha.service", "tq-apply@evil.service", "tq-apply@x.timer", "evil.service"),
)
_EXEC = ("ExecStart", "a(sasb)", "1", "/bin/touch", "2", "/bin/touch", OWNED, "false")
_TYPES = "ssa(sv)a(sa(sv))"


def has_made(machine: Host, unit: str) -> bool:
    """Whether the manager's user makes a unit of that name, or another one beside it, or whether a
    command of his has run as root."""
    calls = (
        (unit, "replace", "2", "Description", "s", "x", *_EXEC, "0"),
        (unit, "replace", "1", "Description", "s", "x", "1", "tq-aux.service", "1", *_EXEC),
    )
    done = [
        machine.run([*CALL, MANAGER, "StartTransientUnit", _TYPES, *call], user=MANAGER_USER, check=False, timeout=60)
        for call in calls
    ]
    return any(each.returncode == 0 for each in done) or machine.exists(OWNED)


def made(machine: Host) -> list[str]:
    """The names of which he makes a unit."""
    return [unit for unit in NAMES if has_made(machine, unit)]
