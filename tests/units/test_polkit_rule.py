"""The rule for polkit: whose operators stand in it, and that it stands while its units do. What it
allows is tried on a booted systemd (tests/install/test_privilege.py)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.model import ANYBODY, Grant, NotRoots
from tqunits.units import polkit_rule
from tqunits.units.polkit_rule import FILE, operators_of, with_operators, without_operators
from units.cases import CASES, case, worker

RULE = 'first\nvar operators = {"api": ["alice"], "shop": ["%ops", "bob"]};\nlast\n'
EMPTY = "first\nvar operators = {};\nlast\n"


def operators(rule: str) -> object:
    return json.loads(next(line for line in rule.splitlines() if line.startswith("var operators = "))[16:-1])


def rule_of(grants: dict[str, Grant], *names: str) -> str:
    one = case(*(worker(name) for name in names))
    server = replace(one.configuration.server, grants=grants)
    files = replace(one, configuration=replace(one.configuration, server=server)).files()
    return next(file.content for file in files if file.path.name == FILE)


def test_the_operators_are_those_that_root_has_granted() -> None:
    ops, anybody = Grant(operators=("alice", "%ops")), Grant(operators=("bob",))
    assert operators(rule_of({"api": ops}, "api", "shop")) == {"api": ["alice", "%ops"]}
    assert operators(rule_of({"api": ops, ANYBODY: anybody}, "api", "shop")) == {
        "api": ["alice", "%ops"],
        "shop": ["bob"],
    }
    assert operators(rule_of({"gone": ops}, "api")) == {}


def test_no_grant_counts_where_others_may_make_folders_of_workers() -> None:
    server = case(worker("api")).configuration.server
    barred = replace(server.workers, not_roots=NotRoots(PurePosixPath("/srv"), "alice"))
    server = replace(server, grants={"api": Grant(operators=("alice",))}, workers=barred)
    assert operators_of([worker("api")], server) == {}


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], {}),
        (["api"], {"api": ["alice"]}),
        (["api", "shop", "other"], {"api": ["alice"], "shop": ["%ops", "bob"]}),
    ],
)
def test_a_worker_that_stays_as_it_is_installed_keeps_its_operators(
    workers: list[str], expected: dict[str, list[str]]
) -> None:
    kept = with_operators(EMPTY, RULE, workers)
    assert operators(kept) == expected
    assert (kept.startswith("first\n"), kept.endswith("\nlast\n")) == (True, True)


def test_what_is_configured_now_counts() -> None:
    assert operators(with_operators('var operators = {"api": ["eve"]};\n', RULE, ["api"])) == {"api": ["eve"]}


@pytest.mark.parametrize(
    ("workers", "expected"), [(["api"], {"shop": ["%ops", "bob"]}), (["api", "shop"], {}), (["x"], None)]
)
def test_a_worker_that_is_removed_has_no_operators(workers: list[str], expected: object) -> None:
    left = without_operators(RULE, workers)
    if expected is None:
        assert left == RULE
    else:
        assert operators(left) == expected


@pytest.mark.parametrize("before", ["", "var operators = {nonsense};\n", 'var operators = {"api": 7};\n'])
def test_a_rule_that_says_nothing_of_operators_has_none(before: str) -> None:
    assert operators(with_operators(EMPTY, before, ["api"])) == {}


def test_the_rule_is_ecmascript_5() -> None:
    """Duktape skips a file with anything newer; the words that people write without noticing."""
    rule = next(file.content for file in CASES["options"].files() if file.path.name == FILE)
    for newer in ("let ", "const ", "=>", "`", " of ", ".includes(", ".startsWith("):
        assert newer not in rule.partition("\n\n")[2], newer


def test_every_name_of_the_rule_has_its_unit_file_among_those_that_are_written() -> None:
    written = {file.path.name for file in CASES["options"].files()}
    assert written >= set(polkit_rule.FRAGMENTS)
    rule = next(file.content for file in CASES["options"].files() if file.path.name == FILE)
    named = set(re.findall(r"[/^(|](tq-[a-z]+)", rule))
    assert named == {fragment.partition("@")[0].removesuffix(".service") for fragment in polkit_rule.FRAGMENTS}


@pytest.mark.parametrize(
    ("unit", "is_allowed"),
    [
        ("tq-apply.service", True),
        ("tq-apply@api.service", True),
        ("tq-apply@api:2.service", False),
        ("tq-apply@.service", False),
        ("tq-apply@API.service", False),
        ("tq-apply@--all.service", False),
        ("tq-apply@api.timer", False),
        ("tq-apply@api.service.d.service", False),
        ("tq-apply.service\n", False),
        ("x-tq-apply.service", False),
    ],
)
def test_what_is_applied_is_named_whole(unit: str, is_allowed: bool) -> None:  # noqa: FBT001
    pattern = str(polkit_rule.values({})["apply"])
    assert (re.search(pattern.replace("$", "\\Z"), unit) is not None) is is_allowed  # "$" of JavaScript is "\\Z"


@pytest.mark.parametrize(
    ("unit", "is_allowed"),
    [
        ("tq-release@api.service", True),
        ("tq-release@a-b_1.service", True),
        ("tq-release@api:2.service", False),
        ("tq-release@.service", False),
        ("tq-release@API.service", False),
        ("tq-release@api.fetch.service", False),
        ("tq-release@api.timer", False),
        ("tq-release@api.service\n", False),
        ("x-tq-release@api.service", False),
        ("tq-release.service", False),
    ],
)
def test_a_release_command_is_named_whole(unit: str, is_allowed: bool) -> None:  # noqa: FBT001
    found = polkit_rule.values({})
    pattern = str(found["release"]).replace("$", "\\Z")
    assert (re.search(pattern, unit) is not None) is is_allowed
    others = (str(found[key]).replace("$", "\\Z") for key in ("worker", "build", "apply"))
    assert not any(re.search(other, unit) for other in others)


def test_verbs_are_those_that_a_daemon_needs() -> None:
    assert polkit_rule.APPLY_VERBS == ("start",)
    assert set(polkit_rule.MANAGER_VERBS) == {"start", "stop", "restart", "reset-failed"}
    assert polkit_rule.RELEASE_VERBS == ("start", "reset-failed")
    assert set(polkit_rule.OPERATOR_VERBS) == {"start", "stop", "restart"}
