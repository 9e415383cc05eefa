"""A throw-away machine: a real systemd as PID 1 over an overlay of a Debian, by default this host's
own.

See host.py for what tests ask of it, booted.py for how it is started and ended.
"""

from .booted import Machine, terminate
from .host import Host, MachineError
from .limits import KernelLimits, kernel_file, kernel_limits
from .resting import AT_REST

__all__ = ["AT_REST", "Host", "KernelLimits", "Machine", "MachineError", "kernel_file", "kernel_limits", "terminate"]
