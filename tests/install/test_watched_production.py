"""A worker that is watched in production, on a booted systemd: a change on disk is a release, and
what somebody has done by hand stays until the next change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .changing import await_watch, change, history, mark, until
from .conftest import ROOT, Site, with_manager
from .hammering import check, hammered, rude
from .test_backoff import wait
from .test_changes import answer_with
from .test_deploys import running
from .test_development import answers


@pytest.fixture
def watched_host(host: Site) -> Iterator[Site]:
    """A host in production whose workers are watched."""
    yield from with_manager(host, "mode: production\ndefaults: {watch: {enabled: true}}\n")


def test_an_edit_is_a_release_and_a_rollback_stays(watched_host: Site) -> None:
    site = watched_host
    rude(site)
    site.run("deploy", "alpha")
    await_watch(site)
    first = running(site)
    with hammered(site, 20) as report:
        change(site, answer_with("a"))
        until(site, 2)
        assert answers(site) == "a"
        second = running(site)
        change(site, "cp src/main.py src/main.new; mv src/main.new src/main.py; touch src/main.py")
        site.run("rollback", "alpha")
        assert (answers(site), running(site)) == (".", first)
        marked = mark(site, "1")
        assert answers(site) == "a"
    check(site, report)
    assert [(each["kind"], each["outcome"]) for each in marked] == [
        ("deploy", "done"),
        ("rollback", "done"),
        ("deploy", "done"),
        ("deploy", "done"),
    ]
    assert marked[2]["actor"] == "tqunits"
    assert marked[2]["release"] == second != first
    assert running(site) == marked[0]["release"] not in {first, second}


def test_a_worker_without_a_release_gets_one_by_its_first_change(watched_host: Site) -> None:
    site = watched_host
    rude(site)
    await_watch(site)
    assert history(site) == []
    with hammered(site, 20) as report:
        change(site, answer_with("a"))
        (deploy,) = until(site, 1)
    check(site, report)
    assert answers(site) == "a"
    assert running(site) == deploy["release"]


def test_files_alone_are_deployed_too(watched_host: Site) -> None:
    site = watched_host
    site.yaml("alpha", "path: /alpha\ntype: static\n")
    page = f"{ROOT}/workers/alpha/public/page.txt"
    site.machine.write(page, "first")
    site.install()
    site.run("deploy", "alpha")
    await_watch(site)
    site.machine.write(page, "second")
    wait(site, lambda: site.get("/alpha/page.txt") == (200, "second"))
    change(site, "touch public/page.txt")
    marked = mark(site, "1")
    assert [each["outcome"] for each in marked] == ["done"] * 3
    assert marked[1]["message"] == "public/page.txt has changed"
