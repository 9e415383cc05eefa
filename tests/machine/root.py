"""The program inside a machine: it builds the machine's root and becomes its systemd.

Runs as process 1 of new mount, pid, uts, ipc, net and cgroup namespaces (the keeper starts it by
unshare(1)), still in the host's tree. Facts:
* A systemd in a container keeps what is mounted on /sys/fs/cgroup, and tells `$NOTIFY_SOCKET` when
  it is up (the Container Interface, https://systemd.io/CONTAINER_INTERFACE).
* /proc/sys and /proc/sysrq-trigger act on the kernel of the host and so are read-only; systemd then
  leaves them alone.
* An overlay follows no mount point of its lower tree, and copies up a file's content only when that
  is written (metacopy=on), not when its mode is.
* The options of overlayfs are parted by commas and colons; paths that may hold some are no options.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import sys
from pathlib import Path

from . import cgroups, kernel

CHECKOUT = "opt/tqunits"
ENVIRONMENT = "opt/venv"  # in a tree of another Debian, with another Python: see .ci/root
WORKERS = "srv/tqunits/workers"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOTIFY = "run/host-notify"
WRAPPER = f"""#!/bin/sh
# The console scripts of the virtual environment name the path it was made at; this one is right in the machine.
exec /{CHECKOUT}/.venv/bin/python -I -m tqunits "$@"
"""
# Folders of the host whose content must not be visible: enabled services, its own tqunits.
HIDDEN = ("etc/systemd", "etc/tqunits", "var/lib/tqunits", "srv/tqunits", "var/log/journal", "etc/rc2.d", "etc/rc3.d",
          "etc/rc5.d", "etc/rcS.d")  # fmt: skip
# Units of Debian that start by themselves and are of no use in a container.
MASKED = ("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
          "systemd-udev-trigger.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
          "systemd-ask-password-wall.path", "systemd-ask-password-console.path", "systemd-remount-fs.service",
          "systemd-tmpfiles-clean.timer", "console-getty.service", "getty.target", "getty-static.service",
          "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
          "sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "modprobe@.service")  # fmt: skip
# Generators that write units at each daemon-reload for disks, consoles and scripts that no machine
# has. They take two thirds of the time of a daemon-reload.
GENERATORS = "systemd/system-generators"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# CAP_SYS_MODULE, SYS_RAWIO, SYS_TIME, MAC_OVERRIDE, MAC_ADMIN and SYSLOG have effects outside of
# namespaces.
DROPPED = (16, 17, 25, 32, 33, 34)
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def main() -> None:
    plan = json.loads(sys.argv[1])
    for entry in plan["roots"]:
        Path(entry).write_text("0", encoding="ascii")  # my own process, whatever its number is outside
    with socket.socket(fileno=plan["notify"]) as notify:
        stage, root = Path(plan["stage"]), Path(plan["stage"], "root")
        _mount_disk(stage, root, plan["tree"], plan["checkout"])
        _mount_kernel(root, plan["hierarchies"], plan["console"])
        notify.bind(str(root / NOTIFY))
        if not _is_furnished(root, plan["identity"]):
            _furnish(root, plan["identity"])
        _tell(root, f"MAINPID={os.readlink('/proc/self')}")
    socket.sethostname("machine")
    _loopback_up()
    kernel.pivot_root(str(root))
    # A mount that systemd makes in a helper's namespace (a unit's credentials) has to arrive here.
    # In a container systemd expects this of the container manager (mount_setup() in its source).
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SHARED)
    for number in DROPPED:
        kernel.drop_capability(number)
    _become_systemd(unified=plan["hierarchies"] == [cgroups.UNIFIED])


def _mount_disk(stage: Path, root: Path, tree: str, checkout: str) -> None:
    """A tree and the checkout, writable; everything that is written goes to the machine's disk."""
    _overlay(stage / "disk", tree, root)
    for name in "usr", "var", "etc", "opt", "srv":  # an overlay does not contain file systems mounted below it
        if os.path.ismount(f"{tree}/{name}"):
            _overlay(stage / f"disk-{name}", f"{tree}/{name}", root / name)
    (root / CHECKOUT).mkdir(parents=True, exist_ok=True)
    (root / "opt").chmod(0o755)
    _overlay(stage / "disk-checkout", checkout, root / CHECKOUT)
    if tree != "/":
        _overlay(stage / "disk-venv", f"{tree}/{ENVIRONMENT}", root / CHECKOUT / ".venv")


def _overlay(disk: Path, lower: str, target: Path) -> None:
    upper, work = disk / "upper", disk / "work"
    for folder in upper, work, target:
        folder.mkdir(parents=True, exist_ok=True)
    upper.chmod(0o755)
    descriptor = os.open(lower, os.O_RDONLY | os.O_DIRECTORY)
    options = f"lowerdir=/proc/self/fd/{descriptor},upperdir={upper},workdir={work},metacopy=on"
    kernel.mount("overlay", str(target), "overlay", data=options)
    os.close(descriptor)


