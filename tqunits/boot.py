"""The units of the host's start and end. Nobody but root may have a worker wait for them, or start
them."""

from __future__ import annotations

from typing import Final


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


BOOT_TARGETS: Final = _set(
    "multi-user.target graphical.target default.target runlevel2.target runlevel3.target runlevel4.target "
    "runlevel5.target tq.target"
)
"""Targets that the host's start reaches after the workers, and tqunits' own target. A worker that
waits for one of them waits for itself."""

_ENDING: Final = _set(
    "poweroff reboot halt kexec soft-reboot shutdown umount rescue emergency sleep suspend hibernate hybrid-sleep "
    "suspend-then-hibernate final exit ctrl-alt-del runlevel0 runlevel1 runlevel6 factory-reset system-update "
    "initrd-switch-root initrd-cleanup initrd debug-shell"
)


def is_ending(unit: str) -> bool:
    """Whether the start of this unit ends the host's work or opens a shell (systemd.special(7),
    systemd-halt.service(8))."""
    stem, _, suffix = unit.rpartition(".")
    return suffix in {"target", "service"} and stem.removeprefix("systemd-") in _ENDING
