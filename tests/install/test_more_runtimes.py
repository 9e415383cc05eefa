"""More programs of other projects run with the YAML of docs/runtimes.md. `make test-real` installs
them and runs these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import runtimes
from .conftest import Site
from .runtimes import Program, curl, unit
from .test_ports import served_on_a_socket

pytestmark = pytest.mark.real

Figure = Callable[[str], None]

REDIS = Program(name="counter", title="Flask with Redis", app="counter", lay=(runtimes.more_python,))
JAVA = Program(name="java", title="Java", app="java", says="java")
DENO = Program(name="deno", title="Deno", app="deno", lay=(runtimes.deno,), says="deno")
BUN = Program(name="bun", title="Bun", app="bun", lay=(runtimes.bun,), says="bun")
NODE = Program(name="express", title="Express", app="express", lay=(runtimes.express,))
PROGRAMS = (
    Program(name="flask-unix", title="Flask on a Unix socket", app="flask", lay=(runtimes.python,), says="flask"),
    Program(name="django", title="Django", app="django", lay=(runtimes.more_python,), says="django /django/slow"),
    Program(name="fastapi", title="FastAPI", app="fastapi", lay=(runtimes.more_python,), says="fastapi"),
    JAVA,
    DENO,
    BUN,
    Program(name="ruby", title="Ruby", app="ruby", says="ruby in production"),
)
PROMETHEUS = Program(name="prometheus", title="Prometheus")
RADICALE = Program(name="radicale", title="Radicale", app="radicale")
ALL = (*PROGRAMS, REDIS, PROMETHEUS, RADICALE)

QUERY = "POST /prometheus/api/v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded"
ALICE = ("-H", "Host: calendar.example", "-u", "alice:secret")
PUT = (
    "PUT /alice/dates/one.ics HTTP/1.1\r\nHost: calendar.example\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n"
    "Content-Type: text/calendar"
)
EVENT = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:one
DTSTAMP:20260101T000000Z
DTSTART:20260101T100000Z
SUMMARY:A date
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_it_serves_and_finishes_what_it_has_begun(site: Site, program: Program, figure: Figure) -> None:
    runtimes.lay(site, program)
    site.install()
    assert curl(site.machine, f"/{program.name}/") == program.says
    figure(runtimes.measured(site, program))
    runtimes.stops_gracefully(site.machine, program)


def test_flask_counts_in_redis_which_comes_up_with_it(site: Site, figure: Figure) -> None:
    runtimes.lay(site, REDIS)
    site.install()
    assert site.machine.show("redis-server.service", "ActiveState") == "active"
    assert [curl(site.machine, "/counter/") for _ in range(2)] == ["request 1", "request 2"]
    figure(runtimes.measured(site, REDIS))
    runtimes.stops_gracefully(site.machine, REDIS)
    site.machine.systemctl("stop", "redis-server.service")


def test_prometheus_answers_a_query_below_its_route(site: Site, figure: Figure) -> None:
    runtimes.lay(site, PROMETHEUS)
    site.install()
    assert "Prometheus" in curl(site.machine, "/prometheus/", "-L")
    figure(runtimes.measured(site, PROMETHEUS))
    answer = runtimes.stops_amid_a_body(site, PROMETHEUS, QUERY, "query=vector(14)")
    assert answer.startswith("HTTP/1.1 200 ")
    assert '"14"' in answer


def test_radicale_keeps_a_calendar(site: Site, figure: Figure) -> None:
    runtimes.lay(site, RADICALE)
    site.install()
    curl(site.machine, "/alice/dates/", "-X", "MKCALENDAR", *ALICE)
    figure(runtimes.measured(site, RADICALE))
    assert runtimes.stops_amid_a_body(site, RADICALE, PUT, EVENT).startswith("HTTP/1.1 201 ")
    site.machine.systemctl("start", unit(RADICALE))
    assert "SUMMARY:A date" in curl(site.machine, "/alice/dates/one.ics", *ALICE)


def test_a_jit_in_the_standard_sandbox_is_told_of_with_the_line_to_write(site: Site) -> None:
    jits = (JAVA, DENO, NODE)
    for program in jits:
        runtimes.lay(site, program)
        written = "sandbox: standard\ntimeouts: {start: 20s}\nrestart: {policy: no}\n"
        site.yaml(program.name, runtimes.yaml_of(program.title) + written)
    site.install(status=1)
    said = {program.name: site.run("why", program.name, status=1) for program in jits}
    assert [name for name, text in said.items() if "`sandbox: jit`" not in text] == [], said


def test_bun_goes_without_its_jit_in_the_standard_sandbox(site: Site) -> None:
    runtimes.lay(site, BUN)
    site.yaml(BUN.name, f"{runtimes.yaml_of(BUN.title)}sandbox: standard\n")
    site.install()
    assert curl(site.machine, "/bun/") == BUN.says


def test_what_init_writes_for_ruby_listens_where_nobody_else_can(site: Site) -> None:
    served_on_a_socket(site, "ruby")
