"""Which file systems have to be polled, by lines of mountinfo as kernels write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from namespaces import MOUNTS, run_in_namespaces

from tqunits.system.mounts import read_mount
from tqunits.system.remote_files import is_remote, remote_type

LINES = {
    "ext4": (b"25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro", False),
    "no optional field": (b"399 379 0:52 / /mnt rw,relatime - tmpfs none rw", False),
    "many optional fields": (b"36 35 98:0 /a /b rw shared:7 master:2 propagate_from:3 - xfs /dev/sda rw", False),
    "btrfs": (b"44 25 0:37 /@home /home rw,noatime shared:20 - btrfs /dev/sda2 rw,subvolid=257,subvol=/@home", False),
    "overlay": (b"512 400 0:61 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/l,upperdir=/u,workdir=/w", False),
    "zfs": (b"60 25 0:44 / /tank rw shared:31 - zfs tank rw,xattr,noacl", False),
    "a disk through FUSE": (b"70 25 8:17 / /media/usb rw - fuseblk /dev/sdb1 rw,user_id=0,group_id=0", False),
    "nfs4": (b"611 25 0:58 / /srv/app rw shared:330 - nfs4 nas:/export/app rw,vers=4.2,addr=10.0.0.2", True),
    "nfs": (b"612 25 0:59 / /srv/old rw shared:331 - nfs nas:/export rw,vers=3", True),
    "cifs": (b"613 25 0:60 /app /srv/win rw shared:332 - cifs //nas/share\\040of\\040all rw,vers=3.1.1", True),
    "smb3": (b"614 25 0:61 / /srv/smb rw - smb3 //nas/share rw", True),
    "9p of WSL or QEMU": (b"104 97 0:66 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\134", True),
    "virtiofs": (b"30 1 0:27 / /work rw,relatime shared:1 - virtiofs work rw", True),
    "sshfs": (b"90 25 0:50 / /home/me/far rw,nosuid,nodev - fuse.sshfs me@host:/srv rw,user_id=1000", True),
    "FUSE without a name": (b"91 25 0:51 / /home/me/f rw,nosuid - fuse prog rw,user_id=1000,group_id=1000", True),
    "glusterfs": (b"92 25 0:52 / /srv/g rw - fuse.glusterfs node:/vol rw,allow_other", True),
    "ceph": (b"93 25 0:53 / /srv/c rw - ceph 10.0.0.1:6789:/ rw,name=admin,acl", True),
    "lustre": (b"94 25 0:54 / /lustre rw - lustre 10.0.0.1@tcp:/scratch rw", True),
    "vboxsf": (b"95 25 0:55 / /vagrant rw - vboxsf vagrant rw,uid=1000", True),
    "prl_fs": (b"96 25 0:56 / /media/psf rw - prl_fs none rw", True),
    "afs": (b"97 25 0:57 / /afs rw - afs none rw,dyn", True),
    "a name that begins alike": (b"98 25 0:58 / /x rw - nfsd nfsd rw", False),
    "a point with a dash": (b"99 25 0:58 / - rw - ext4 - rw", False),
}


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES)
def test_of_a_line(line: bytes, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_remote(read_mount(line).type) is expected


def test_a_line_is_read() -> None:
    mount = read_mount(LINES["cifs"][0])
    assert (mount.number, mount.root, mount.point, mount.type) == (b"613", (b"0:60", b"/app"), b"/srv/win", "cifs")


ASK = """
from pathlib import Path
from tqunits.system.mounts import mount_of
from tqunits.system.remote_files import remote_type
folder = Path({folder!r})
print(mount_of(folder).type, remote_type(folder))
"""


def test_a_disk_of_this_host_is_watched(roots: Path) -> None:
    folder = roots / "with space"
    folder.mkdir()
    mount = f"mount -t tmpfs none '{folder}'; mkdir '{folder}/sub'"
    assert run_in_namespaces(MOUNTS, mount, ASK.format(folder=str(folder / "sub"))) == "tmpfs None\n"


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no FUSE")
def test_a_mount_of_a_program_that_does_not_answer_is_polled(roots: Path) -> None:
    options = "fd=3,rootmode=40000,user_id=0,group_id=0"
    mount = f"exec 3<>/dev/fuse; mount -i -t fuse.silent -o {options} none '{roots}'"
    assert run_in_namespaces(MOUNTS, mount, ASK.format(folder=str(roots))) == "fuse.silent fuse.silent\n"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remote_type(tmp_path / "none")


def test_a_mount_that_this_process_does_not_see_is_an_error(roots: Path) -> None:
    """As one is that was unmounted a moment ago."""
    see = f"""
import os
from pathlib import Path
from tqunits.system.mounts import mount_of
os.chroot({str(roots)!r})
try:
    mount_of(Path("/"))
except OSError as error:
    print(error.strerror, error.filename)
"""
    proc = f"mkdir {roots}/proc; mount --rbind /proc {roots}/proc"
    assert run_in_namespaces(MOUNTS, proc, see) == "Its mount is gone /\n"
