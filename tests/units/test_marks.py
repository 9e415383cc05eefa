"""A refusal has the place of its cause: the item of a list, else the setting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from config import parsing
from tqunits.host.requested_files import look
from tqunits.model import NotRoots, Worker
from tqunits.units import circles, contests, dependencies, grants
from tqunits.units.contests import InstalledRoutes

from .cases import server

HEAD = "type: exec\ncommand: [bin/api]\n"
PATH = "path: /api\n"
BOBS = NotRoots(PurePosixPath("/srv/tqunits/workers/api"), "belongs to uid 1001 (bob)")


def written(yaml: str, name: str = "api") -> Worker:
    result = parsing.workers({name: HEAD + yaml})
    assert result.configuration is not None
    return replace(result.configuration.workers[0], not_roots=BOBS)


# the text after HEAD, and the place of the refusal
NOT_GRANTED = {
    "path: [/api, /cart, /shop]\n": ["3:14", "3:21"],
    "path: /cart\n": ["3:1"],
    "path:\n- /api\n- /cart/\n": ["5:3"],
    f"{PATH}host: [a.example, 'b.example']\n": ["4:8", "4:19"],
    f"{PATH}port: 9000\n": ["4:1"],
    f"{PATH}credentials: {{own: own/key, other: /etc/x}}\n": ["4:36"],
    f"{PATH}environment_file: [.env, /etc/x]\n": ["4:26"],
    f"{PATH}depends: {{after: [postgresql.service, redis.service]}}\n": ["4:19", "4:39"],
    f"{PATH}unit:\n  Unit: {{Wants: a.service b.service}}\n  Service: {{Nice: 5, LogLevelMax: notice}}\n": [
        "5:17",
        "5:17",
        "6:19",
        "6:35",
    ],
    f"{PATH}unit:\n  Unit:\n    After: [a.service, b.service]\n": ["6:13", "6:24"],
    f"{PATH}sandbox: [standard, netlink, home]\n": ["4:30"],
    f"{PATH}sandbox: {{profile: legacy, relax: [devices]}}\n": ["4:20", "4:36"],
    f"{PATH}sandbox: legacy\n": ["4:1"],
    f"{PATH}limits: {{tasks_max: 1000000}}\n": ["4:10"],
}


@pytest.mark.parametrize(("yaml", "places"), NOT_GRANTED.items(), ids=[y.replace("\n", " ") for y in NOT_GRANTED])
def test_what_takes_a_grant(yaml: str, places: list[str]) -> None:
    found = grants.refusals(written(yaml), server(), PurePosixPath("/etc/tqunits/tqunits.yaml"))
    assert [str(each.mark) for each in found] == [f"api.yaml:{place}" for place in places]


def test_a_unit_by_another_name() -> None:
    worker = written(f"{PATH}depends: {{requires: [redis.service, alias.service]}}\n")
    (found,) = dependencies.refusals(worker, {"alias.service": "systemd-suspend.service"})
    assert str(found.mark) == "api.yaml:4:37"


def test_a_route_of_anothers() -> None:
    worker = written("path: [/api, /cart]\n")
    installed = InstalledRoutes({"other": contests.routes_of((), ("/cart",))})
    (found,) = contests.refusals([worker], installed, left_alone={"other"}, gone=())
    assert str(found.mark) == "api.yaml:3:14"


def test_a_route_of_an_equals_says_where_that_one_is_written() -> None:
    api, web = written("path: [/api, /cart]\n"), written("path: [/web, /cart]\n", "web")
    found = contests.refusals([api, web], InstalledRoutes({}), left_alone=(), gone=())
    assert [str(each.mark) for each in found] == ["api.yaml:3:14", "web.yaml:3:14"]
    assert [each.hint for each in found] == ["it is in web.yaml:3:14", "it is in api.yaml:3:14"]


def test_a_part_of_a_circle() -> None:
    api = written(f"{PATH}depends: {{after: [a.service], requires: [b.service, tq-worker@web.service]}}\n")
    web = written("path: /web\nunit: {Unit: {After: a.service, Before: tq-worker@api.service}}\n", "web")
    web = replace(web, depends=replace(web.depends, after=("tq-worker@api.service",)))
    found = list(circles.refusals([api, web]))
    assert [str(each.mark) for each in found] == ["api.yaml:4:53", "web.yaml:4:41"]


def test_a_file_that_is_not_there() -> None:
    worker = replace(written(f"{PATH}credentials: {{a: /usr/bin/env, b: /nowhere/b}}\n"), not_roots=None)
    found = look(worker, user_mode=False).findings
    assert [str(finding.mark) for finding in found] == ["api.yaml:4:35"]


def test_a_dependency_on_itself() -> None:
    found = parsing.api(f"{HEAD}{PATH}depends: {{after: [a.service, tq-worker@api.service]}}\n").diagnostics
    assert [str(finding.mark) for finding in found] == ["api.yaml:4:30"]
