"""Which processes are older than the files that they were started from, by times that only the
kernel and PID 1 write."""

from __future__ import annotations

import pytest

from .conftest import PROBE, ROOT, Site

ALPHA = "tq-worker@alpha.service"
OURS = f"/etc/systemd/system /etc/systemd/journald@tq-access.conf /var/lib/tqunits {ROOT}"

ANNOUNCING = """\
import os, signal, socket, subprocess

def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

def move(*_):
    notify(f"MAINPID={subprocess.Popen(['sleep', '1000']).pid}")

signal.signal(signal.SIGUSR1, move)
notify("READY=1")
"""


def touch(site: Site, date: str) -> None:
    """Set the modification time of all our files."""
    argv = ["find", *OURS.split(), "-exec", "touch", "--no-dereference", f"--date={date}", "{}", "+"]
    site.machine.run(argv)


def invocations(site: Site) -> list[str]:
    return [site.machine.show(unit, "InvocationID") for unit in (ALPHA, "tq-proxy@1.service")]


@pytest.mark.long
@pytest.mark.parametrize("date", ["2099-01-01", "1971-01-01"])
def test_file_times_that_somebody_has_set_restart_nothing_for_ever(site: Site, date: str) -> None:
    site.worker("alpha")
    site.install()
    touch(site, date)
    site.install()
    settled = invocations(site)
    for _ in range(2):
        site.install()
        assert invocations(site) == settled


@pytest.mark.long
def test_what_is_set_to_the_future_is_no_way_around_a_restart(site: Site) -> None:
    site.worker("alpha")
    site.install()
    before = invocations(site)
    site.worker("alpha", "environment: {A: b}\n")
    site.run("install")
    touch(site, "2099-01-01")
    site.install()
    assert invocations(site)[0] != before[0]


@pytest.mark.long
def test_a_worker_that_names_a_new_main_process_is_as_old_as_before(site: Site) -> None:
    site.worker("alpha", "service_type: notify\n", program=ANNOUNCING + PROBE)
    site.install()
    (before, _), first = invocations(site), site.machine.show(ALPHA, "MainPID")
    site.worker("alpha", "service_type: notify\nenvironment: {A: b}\n", program=ANNOUNCING + PROBE)
    site.run("install")
    site.machine.systemctl("kill", "--kill-whom=main", "--signal=USR1", ALPHA)
    site.machine.wait_until(lambda: site.machine.show(ALPHA, "MainPID") != first)
    site.install()
    assert invocations(site)[0] != before
