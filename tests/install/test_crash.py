"""kill -9 in the middle of install, at every step: each file is old or new, and the next run
completes (promise P5)."""

from __future__ import annotations

import itertools

import pytest

from .conftest import Site
from .crash import CALLS, MOST, assert_each_file_is_whole, configure, killed_at

MANY = {"rename": 3, "fsync": 8, "dbus": 10}
"""An install makes dozens of each of these calls. The short form kills at one of so many of
them."""

FORMS = [
    *(pytest.param(calls, MANY.get(kind, 1), id=kind) for kind, calls in CALLS.items()),
    *(pytest.param(CALLS[kind], 1, id=f"each-{kind}") for kind in MANY),
]


@pytest.mark.short("rename")
@pytest.mark.parametrize(("calls", "stride"), FORMS)
def test_killed_anywhere_between_two_configurations(site: Site, calls: str, stride: int) -> None:
    trees = []
    for variant in ("one", "two"):
        configure(site, variant)
        site.run("install", "--prune")
        trees.append(site.files())
    old, new = trees[1], trees[0]
    for number, variant in zip(range(1, MOST, stride), itertools.cycle(("one", "two")), strict=False):
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


@pytest.mark.short("late")
@pytest.mark.parametrize("moment", ["early", "late"])
def test_power_cut(site: Site, moment: str) -> None:
    """The whole machine is killed while install runs. After the next boot all files are whole, and
    install completes."""
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
