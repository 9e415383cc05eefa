"""The recipe of an image, as values: the Debian, its packages, and our files in it."""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PORT = "tqunits.vm"  # the channel's name in the guest: /dev/virtio-ports/PORT
LIBRARY = "usr/local/lib/tests"
MACHINE_ID = "5eeda11000000000000000000000000a"  # any id: without one each boot of an overlay would be a first boot

# What every Debian host has that is not made by hand, a kernel without drivers for real hardware,
# and the programs that the tests run: Python for the agent and the workers, curl.
BASE = ("systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "polkitd", "kmod", "procps",
        "linux-image-cloud-amd64", "initramfs-tools", "zstd", "python3", "curl")  # fmt: skip

# The modules that the kernel needs to mount its root. With MODULES=most the initrd has ten times
# the size, and an emulated processor takes seconds to unpack it.
MODULES = "virtio_pci\nvirtio_blk\next4\n"

DEVICE = r"dev-virtio\x2dports-" + PORT + ".device"  # systemd-escape(1) of its path
AGENT_UNIT = f"""[Unit]
Description=Runs what the tests at the other end of the channel ask for
DefaultDependencies=no
After=systemd-remount-fs.service {DEVICE}
BindsTo={DEVICE}
IgnoreOnIsolate=yes
[Service]
Environment=PYTHONPATH=/{LIBRARY}
ExecStart=/usr/bin/python3 -m vm.agent /dev/virtio-ports/{PORT}
StandardOutput=journal+console
StandardError=journal+console
[Install]
WantedBy=sysinit.target
"""

# The package's docstring explains noauto_da_alloc and panic=-1. The last two save an emulated
# processor six seconds of a boot: mitigations that it does not need, and a BPF program for
# RestrictFileSystems=, which no unit of ours uses.
KERNEL_OPTIONS = ("root=/dev/vda", "rw", "rootflags=noauto_da_alloc", "console=ttyS0", "quiet", "panic=-1",
                  "mitigations=off", "lsm=landlock,yama")  # fmt: skip

# Units that have no use here, but start programs at each boot and each daemon-reload.
MASKED = (
    *(f"system/{name}" for name in (
        "dev-hugepages.mount", "getty.target", "proc-sys-fs-binfmt_misc.automount", "sys-fs-fuse-connections.mount",
        "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-binfmt.service")),
    *(f"system-generators/systemd-{name}-generator" for name in (
        "bless-boot", "cryptsetup", "debug", "fstab", "getty", "gpt-auto", "hibernate-resume", "import",
        "integritysetup", "rc-local", "run", "ssh", "system-update", "sysv", "tpm2", "veritysetup")),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`early` files exist before the first package is configured, `late` files replace what
    packages have made. Paths are without the first slash; a link is "-> TARGET"."""

    suite: str
    packages: Sequence[str]
    early: Mapping[str, str]
    late: Mapping[str, str]

    @property
    def name(self) -> str:
        """The image's name: another recipe has another one."""
        text = json.dumps([self.suite, sorted(self.packages), dict(self.early), dict(self.late)], sort_keys=True)
        return f"{self.suite}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def bootstrap(self, seed: Path, tree: Path) -> list[str]:
        """The command line that makes the tree; the folder `seed` has the early files."""
        copy = f'cp --recursive --no-dereference {shlex.quote(f"{seed}/.")} "$1"'
        names = ",".join(sorted(self.packages))
        options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={names}", f"--essential-hook={copy}"]
        return ["mmdebstrap", *options, self.suite, str(tree)]


def recipe(suite: str, needed: Sequence[str]) -> Recipe:
    """The Debian of the tests, with the dependencies of the package under test."""
    here = Path(__file__).parent
    agent = {f"{LIBRARY}/vm/{name}": (here / name).read_text(encoding="utf-8") for name in ("agent.py", "frames.py")}
    early = {
        "etc/initramfs-tools/conf.d/vm": "MODULES=list\n",
        "usr/share/initramfs-tools/modules.d/vm": MODULES,
        f"{LIBRARY}/vm/__init__.py": "",
        **agent,
    }
    late = {
        "etc/hostname": "vm\n",
        "etc/hosts": "127.0.0.1 localhost vm\n::1 localhost vm\n",
        "etc/fstab": "",
        "etc/machine-id": f"{MACHINE_ID}\n",
        "etc/.updated": "",  # no catalogue or linker cache to rebuild: ConditionNeedsUpdate=
        "var/.updated": "",
        **{f"etc/systemd/{name}": "-> /dev/null" for name in MASKED},
        "etc/systemd/system/vm-agent.service": AGENT_UNIT,
        "etc/systemd/system/sysinit.target.wants/vm-agent.service": "-> ../vm-agent.service",
    }
    return Recipe(suite=suite, packages=tuple(sorted({*BASE, *needed})), early=early, late=late)
