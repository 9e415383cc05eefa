"""Which folders have to be polled, because inotify does not tell all that changes there.

The kernel reports what goes through it. On these file systems somebody else changes files too:
another host, the host of a virtual machine, a program behind FUSE. inotify(7), Limitations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tqunits.system import mounts

_OF_SERVERS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "coda", "ncpfs", "davfs"})
_OF_CLUSTERS: Final = frozenset(
    {"ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "panfs"}
)
_OF_VIRTUAL_MACHINES: Final = frozenset({"9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "drvfs"})
_REMOTE: Final = _OF_SERVERS | _OF_CLUSTERS | _OF_VIRTUAL_MACHINES

_FUSE: Final = "fuse"  # and "fuse.sshfs"; "fuseblk" is a disk of this host


def remote_type(folder: Path) -> str | None:
    """The type of a folder's file system, if others may change it unnoticed.

    Raises OSError; waits where its server does not answer, so it belongs in a thread.
    """
    kind = mounts.mount_of(folder).type
    return kind if is_remote(kind) else None


def is_remote(kind: str) -> bool:
    """Whether others than this kernel change files of this type of file system."""
    return kind in _REMOTE or kind.partition(".")[0] == _FUSE
