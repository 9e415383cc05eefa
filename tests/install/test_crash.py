"""kill -9 in the middle of install, at every step: each file is old or new, and the next run completes (promise P5).

strace(1) kills the real command at the entry of the N-th call of a kind, for N = 1, 2, … until a run gets through.
"""

from __future__ import annotations

import itertools

import pytest

from .conftest import ROOT, Site

# What changes the host: a file's birth, its flush, its appearance, its end; and every message to systemd.
CALLS = {
    "rename": "rename,renameat,renameat2",
    "fsync": "fsync",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat",
    "dbus": "sendmsg",
    "fork": "clone,clone3,vfork,fork",
}
KILLED = 137
MOST = 200  # a run that has more steps of one kind than this has run away


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_killed_anywhere_between_two_configurations(site: Site, calls: str) -> None:
    trees = []
    for variant in ("one", "two"):
        configure(site, variant)
        site.run("install", "--prune")
        trees.append(site.files())
    old, new = trees[1], trees[0]
    for number, variant in zip(range(1, MOST), itertools.cycle(("one", "two")), strict=False):
        configure(site, variant)
        finished = not killed_at(site, calls, number, "--prune")
        assert_each_file_is_whole(site.files(), old, new)
        site.run("install", "--prune")
        assert site.files() == new
        assert site.machine.show("tq-worker@alpha.service", "NeedDaemonReload") == "no"
        assert site.machine.show("tq-worker@alpha.service", "Environment").count(f"VARIANT={variant}") == 1
        if finished:
            return
        old, new = new, old
    pytest.fail(f"still killed at call {MOST}")


@pytest.mark.parametrize("calls", [CALLS["rename"], CALLS["dbus"]], ids=["rename", "dbus"])
def test_killed_anywhere_on_the_way_from_nothing_to_running(site: Site, calls: str) -> None:
    configure(site, "one")
    site.install()
    new = site.files()
    for number in range(1, MOST):
        site.run("uninstall", "--all", "--purge")
        old = site.files()
        finished = not killed_at(site, calls, number, "--now")
        assert_each_file_is_whole(site.files(), old, new)
        site.install()
        assert site.files() == new
        assert site.get("/alpha/health") == (200, "ok")
        if finished:
            return
    pytest.fail(f"still killed at call {MOST}")


@pytest.mark.parametrize("moment", ["early", "late"])
def test_power_cut(site: Site, moment: str) -> None:
    """The whole machine dies while install runs; what boots again is whole, and install completes."""
    configure(site, "one")
    site.install()
    old = site.files()
    configure(site, "two")
    number = 1 if moment == "early" else 3
    assert killed_at(site, CALLS["rename"], number, "--now")
    site.machine.cut_power()
    site.machine.wait_until(lambda: site.get("/alpha/health") == (200, "ok"))
    site.install()
    assert site.files() != old
    assert site.get("/alpha/environment")[1]["VARIANT"] == "two"


def configure(site: Site, variant: str) -> None:
    """Two configurations that differ in every file that depends on one, and in the set of workers."""
    listen = {"one": "0.0.0.0:8080", "two": "127.0.0.1:8080"}[variant]
    site.server(f"listen: ['{listen}']\nproxy: {{processes: {1 if variant == 'one' else 2}}}\n")
    site.worker("alpha", f"environment: {{VARIANT: {variant}}}\n")
    gone, here = ("beta", "gamma") if variant == "one" else ("gamma", "beta")
    site.remove_worker(gone)
    site.worker(here)


def killed_at(site: Site, calls: str, number: int, *arguments: str) -> bool:
    """Run install under a death sentence; False when it got through before it came to call `number`."""
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    inject += ["-e", f"inject={calls}:signal=SIGKILL:when={number}"]
    install = ["/usr/local/bin/tqunits", "-C", ROOT, "install", "--quiet", *arguments]
    done = site.machine.run([*inject, *install], check=False)
    assert done.returncode in {0, KILLED, -9}, done.stderr
    return done.returncode != 0


def assert_each_file_is_whole(now: dict[str, str], old: dict[str, str], new: dict[str, str]) -> None:
    """Every file has its content of before or of after; nothing half, nothing strange but a temporary file."""
    for path, digest in now.items():
        if not path.rpartition("/")[2].startswith(".tqunits-") and not path.endswith("/install.lock"):
            assert digest in {old.get(path), new.get(path)}, path
    for path in old.keys() & new.keys():
        assert path in now, f"{path} was there before and should be after, and is gone"
