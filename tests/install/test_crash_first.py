"""kill -9 in the middle of the first install, at every step: the next run completes (promise
P5)."""

from __future__ import annotations

import pytest

from .conftest import Site
from .crash import CALLS, MOST, assert_each_file_is_whole, configure, killed_at


@pytest.mark.short("rename")
@pytest.mark.parametrize(
    ("calls", "stride"),
    [
        pytest.param(CALLS["rename"], 14, id="rename"),
        pytest.param(CALLS["dbus"], 12, id="dbus"),
        pytest.param(CALLS["rename"], 1, id="each-rename"),
        pytest.param(CALLS["dbus"], 1, id="each-dbus"),
    ],
)
def test_killed_anywhere_on_the_way_from_nothing_to_running(site: Site, calls: str, stride: int) -> None:
    """`stride`: the short form kills at one of so many calls."""
    configure(site, "one")
    site.install()
    new = site.files()
    for number in range(1, MOST, stride):
        site.run("uninstall", "--all", "--purge", "--yes")
        old = site.files()
        finished = not killed_at(site, calls, number, "--now")
        assert_each_file_is_whole(site.files(), old, new)
        site.install()
        assert site.files() == new
        assert site.get("/alpha/health") == (200, "ok")
        if finished:
            return
    pytest.fail(f"still killed at call {MOST}")
