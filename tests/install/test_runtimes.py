"""Flask, Express, Go, PHP and a static site run with the YAML of docs/runtimes.md, all five at
once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from machine import Machine

from . import runtimes, test_more_runtimes
from .conftest import Site, emptying
from .runtimes import Program, curl, unit

Figure = Callable[[str], None]

FLASK = Program(name="flask", title="Flask", app="flask", lay=(runtimes.python,), says="flask")
EXPRESS = Program(name="express", title="Express", app="express", lay=(runtimes.express,), says="express in production")
GO = Program(name="go", title="Go", app="go", says="go")
PHP = Program(name="php", title="PHP", app="php", says="php")
STATIC = Program(name="site", title="A static site", app="static", says="static")
FIVE = (FLASK, EXPRESS, GO, PHP, STATIC)


def test_every_worker_of_the_page_is_tried() -> None:
    tried = [*FIVE, *test_more_runtimes.ALL]
    assert sorted(runtimes.titles()) == sorted(program.title for program in tried)


@pytest.fixture(scope="module")
def up(machine: Machine) -> Iterator[Site]:
    """All of them, started together."""
    with emptying(machine):
        site = Site(machine)
        site.server("mode: production\n")
        for program in FIVE:
            runtimes.lay(site, program)
        site.install()
        yield site


@pytest.mark.short("flask", "go")
@pytest.mark.parametrize("program", FIVE[:4], ids=lambda program: program.name)
def test_it_serves_and_finishes_what_it_has_begun(up: Site, program: Program, figure: Figure) -> None:
    assert curl(up.machine, f"/{program.name}/") == program.says
    figure(runtimes.measured(up, program))
    runtimes.stops_gracefully(up.machine, program)


def test_what_python_prints_is_in_the_journal_at_once(up: Site) -> None:
    up.machine.systemctl("restart", unit(FLASK))
    curl(up.machine, "/flask/")
    up.machine.wait_for_log(unit(FLASK), "asked")


def test_a_static_site_is_served_without_a_process(up: Site) -> None:
    assert "static" in curl(up.machine, "/site/")
    assert not up.machine.exists(up.drop_in(STATIC.name))


def test_a_session_of_php_outlives_a_restart(up: Site) -> None:
    since = up.machine.cursor()
    up.machine.systemctl("start", unit(PHP))
    cookies = ("-b", "/tmp/cookies", "-c", "/tmp/cookies")
    assert [curl(up.machine, "/php/count", *cookies) for _ in range(2)] == ["request 1", "request 2"]
    up.machine.systemctl("restart", unit(PHP))
    assert curl(up.machine, "/php/count", *cookies) == "request 3"
    said = up.machine.journal(unit(PHP), since)
    assert ("Warning" in said, "mprotect" in said) == (False, False), said


def test_the_journal_has_the_errors_of_php_and_no_line_for_each_request(up: Site) -> None:
    since = up.machine.cursor()
    up.machine.systemctl("start", unit(PHP))
    assert "went on" in curl(up.machine, "/php/mistake")
    assert "PHP Warning:  a mistake in" in up.machine.wait_for_log(unit(PHP), "a mistake")
    assert "/mistake" not in up.machine.journal(unit(PHP), since)
