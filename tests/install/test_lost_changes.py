"""Changes that no event tells of, on a booted systemd: the manager is killed or stopped, events are
lost, a disk goes and comes back, a link leads elsewhere. What lies on disk is served in the end. A
worker that changes its own files is not replaced without end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .changing import FOLDER, await_watch, change, history, kill_manager, mark, says, unsuperseded, until, watched
from .conftest import Site
from .hammering import RESTART, RUDE, check, hammered
from .killed_manager import killed_at
from .test_backoff import wait
from .test_changed_settings import output
from .test_changes import answer_with
from .test_development import answers

BUILT = f"path: /alpha\ntype: python\ncommand: [python3, src/main.py]\nbuild: [touch, built]\n{RESTART}"


@pytest.fixture
def edited(developing: Site) -> Site:
    """With the worker alpha, which has a build and is watched."""
    developing.worker("alpha", RESTART, program=RUDE)
    developing.yaml("alpha", BUILT)
    developing.install()
    await_watch(developing)
    return developing


@pytest.mark.short("build", "drain")
@pytest.mark.parametrize("step", ["build", "take", "surge", "drain", "restart", "healthy"])
def test_the_next_manager_goes_on_with_what_has_changed(edited: Site, step: str) -> None:
    site = edited
    mark(site, "1")
    with hammered(site, 20) as report:
        with killed_at(site, step):
            change(site, answer_with("a"))
        until(site, 2)
    check(site, report)
    assert answers(site) == "a"
    assert [each["outcome"] for each in mark(site, "2")] == ["done"] * 3


def test_a_change_before_a_kill_is_done_once(edited: Site) -> None:
    """Whether the manager has noticed it before its end or not."""
    site = edited
    with hammered(site, 20) as report:
        for number, letter in enumerate("ab", 1):
            change(site, answer_with(letter))
            kill_manager(site)
            until(site, number)
            assert answers(site) == letter
    check(site, report)
    assert [each["outcome"] for each in mark(site, "1")] == ["done"] * 3


def test_a_change_without_a_manager_is_found_by_the_next(edited: Site) -> None:
    site = edited
    site.machine.systemctl("stop", "tq-manager.socket", "tq-manager.service")
    change(site, answer_with("a"))
    site.machine.systemctl("start", "tq-manager.socket", "tq-manager.service")
    (deploy,) = until(site, 1)
    assert answers(site) == "a"
    assert deploy["message"] == "its files have changed while the manager did not watch them"
    assert len(mark(site, "1")) == 2


FLOOD = """
for number in range(10000):
    for name in ("src/a~", "src/b~"):
        open(name, "w").close()