def _mount_kernel(root: Path, hierarchies: list[str], console: str) -> None:
    """The file systems of a kernel, each the machine's own: /proc, /sys, /dev, /run, /tmp and the
    cgroups."""
    quiet = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("proc", f"{root}/proc", "proc", quiet | kernel.MS_NOEXEC)
    for path in f"{root}/proc/sys", f"{root}/proc/sysrq-trigger":
        if os.path.exists(path):
            kernel.bind(path, path, read_only=True)
    kernel.mount("sysfs", f"{root}/sys", "sysfs", quiet | kernel.MS_NOEXEC | kernel.MS_RDONLY)
    kernel.mount("tmpfs", f"{root}/run", "tmpfs", quiet, "mode=755")
    kernel.mount("tmpfs", f"{root}/tmp", "tmpfs", quiet, "mode=1777")
    kernel.mount("tmpfs", f"{root}/dev", "tmpfs", kernel.MS_NOSUID, "mode=755")
    _populate_devices(root / "dev", console)
    _mount_cgroups(root / "sys/fs/cgroup", hierarchies)


def _populate_devices(folder: Path, console: str) -> None:
    for name, source in [*((name, f"/dev/{name}") for name in DEVICES), ("console", console)]:
        (folder / name).touch()
        kernel.bind(source, str(folder / name))
    for name in "pts", "shm":
        (folder / name).mkdir()
    kernel.mount("devpts", str(folder / "pts"), "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=666,mode=620,gid=5")
    kernel.mount("tmpfs", str(folder / "shm"), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        (folder / name).symlink_to(target)


def _mount_cgroups(folder: Path, hierarchies: list[str]) -> None:
    if hierarchies == [cgroups.UNIFIED]:
        cgroups.mount_at(folder, cgroups.UNIFIED)
        return
    kernel.mount("tmpfs", str(folder), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for options in hierarchies:
        target = folder / cgroups.folder_name(options)
        target.mkdir()
        cgroups.mount_at(target, options)
        for controller in options.split(",") if "," in options else ():
            (folder / controller).symlink_to(target.name)


def _is_furnished(root: Path, identity: str) -> bool:
    path = root / "etc/machine-id"
    return path.exists() and path.read_text(encoding="ascii").strip() == identity


def _furnish(root: Path, identity: str) -> None:
    """The first boot: a host with its own identity; only the units that Debian's own units want are
    enabled."""
    for name in HIDDEN:
        _hide(root / name)
    units = root / "etc/systemd/system"
    units.mkdir()
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    masks = root / "etc" / GENERATORS
    masks.mkdir()
    for generator in (root / "usr/lib" / GENERATORS).iterdir():
        (masks / generator.name).symlink_to("/dev/null")
    _replace(root / "etc/hostname", "machine\n")
    _replace(root / "etc/hosts", "127.0.0.1 localhost machine\n::1 localhost machine\n")
    _replace(root / "etc/fstab", "")
    for name in "etc/.updated", "var/.updated":  # no catalogue or linker cache to rebuild: ConditionNeedsUpdate=
        _replace(root / name, "")
    _replace(root / "usr/local/bin/tqunits", WRAPPER, mode=0o755)
    _publish(root / CHECKOUT)
    _copy_workers(root / CHECKOUT / "workers", root / WORKERS)
    _replace(root / "etc/machine-id", f"{identity}\n", mode=0o444)  # last: it means that everything else is there


def _hide(folder: Path) -> None:
    """Put an empty folder in the place of the host's."""
    if folder.is_symlink() or folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o755)


def _replace(path: Path, content: str, *, mode: int = 0o644) -> None:
    """Write a file of the machine's own; a link to another place is not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)


def _publish(checkout: Path) -> None:
    """The users of the workers and of the proxy read the checkout. With a strict umask only root
    could."""
    checkout.chmod(0o755)
    samples = [checkout / "pyproject.toml", checkout / ".venv/pyvenv.cfg"]
    if all(path.stat().st_mode & 0o004 for path in samples if path.exists()):
        return
    for folder, _, files in os.walk(checkout):
        for path in [folder, *(f"{folder}/{name}" for name in files)]:
            if not os.path.islink(path):
                mode = os.stat(path).st_mode
                os.chmod(path, mode | 0o444 | (0o111 if mode & 0o100 else 0))


def _copy_workers(source: Path, target: Path) -> None:
    """The sample workers as in a fresh clone: owned by root, not built."""
    built = [str(folder) for folder in source.glob("*/bin")]
    shutil.copytree(
        source, target, symlinks=True, ignore=lambda folder, names: [n for n in names if f"{folder}/{n}" in built]
    )
    for folder, folders, files in os.walk(target):
        for name in [".", *folders, *files]:
            os.chown(f"{folder}/{name}", 0, 0, follow_symlinks=False)


def _tell(root: Path, message: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), str(root / NOTIFY))


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | IFF_UP))


def _become_systemd(*, unified: bool) -> None:
    # Debian 13's systemd starts on version 1 only if it is asked to. In a container it reads that
    # from its own command line.
    legacy = [] if unified else ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    environment = {"container": "tqunits", "PATH": PATH, "TERM": "vt220", "NOTIFY_SOCKET": f"/{NOTIFY}"}
    os.execve("/lib/systemd/systemd", ["/lib/systemd/systemd", *legacy], environment)


if __name__ == "__main__":
    main()
