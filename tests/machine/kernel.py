"""The few system calls for which Python 3.11 has no function: mount(2), umount2(2), pivot_root(2),
setns(2), prctl(2).

All raise OSError with the errno and the path. The constants are those of <sys/mount.h>, <sched.h>
and <sys/prctl.h>.
"""

import ctypes
import os

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 0x100000
MNT_DETACH = 0x2
CLONE_NEWNET = 0x40000000
PR_CAPBSET_DROP = 24

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    status = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(status, f"mount {kind or 'bind'} {source} on {target} ({data})")


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Bind mount. The kernel applies the read-only flag only in a second step (mount(2),
    "Remounting")."""
    mount(source, target, flags=MS_BIND)
    if read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def pivot_root(root: str) -> None:
    """Make `root`, a mount point, the root of this mount namespace, and unmount the old one
    (pivot_root(2), NOTES)."""
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), f"pivot_root {root}")
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def enter_network(pid: int) -> None:
    """Move the calling thread alone into the network namespace of process `pid`."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(namespace, CLONE_NEWNET), f"setns to the network of {pid}")
    finally:
        os.close(namespace)


def drop_capability(number: int) -> None:
    """Remove a capability from the bounding set: no program executed from here on has it."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), zero, zero, zero), f"drop capability {number}")


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
