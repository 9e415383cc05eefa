"""What may happen on disk and to the manager, as a random test draws it: shell lines, in the folder
of one worker or for the host. Some leave something wrong, and have a second line that mends it.

In a line @worker is the worker's name, @new a text that was not used before. The program of each
worker answers with the version in src/version.txt, two settings and a secret. That of beta takes a
while to start."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from .conftest import ROOT
from .hammering import RESTART, RUDE

WORKERS = f"{ROOT}/workers"
LINKED = "gamma"
"""The worker whose folder is a link."""

NAMES = ("alpha", "beta", LINKED)
CONFIGURATION = "/etc/tqunits"
COMMON = f"{CONFIGURATION}/tqunits.yaml.d/10-common.yaml"

FILL = """\
with open("src/version.txt", "rb") as file:
    VERSION = file.read().decode().strip()
assert VERSION, "there is no version"
FILL = "/".join((VERSION, *map(os.environ.get, ("SETTING", "SECRET", "COMMON")))).encode()
if "/beta/" in __file__:
    import time
    time.sleep(1)
"""
"""beta starts slowly, so that changes come while it starts. No test waits by it."""

PROGRAM = RUDE.replace('FILL = b"." * 20000\n', FILL)
YAML = f"{RESTART}environment: {{SETTING: v0}}\nwatch: {{ignore: [v0]}}\nenvironment_file: .env\n"
"""`path`, `type` and `command` besides."""


@dataclass(frozen=True)
class Operation:
    """What is done, and what mends it."""

    line: str
    mend: str = ""
    rolls: int = 0  # at most, of the worker, or of each one
    is_alone: bool = False  # nothing else is done before it is mended


EDIT = "echo @new > src/version.txt"
SETTINGS = "sed -i 's/SETTING: .*/SETTING: @new}/' config/worker.yaml"
BREAK = "cp config/worker.yaml config/kept; echo 'restart: [' >> config/worker.yaml"
COMMIT = "git init -q .; git add -A; git -c user.name=a -c user.email=a@b commit -qm 1 || true"
SET_COMMON = f"echo 'defaults: {{environment: {{COMMON: @new}}}}' > {COMMON}"
HERE, ASIDE = f"{WORKERS}/@worker", f"{ROOT}/aside-@worker"

OF_WORKER = {
    "edit": Operation(EDIT, rolls=1),
    "edit by a rename": Operation("echo @new > src/.new.tmp; mv src/.new.tmp src/version.txt", rolls=1),
    "truncate": Operation(": > src/version.txt", EDIT, rolls=2),
    "folder away": Operation("mv src away.tmp", "mv away.tmp src", rolls=2),
    "folder away, and another back": Operation("mv src away.tmp", f"mv away.tmp src; {EDIT}", rolls=3),
    "folder anew": Operation(
        "cp -r src new.tmp; echo @new > new.tmp/version.txt; mv src old.tmp; mv new.tmp src; rm -r old.tmp", rolls=2
    ),
    "worker away": Operation(f"mv {HERE} {ASIDE}", f"mv {ASIDE} {HERE}"),
    "closed file": Operation("chmod 000 src/version.txt", "chmod 644 src/version.txt", rolls=2),
    "closed folder": Operation("chmod 000 src", "chmod 755 src", rolls=2),
    "closed worker": Operation(f"chmod 000 $(realpath {HERE})", f"chmod 755 $(realpath {HERE})"),
    "mount": Operation(f"mount -t tmpfs none {HERE}", f"umount -l {HERE}"),
    "mount below": Operation("mount -t tmpfs none src", "umount -l src", rolls=2),
    "hard link": Operation("ln src/version.txt src/linked.txt", "rm src/linked.txt", rolls=2),
    "broken settings": Operation(BREAK, "mv config/kept config/worker.yaml"),
    "broken settings, then others": Operation(BREAK, f"mv config/kept config/worker.yaml; {SETTINGS}", rolls=1),
    "settings": Operation(SETTINGS, rolls=1),
    "settings and source": Operation(f"{EDIT}; {SETTINGS}", rolls=2),
    "secret": Operation("echo SECRET=@new > .env", rolls=1),
    "secret by a rename": Operation("echo SECRET=@new > .env.tmp; mv .env.tmp .env", rolls=1),
    "secret away": Operation("mv .env .env.tmp", "mv .env.tmp .env", rolls=1),
    "secret and settings": Operation(f"echo SECRET=@new > .env; {SETTINGS}", rolls=2),
    "other rules": Operation("sed -i 's/ignore: .*/ignore: [@new]}/' config/worker.yaml"),
    "other rules and source": Operation(f"{EDIT}; sed -i 's/ignore: .*/ignore: [@new]}}/' config/worker.yaml", rolls=2),
    "ignored": Operation(f"{EDIT}; echo version.txt > src/.gitignore", f"{EDIT}; rm src/.gitignore", rolls=3),
    "git checkout": Operation(f"{COMMIT}; {EDIT}; {COMMIT}; git checkout -q HEAD~1 || true", rolls=4),
    "git stash": Operation(f"{COMMIT}; {EDIT}; git stash -q", "git stash pop -q || git checkout -q .", rolls=3),
    "noise": Operation("touch src/main.py; echo @new > app.log; cp src/main.py src/m.tmp; mv src/m.tmp src/main.py"),
    "deploy by hand": Operation("tqunits deploy @worker || true", rolls=1),
    "restart by hand": Operation("tqunits restart @worker || true", rolls=1),
    "scale": Operation("tqunits scale @worker=2 || true", "tqunits scale @worker=1 || true"),
}

ANEW = Operation(
    f"cp -a {HERE} {ASIDE}; rm -rf {HERE}", f"cp -a {ASIDE} {HERE}; rm -r {ASIDE}; cd {HERE}; {EDIT}", rolls=3
)

OF_ONE: Mapping[str, Mapping[str, Operation]] = {
    LINKED: {
        "switch": Operation(
            f"cp -aL {HERE} {ROOT}/@worker-@new; echo @new > {ROOT}/@worker-@new/src/version.txt;"
            f" ln -sfn {ROOT}/@worker-@new {HERE}",
            rolls=2,
        ),
        # a link that was moved is a new one to whoever compares times, as those of secrets are
        "worker away": Operation(f"mv {HERE} {ASIDE}", f"mv {ASIDE} {HERE}", rolls=1),
    },
    "alpha": {"worker anew": ANEW},
    "beta": {"worker anew": ANEW},
}
"""What is for some workers alone."""

OF_HOST = {
    "kill": Operation("systemctl kill --signal=KILL tq-manager.service"),
    "stop": Operation(
        "systemctl stop tq-manager.socket tq-manager.service",
        "systemctl start tq-manager.socket tq-manager.service",
    ),
    "daemon-reload": Operation("systemctl daemon-reload"),
    "install by hand": Operation("tqunits install --now || true", rolls=1),
    "apply by hand": Operation("tqunits apply || true", rolls=1, is_alone=True),
    "another worker": Operation(
        f"cp -aLn {WORKERS}/alpha {ROOT}/delta; sed -i s/alpha/delta/ {ROOT}/delta/config/worker.yaml;"
        f" mv -nT {ROOT}/delta {WORKERS}/delta; rm -rf {ROOT}/delta",
        is_alone=True,
    ),
    "one less": Operation(f"rm -rf {WORKERS}/delta; tqunits apply || true", rolls=1, is_alone=True),
    "comment": Operation(f"echo '# @new' >> {CONFIGURATION}/tqunits.yaml"),
    "common": Operation(SET_COMMON, rolls=1),
    "broken common": Operation(f"echo '[' > {COMMON}", SET_COMMON, rolls=1),
    "closed common": Operation(f"chmod 000 {COMMON}", f"chmod 644 {COMMON}"),
    "closed drop-ins": Operation(
        f"chmod 000 {CONFIGURATION}/tqunits.yaml.d", f"chmod 755 {CONFIGURATION}/tqunits.yaml.d"
    ),
    "configuration away": Operation(f"mv {CONFIGURATION} {ROOT}/etc", f"mv {ROOT}/etc {CONFIGURATION}", is_alone=True),
    "workers away": Operation(f"mv {WORKERS} {ROOT}/away", f"mv {ROOT}/away {WORKERS}", is_alone=True),
}


class Draw:
    """A sequence of operations: a seed makes always the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._count = 0

    def operation(self) -> tuple[str, str, Operation]:
        """The worker, "" for the host; the name of the operation, and the operation."""
        worker = self.random.choice((*NAMES, *NAMES, "", "", ""))
        choice = {**OF_WORKER, **OF_ONE[worker]} if worker else OF_HOST
        return worker, *self.random.choice(list(choice.items()))

    def line(self, text: str, worker: str) -> str:
        """The shell line with its worker, and something new."""
        self._count += 1
        return f"cd {WORKERS}/{worker} 2> /dev/null || cd /; {text}".replace("@worker", worker).replace(
            "@new", f"v{self._count}"
        )
