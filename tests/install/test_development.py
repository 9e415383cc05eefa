"""Development mode on a booted systemd: a worker runs from its folder, and a deploy replaces its
instances with what lies there, without a release and without a failed request."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import ROOT, Site
from .hammering import RUDE, RUDE_GO, check, hammered, rude, rude_in_go
from .killed_manager import cut_off
from .test_backoff import wait
from .test_deploys import BROKEN, RELEASES, change, history, running

ALPHA = f"{ROOT}/workers/alpha"
BY_HAND = "mode: development\ndefaults: {watch: {enabled: false}}\n"
"""Development mode where nothing is deployed by itself."""


@pytest.fixture
def by_hand(developing: Site) -> Site:
    """A host in development mode where nothing is deployed by itself."""
    developing.server(BY_HAND)
    return developing


def in_python(site: Site, word: str) -> None:
    """The program, whose answers are filled with this letter."""
    change(site, RUDE.replace('FILL = b"."', f'FILL = b"{word}"'))


def in_go(site: Site, word: str) -> None:
    """The same in Go."""
    site.machine.write(f"{ALPHA}/src/main.go", RUDE_GO.replace('Repeat(".",', f'Repeat("{word}",'))


LANGUAGES: dict[str, tuple[Callable[[Site], None], Callable[[Site, str], None]]] = {
    "python": (rude, in_python),
    "go": (rude_in_go, in_go),
}
"""How the worker is installed, and how its answers are changed."""


def answers(site: Site) -> str:
    """The letter that an answer is filled with."""
    status, body = site.get("/alpha/?id=7")
    assert status == 200
    return str(body).removesuffix(".end")[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_deploy_runs_the_folder_as_it_is(by_hand: Site, language: str) -> None:
    site, (install, edit) = by_hand, LANGUAGES[language]
    install(site)
    with hammered(site, 20) as report:
        for word in "ab":
            edit(site, word)
            assert "alpha runs its folder as it is now, after " in site.run("deploy", "alpha")
            assert answers(site) == word
        again = site.run("deploy", "alpha")
    check(site, report)
    assert "alpha: its folder is taken as it is" in again
    assert {(each["outcome"], each["release"], each["was_stable"]) for each in history(site)} == {("done", None, False)}
    assert not site.machine.exists(f"{RELEASES}/runs")
    assert "RELEASE" not in site.run("ls")
    assert "in development mode: there is no release to go to" in site.run("rollback", "alpha", status=1)


def test_a_build_that_fails_changes_nothing(by_hand: Site) -> None:
    site = by_hand
    rude_in_go(site)
    in_go(site, "a")
    assert "alpha is built in its folder; 'tqunits deploy alpha' runs it" in site.run("build", "alpha")
    assert answers(site) == "."
    assert "nothing has changed: alpha has its folder as it is" in site.run("build", "alpha")
    before = site.machine.run(["sha256sum", f"{ALPHA}/bin/alpha"]).stdout
    site.machine.write(f"{ALPHA}/src/main.go", "package main\n\nnonsense\n")
    with hammered(site, 20) as report:
        assert "syntax error" in site.run("deploy", "alpha", status=1)
    check(site, report)
    assert site.machine.run(["sha256sum", f"{ALPHA}/bin/alpha"]).stdout == before
    assert answers(site) == "."
    assert "its build exited with status " in site.run("why", "alpha")
    assert history(site)[0]["outcome"] == "failed"
    in_go(site, "a")
    site.run("deploy", "alpha")
    assert answers(site) == "a"


def test_a_program_that_dies_at_its_start_leaves_the_old_one(by_hand: Site) -> None:
    site = by_hand
    rude(site)
    with hammered(site, 20) as report:
        change(site, BROKEN)
        assert "nothing works today" in site.run("deploy", "alpha", status=1)
    check(site, report)
    assert answers(site) == "."
    assert "the last deploy (number 1) failed at " in site.run("why", "alpha")
    assert "failed" in site.run("history", "alpha")


@pytest.mark.short("take", "restart")  # test_lost_changes.py has two more
@pytest.mark.parametrize("step", ["build", "take", "surge", "drain", "restart", "healthy"])
def test_the_next_manager_goes_on(by_hand: Site, step: str) -> None:
    site = by_hand
    site.yaml("alpha", "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\nbuild: [touch, built]\n")
    change(site, RUDE)
    site.install()
    site.run("deploy", "alpha")
    in_python(site, "a")
    cut_off(site, step, "deploy")
    wait(site, lambda: history(site)[0]["outcome"] == "done")
    assert answers(site) == "a"
    assert site.machine.show("tq-worker@alpha:2.service", "ActiveState") == "inactive"


def test_a_release_is_run_in_production_alone(by_hand: Site) -> None:
    site = by_hand
    site.server("mode: production\n")
    rude(site)
    in_python(site, "a")
    site.run("deploy", "alpha")
    release = running(site)
    site.server(BY_HAND)
    in_python(site, "b")
    site.install()
    assert answers(site) == "b"
    in_python(site, "c")
    site.run("deploy", "alpha")
    assert answers(site) == "c"
    shown = site.run("show", "alpha")
    assert f"release {release}" not in shown
    site.server("mode: production\n")
    assert f"alpha runs release {release} again" in site.install()
    assert (answers(site), running(site)) == ("a", release), "it was deployed last, and 'c' never"
    site.run("deploy", "alpha")
    assert answers(site) == "c"
    site.run("rollback", "alpha")
    assert answers(site) == "a"


def test_its_release_command_runs_in_the_folder_before_anything_is_replaced(by_hand: Site) -> None:
    site = by_hand
    site.machine.write(f"{ALPHA}/migrate", '#!/bin/sh\necho "$(id -un) $PWD" >> "$STATE_DIRECTORY/ran"\n', 0o755)
    rude(site, "release: {command: [./migrate]}\n")
    site.run("deploy", "alpha")
    assert site.machine.read("/var/lib/tqunits/workers/alpha/ran") == f"worker-alpha {ALPHA}\n"
    kinds = [step["what"] for step in history(site)[0]["steps"]]
    assert kinds[:3] == ["take", "release_command", "surge"]


def test_files_alone_are_served_where_they_lie(by_hand: Site) -> None:
    site = by_hand
    page = f"{ALPHA}/public/page.txt"
    site.yaml("alpha", "path: /alpha\ntype: static\n")
    site.machine.write(page, "first")
    site.server("mode: production\n")
    site.install()
    site.run("deploy", "alpha")
    site.machine.write(page, "second")
    assert site.get("/alpha/page.txt") == (200, "first")
    site.server(BY_HAND)
    site.install()
    assert site.get("/alpha/page.txt") == (200, "second")
    said = site.run("deploy", "alpha")
    assert "its files are served where they lie" in said
    assert "nothing has changed: alpha has its folder as it is" in said
    site.run("rollback", "alpha", status=1)
    site.server("mode: production\n")
    assert " again; 'tqunits deploy alpha' makes one of its folder" in site.install()
    assert site.get("/alpha/page.txt") == (200, "first"), "as they were deployed last"
