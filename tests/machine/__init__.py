"""A throw-away machine: a real systemd as PID 1 on an overlay of a Debian's files, by default this
host's.

host.py has the interface for tests; booted.py starts and ends the machine.
"""

from .booted import Machine, terminate
from .host import Host, MachineError
from .limits import KernelLimits, kernel_file, kernel_limits
from .resting import rest, wake, wake_repair

__all__ = [
    "Host",
    "KernelLimits",
    "Machine",
    "MachineError",
    "kernel_file",
    "kernel_limits",
    "rest",
    "terminate",
    "wake",
    "wake_repair",
]