"""
"""More events than the kernel keeps (fs.inotify.max_queued_events, 16384), of files that count
for nothing."""


def test_a_change_behind_lost_events_is_found(edited: Site) -> None:
    site, since = edited, edited.machine.cursor()
    site.machine.write("/srv/flood.py", FLOOD)
    site.machine.systemctl("kill", "--signal=STOP", "tq-manager.service")
    change(site, f"python3 /srv/flood.py; {answer_with('a')}")
    site.machine.systemctl("kill", "--signal=CONT", "tq-manager.service")
    says(site, "more has changed at once than the kernel's queue of events holds", since)
    until(site, 1)
    assert answers(site) == "a"
    assert [each["outcome"] for each in mark(site, "1")] == ["done"] * 2


def test_a_disk_that_goes_and_comes_back_is_no_order(edited: Site) -> None:
    site, since = edited, edited.machine.cursor()
    site.machine.run(["mount", "-t", "tmpfs", "none", FOLDER])
    try:
        says(site, "alpha: changes of its files are not noticed: ", since)
        assert watched(site)["state"] == "broken"
        assert "changes of its files are not noticed: " in site.run("show", "alpha")
        assert answers(site) == "."
    finally:
        site.machine.run(["umount", "--lazy", FOLDER])
    await_watch(site)
    change(site, answer_with("a"))
    (deploy,) = until(site, 1)
    assert deploy["message"] == "src/main.py has changed"
    assert answers(site) == "a"


def test_a_link_that_leads_elsewhere_is_one_roll(developing: Site) -> None:
    site = developing
    site.worker("alpha", RESTART, program=RUDE)
    releases = "/srv/site/releases"
    line = f"mkdir {releases}; mv {FOLDER} {releases}/1; cp -r {releases}/1 {releases}/2; ln -s {releases}/1 {FOLDER}"
    site.machine.run(["sh", "-euc", f"{line}; cd {releases}/2; {answer_with('a')}"])
    site.install()
    await_watch(site)
    with hammered(site, 20) as report:
        site.machine.run(["ln", "-sfn", f"{releases}/2", FOLDER])
        until(site, 1)
        assert answers(site) == "a"
    check(site, report)
    change(site, answer_with("b"))
    until(site, 2)
    assert answers(site) == "b"
    assert len(mark(site, "1")) == 3


PRIVATE = "/run/systemd/system/tq-manager.service.d/50-users.conf"
EXHAUST = """\
mount -o remount,rw,bind /proc/sys
exec nsenter --target "$0" --user sh -c 'echo 1 > /proc/sys/user/max_inotify_watches'
"""


@pytest.fixture
def exhausted(edited: Site) -> Iterator[Site]:
    """Its manager gets no watch any more. The limit is that of a user namespace of its own, so that
    nobody else on this host has it."""
    machine = edited.machine
    machine.write(PRIVATE, "[Service]\nPrivateUsers=yes\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "tq-manager.service")
    await_watch(edited)
    manager = machine.show("tq-manager.service", "MainPID")
    spaces = machine.run(["readlink", f"/proc/{manager}/ns/user", "/proc/1/ns/user"]).stdout.split()
    assert spaces[0] != spaces[1]
    machine.run(["unshare", "--mount", "sh", "-euc", EXHAUST, manager])
    yield edited
    machine.remove(PRIVATE)
    machine.systemctl("daemon-reload")


def test_without_watches_a_change_is_found_all_the_same_and_the_setting_is_named(exhausted: Site) -> None:
    site, since = exhausted, exhausted.machine.cursor()
    change(site, "mkdir src/new; echo 1 > src/new/file")
    until(site, 1)
    says(site, "alpha: its folder is looked at every few seconds: this user has no inotify watch left: ", since)
    shown = site.run("show", "alpha")
    assert "looked at again and again" in shown
    assert "'sysctl -w user.max_inotify_watches=524288' allows more" in shown
    change(site, "echo 2 > src/new/file")
    assert until(site, 2)[0]["message"] == "src/new/file has changed"


STAMPS = f"""\
import os, time
STAMP = "{FOLDER}/src/stamp.txt"
with open(STAMP, "w") as stamp:
    stamp.write(str(time.time_ns()))
os.chmod(STAMP, 0o644)
{RUDE}"""
"""Each start writes a file that everybody may read: a worker's umask makes others, which are no
sources."""


def test_a_worker_that_changes_its_own_files_is_suspended(developing: Site) -> None:
    site, since = developing, developing.machine.cursor()
    site.worker("alpha", f"{RESTART}sandbox: {{relax: [writable-code]}}\n", program=STAMPS)
    site.install()
    await_watch(site)
    change(site, answer_with("a"))
    says(site, "alpha is suspended: src/stamp.txt has changed right after ", since)
    assert watched(site)["suspended"] == "src/stamp.txt"
    for verb in ("ls", "show"):
        assert "suspended: changes of src/stamp.txt do nothing" in output(site, verb, "alpha"), verb
    until(site, 1)
    assert len(unsuperseded(history(site))) <= 4, "with the one for the edit"
    change(site, answer_with("b"))
    wait(site, lambda: answers(site) == "b")
    wait(site, lambda: watched(site)["suspended"] == "src/stamp.txt")
    count = len(until(site, 1))
    change(site, "echo 'watch: {ignore: [stamp.txt]}' >> config/worker.yaml")
    wait(site, lambda: watched(site).get("suspended", "") is None)
    await_watch(site)  # with the new rules: a change before that look is found by it
    assert len(mark(site, "1")) == count + 1
