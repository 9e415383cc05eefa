"""Hostile builds, hostile state folders, hostile output: they do no harm when root runs the next
command."""

from __future__ import annotations

import pytest
from machine import Machine

from .conftest import ROOT, Site

ALPHA = f"{ROOT}/workers/alpha"
RUN = r"mkdir bin; printf '#!/bin/sh\nexec python3 src/main.py\n' > bin/run; chmod 6755 bin/run; chmod 755 bin/run"
DEEP = """python3 -c "
import os
for _ in range(1500):
    os.mkdir('d')
    os.chdir('d')
" """


def hostile(site: Site, *lines: str) -> None:
    """A worker `alpha` whose build runs these lines of shell, and an honest worker `beta`."""
    site.worker("beta")
    site.worker("alpha")
    site.machine.write(f"{ALPHA}/make", "\n".join(["#!/bin/sh", *lines, ""]), 0o755)
    site.yaml("alpha", "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")


def listing(machine: Machine, folder: str) -> set[str]:
    """Path and type of every file below it."""
    return set(machine.run(["find", folder, "-mindepth", "1", "-printf", "%P %y\n"]).stdout.splitlines())


def test_pipes_of_a_build_do_not_come_home_and_links_lead_root_nowhere(site: Site) -> None:
    site.machine.run(["mkdir", "-p", "/etc/planted", ALPHA])
    site.machine.run(["ln", "-s", "/etc/planted", f"{ALPHA}/out"])
    links = "ln -s /etc/shadow shadow; ln -s /etc etc; mkfifo pipe; ln /etc/passwd hard"
    hostile(site, RUN, links, "rm out; mkdir out; echo '* * * * * root id' > out/planted", "exit 0")
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert listing(site.machine, "/etc/planted") == set()
    assert listing(site.machine, ALPHA) == {
        "bin d",
        "bin/run f",
        "config d",
        "config/worker.yaml f",
        "etc l",
        "make f",
        "out l",
        "shadow l",
        "src d",
        "src/main.py f",
    }
    assert site.machine.run(["stat", "-c", "%U %a", f"{ALPHA}/bin/run"]).stdout.split() == ["root", "755"]
    assert site.machine.run(["stat", "-c", "%U", f"{ALPHA}/etc"]).stdout.split() == ["build-alpha"]
    site.machine.write(f"{ALPHA}/make", f"#!/bin/sh\n{RUN}\nmkdir etc; echo again > etc/passwd\n", 0o755)
    site.install()
    assert site.machine.read(f"{ALPHA}/etc/passwd") == "again\n"
    assert "root:" in site.machine.read("/etc/passwd")


@pytest.mark.parametrize(
    ("deed", "said"),
    [(DEEP, "deep"), ("truncate -s 3G hole; truncate -s 3G another", "more than 4G")],
    ids=["folders without a bottom", "a file that would fill the disk"],
)
def test_a_build_that_exceeds_every_bound_harms_nobody_else(site: Site, deed: str, said: str) -> None:
    hostile(site, RUN, deed)
    output = site.install(status=1)
    assert "skipped alpha: what its build made is not taken over" in output
    assert said in output
    assert site.get("/beta/health") == (200, "ok")
    assert not site.machine.exists(f"{ALPHA}/bin/run")
    assert not site.machine.exists("/var/lib/private/tqunits/builds/alpha")


def test_a_failed_build_leaves_nothing_that_passes_for_one(site: Site) -> None:
    hostile(site, RUN, "exit 3")
    for _ in range(2):
        assert "skipped alpha: its build exited with status 3" in site.install(status=1)
    assert not site.machine.exists(f"{ALPHA}/bin")


def test_what_a_build_leaves_running_ends_with_it(site: Site) -> None:
    """Otherwise the owner could put a link in the place of a file while root copies it."""
    hostile(site, "setsid sleep 4321 > /dev/null 2>&1 < /dev/null &", RUN)
    site.install()
    assert site.machine.run(["pgrep", "-f", "sleep 4321"], check=False).returncode == 1


def test_a_state_folder_without_a_bottom_is_purged_and_its_links_are_not_followed(site: Site) -> None:
    site.worker("alpha")
    site.install()
    state = "/var/lib/tqunits/workers/alpha"
    site.machine.write("/etc/precious/file", "kept")
    site.machine.run(["sh", "-c", f"cd {state} && ln -s /etc/precious link && {DEEP}"], user="worker-alpha")
    site.run("uninstall", "alpha", "--purge")
    assert not site.machine.exists(state)
    assert site.machine.read("/etc/precious/file") == "kept"


def test_a_workers_last_words_do_not_steer_the_terminal(site: Site) -> None:
    words = r"\x1b]0;owned\x07\x1b[2J\x9b2J\u202e\r"
    site.worker("alpha", program=f"import sys\nprint('last words {words}', file=sys.stderr)\nsys.exit(1)\n")
    said = site.install(status=1) + site.run("show", "alpha") + site.run("ls", status=0)
    assert "last words" in said
    assert not {c for c in said if not c.isprintable()} - {"\n"}


def test_the_words_of_a_failed_build_do_not_steer_the_terminal(site: Site) -> None:
    hostile(site, r"printf '\033]0;owned\007build words\r' >&2; exit 1")
    said = site.install(status=1)
    assert "build words" in said
    assert not {c for c in said if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("user", ["nobody", "worker-alpha"])
def test_nobody_else_can_hold_the_lock_of_install(site: Site, user: str) -> None:
    site.worker("alpha")
    site.install()
    hold = "import fcntl; fcntl.flock(open('/run/tqunits/install.lock'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = site.machine.run(["python3", "-c", hold], user=user, check=False)
    assert "PermissionError" in done.stderr
