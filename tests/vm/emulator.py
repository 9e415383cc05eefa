"""qemu: its command line, its process, and whether KVM works here."""

import functools
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import MachineError

from .image import Image
from .recipe import KERNEL_OPTIONS, PORT

QEMU = "qemu-system-x86_64"
KVM = "/dev/kvm"
MEBIBYTES = 1024
TRIAL_SECONDS = 10.0  # a kernel without a root panics within two of them
END_SECONDS = 30.0

# The clock of an emulated guest counts its instructions, a nanosecond each. So on a busy host no
# time-out in the guest expires early. With this the guest has one processor, and a boot takes a
# tenth longer.
ACCELERATION = {
    "kvm": ("-accel", "kvm", "-cpu", "host", "-smp", "2"),
    "tcg": ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"),
}
BARE = (QEMU, "-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The parts of a machine; `channel` is a descriptor that qemu inherits."""

    image: Image
    disk: Path
    console: Path
    channel: int
    accelerator: str


def command(hardware: Hardware) -> list[str]:
    """qemu's command line. The package's docstring explains why cache=unsafe is correct for a power
    cut."""
    return [
        *BARE,
        *ACCELERATION[hardware.accelerator],
        *("-m", str(MEBIBYTES)),
        *("-kernel", str(hardware.image.kernel), "-initrd", str(hardware.image.initrd)),
        *("-append", " ".join(KERNEL_OPTIONS)),
        *("-drive", f"file={_value(hardware.disk)},if=virtio,format=qcow2,cache=unsafe"),
        *("-device", "virtio-rng-pci"),
        *("-serial", f"file:{hardware.console}"),
        *("-chardev", f"socket,id=channel,fd={hardware.channel}"),
        *("-device", "virtio-serial-pci"),
        *("-device", f"virtserialport,chardev=channel,name={PORT}"),
    ]


def _value(path: Path) -> str:
    """In a list of options a comma is doubled (qemu(1), -drive)."""
    return str(path).replace(",", ",,")


def start(hardware: Hardware) -> subprocess.Popen[bytes]:
    """Start a boot. The kernel ends qemu when this process ends."""
    try:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command(hardware)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=hardware.console.with_suffix(".qemu").open("wb"),
            pass_fds=(hardware.channel,),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MachineError(f"{error.filename} is not installed") from None


def overlay(backing: Path, disk: Path) -> None:
    """A disk that takes all writes; the one below is only read."""
    kind = "raw" if backing.suffix == ".img" else "qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(backing), str(disk)]
    subprocess.run(argv, check=True)


@functools.cache
def accelerator(kernel: Path) -> str:
    """`kvm` if a kernel reaches its panic with it, else `tcg`: on some hosts the device opens, but
    the guest ends with an "emulation failure"."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "tcg"
    options: Sequence[str] = ("-kernel", str(kernel), "-append", "panic=-1 console=ttyS0", "-serial", "stdio")
    try:
        tried = subprocess.run(
            [*BARE, *ACCELERATION["kvm"], "-m", "256", *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:  # qemu keeps a guest that has failed, for inspection
        return "tcg"
    return "kvm" if b"Kernel panic" in tried.stdout else "tcg"
