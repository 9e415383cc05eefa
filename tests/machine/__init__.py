"""A throw-away machine: a real systemd as PID 1 over an overlay of a Debian, by default this host's
own.

See booted.py for the API.
"""

from .booted import Machine, MachineError, terminate
from .limits import KernelLimits, kernel_file, kernel_limits

__all__ = ["KernelLimits", "Machine", "MachineError", "kernel_file", "kernel_limits", "terminate"]
