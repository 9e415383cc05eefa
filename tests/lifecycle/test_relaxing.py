"""Hints for a program that its sandbox restricts: which relaxation is missing, and the line to
write.

kept.txt has output of programs, as recorded in a worker with that sandbox on Debian 12 (systemd
252) and 13 (257), and from npm. For .NET and sudo it has the output that they are known to have.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import monotonic

import pytest
from test_causes import BASE

from tqunits.config import nodes
from tqunits.config.nodes import MapNode
from tqunits.config.parsers import sandbox as parsed
from tqunits.lifecycle import outcome, relaxing
from tqunits.lifecycle.causes import Judgement, judge
from tqunits.lifecycle.facts import Access, Facts, Look, UnitEnd
from tqunits.lifecycle.reason import Cause
from tqunits.lifecycle.state import State
from tqunits.model import Profile, Relaxation, Sandbox
from tqunits.units import grants, sandbox

KEPT = (Path(__file__).parent / "kept.txt").read_text(encoding="utf-8").replace("\\x1b", "\x1b").split("=== ")[1:]
"""Blocks of `RUNTIME, WHAT | SANDBOX | RELAXATION, or nothing | THE VALUE TO WRITE`, and the
output."""

EXITED = UnitEnd(result="exit-code", code="exited", status=1, gate=outcome.EXITED, program="/usr/bin/python3")
SURVIVED = ("taskset: failed to set pid 547's affinity: Operation not permitted",)
WRITTEN = re.compile(r"`sandbox: (.*?)`(?= in its worker.yaml|$|; then)")


def of_words(text: str) -> Sandbox:
    """The text `strict proc` as a sandbox."""
    profile, *relaxations = text.split()
    return Sandbox(profile=Profile(profile), relaxations=tuple(map(Relaxation, relaxations)))


def facts_of(own: Sandbox, *lines: str, end: UnitEnd = EXITED, user_mode: bool = False) -> Facts:
    missing = sandbox.missing(own, user_mode=user_mode)
    return replace(BASE, end=end, lines=lines, sandbox=own, missing=missing)


def values(found: Judgement) -> list[str]:
    """The values of `sandbox` in the hint."""
    return [match for line in found.advice for match in WRITTEN.findall(line)]


@pytest.mark.parametrize("block", KEPT, ids=lambda block: block.partition(" |")[0])
def test_what_is_missing_is_told_with_the_whole_value_to_write(block: str) -> None:
    first, *said = block.rstrip().split("\n")
    _, own, what, value = (field.strip() for field in first.split("|"))
    found = judge(facts_of(of_words(own), *said))
    assert found.cause is Cause.SANDBOX, found
    if what == "read-only":
        assert (found.sandbox, values(found)) == (what, []), found
        assert "$STATE_DIRECTORY" in found.advice[0]
    elif what == "nothing":
        assert (found.sandbox, values(found)) == ("not-permitted", []), found
        assert "nothing in `sandbox` does" in found.sentence
        assert found.advice
        assert all(found.advice)
    else:
        assert found.sandbox == ("read-only" if what == "writable-code" else what), found
        assert values(found) == [value], found.advice
        assert any("tqunits install --now shop" in line for line in found.advice)


@pytest.mark.parametrize("block", KEPT, ids=lambda block: block.partition(" |")[0])
def test_what_it_has_is_not_told_again(block: str) -> None:
    first, *said = block.rstrip().split("\n")
    _, own, what, value = (field.strip() for field in first.split("|"))
    if what in {"nothing", "read-only"}:
        more = Sandbox(profile=Profile.LEGACY, relaxations=tuple(Relaxation))
    else:
        more = relaxing.with_one_more(of_words(own), Relaxation(what))
        assert relaxing.written(more) == f"sandbox: {value}"
    found = judge(facts_of(more, *said))
    assert found.sandbox in {"", "not-permitted", "read-only", "hidden"}
    told = [sandbox.missing(read(f"sandbox: {value}"), user_mode=False) for value in values(found)]
    assert all(left < sandbox.missing(more, user_mode=False) for left in told), found.advice


@pytest.mark.parametrize("profile", Profile)
def test_the_value_is_what_worker_yaml_takes_and_gives_what_is_missing(profile: Profile) -> None:
    for had, more in product([(), *((each,) for each in Relaxation)], Relaxation):
        own = Sandbox(profile=profile, relaxations=had)
        there = read(relaxing.written(relaxing.with_one_more(own, more)))
        assert more not in sandbox.missing(there, user_mode=False)
        assert sandbox.missing(there, user_mode=False) <= sandbox.missing(own, user_mode=False)


def read(line: str) -> Sandbox:
    """The sandbox of a worker.yaml with that line."""
    node = nodes.read(line.encode(), "worker.yaml").root
    assert isinstance(node, MapNode)
    ((_, value),) = node.entries
    profile, relaxations = parsed(value)
    assert profile is not None
    return Sandbox(profile=profile, relaxations=relaxations)


def test_a_worker_that_is_not_roots_is_told_the_grant() -> None:
    said = ("nice: cannot set niceness: Operation not permitted",)
    own = facts_of(of_words("strict devices proc"), *said)
    request = replace(own, by_grant=grants.SANDBOXES)
    assert not any("grant" in line for line in judge(own).advice)
    assert "`grants: {shop: {sandbox: [devices, resources]}}`" in judge(request).advice[-1]
    free = replace(request, lines=("OSError: [Errno -3] Temporary failure in name resolution",))
    assert values(judge(free)) == ["{profile: strict, relax: [devices, proc, outbound]}"]
    assert not any("grant" in line for line in judge(free).advice)


def test_no_folder_is_told_of_that_a_worker_is_not_given() -> None:
    said = "OSError: [Errno 30] Read-only file system: '/srv/shop/{}'"
    told = {
        path: judge(facts_of(of_words("strict"), said.format(path))).advice[1:]
        for path in ("x", "src/a/x", "config/x", ".git/x")
    }
    assert [len(advice) for advice in told.values()] == [1, 2, 0, 0]
    assert "`writable: [data]`" in told["x"][0]
    assert "`writable: [src/a]`" in told["src/a/x"][0]
    request = replace(facts_of(of_words("strict"), said.format("src/x")), by_grant=grants.SANDBOXES)
    assert len(judge(request).advice) == 1


def test_of_a_users_own_manager_no_relaxation_is_told_that_does_nothing_there() -> None:
    late = facts_of(of_words("strict"), "connect: Connection timed out", user_mode=True)
    assert values(judge(late)) == []
    nice = facts_of(of_words("strict"), "nice: cannot set niceness: Operation not permitted", user_mode=True)
    assert values(judge(nice)) == ["{profile: strict, relax: [resources]}"]


@pytest.mark.parametrize(
    ("program", "signal", "values_told"),
    [
        ("/usr/bin/node", 5, ["{profile: jit, relax: [home]}"]),
        ("/srv/shop/bin/own", 5, ["{profile: jit, relax: [home]}"]),
        ("/usr/local/bin/bun", 4, ["{profile: jit, relax: [home]}"]),
        ("/usr/bin/java", 11, ["{profile: jit, relax: [home]}"]),
        ("/usr/bin/java", 6, ["{profile: jit, relax: [home]}"]),
        ("/usr/bin/php8.2", 11, ["{profile: jit, relax: [home]}"]),
        ("/usr/bin/luajit-2.1.0", 11, ["{profile: jit, relax: [home]}"]),
        ("/srv/shop/bin/own", 11, []),
        ("/usr/bin/python3", 6, []),
    ],
)
def test_a_compiler_that_dies_without_a_word_is_told_by_its_program_and_signal(
    program: str, signal: int, values_told: list[str]
) -> None:
    end = UnitEnd(result="signal", code="killed", status=signal, program=program)
    found = judge(facts_of(of_words("standard home"), end=end))
    assert values(found) == values_told
    assert values(judge(facts_of(of_words("jit home"), end=end))) == []


@pytest.mark.parametrize("gate", [outcome.UNHEALTHY, outcome.SLOW, outcome.SILENT])
def test_a_program_that_goes_on_is_told_the_same_beside(gate: int) -> None:
    end = UnitEnd(result="exit-code", code="killed", status=15, gate=gate)
    trace = ("Traceback (most recent call last):", '  File "/srv/shop/a.py", line 2, in f', "    os.nice(5)")
    error = "PermissionError: [Errno 1] Operation not permitted"
    found = judge(facts_of(of_words("strict proc"), *trace, error, "serving", end=end))
    assert values(found) == ["{profile: strict, relax: [proc, resources]}"], found
    assert (found.sandbox, found.is_wrong) == ("resources", True)
    assert found.error is not None
    quiet = judge(facts_of(of_words("strict proc"), "serving", end=end))
    assert quiet.sandbox == ""


def test_a_program_that_runs_and_answers_badly_is_told_the_same() -> None:
    facts = replace(
        facts_of(of_words("strict")), state=State.HEALTHY, end=None, answer="500 Internal Server Error: oops"
    )
    lines = ("GET / 200", "socket.gaierror: [Errno -3] Temporary failure in name resolution")
    found = judge(replace(facts, lines=lines))
    assert (found.cause, found.sandbox) == (Cause.HEALTH, "outbound")
    assert values(found) == ["{profile: strict, relax: [outbound]}"]


def test_who_waits_for_another_host_without_a_word_is_told_what_that_may_be() -> None:
    end = UnitEnd(result="exit-code", code="killed", status=15, gate=outcome.SILENT)
    strict, standard = (judge(facts_of(of_words(own), end=end)) for own in ("strict", "standard"))
    assert (strict.cause, strict.sandbox) == (Cause.TIMEOUT, "")
    assert values(strict) == ["{profile: strict, relax: [outbound]}"]
    assert values(standard) == []


@pytest.mark.parametrize(
    "said",
    [
        (*SURVIVED, "Traceback (most recent call last):", '  File "/srv/shop/a.py", line 4, in f', "ValueError: no"),
        (*SURVIVED, "Error: connect ECONNREFUSED 127.0.0.1:5432", "    at f (/srv/shop/a.js:1:2)"),
        ("connect to 127.0.0.1:5432: Connection timed out",),
        ("mysql: [Errno 97] Address family not supported by protocol",),
        ("open /proc/nothing: permission denied",),
    ],
)
def test_what_is_not_of_the_sandbox_or_was_survived_is_not_blamed_on_it(said: tuple[str, ...]) -> None:
    found = judge(facts_of(of_words("strict"), *said))
    assert found.cause is not Cause.SANDBOX, found
    assert values(found) == []


def test_words_that_do_not_say_what_it_wanted_get_each_part_that_it_may_be() -> None:
    found = judge(facts_of(of_words("strict resources"), "2026/11/27 18:06:37 operation not permitted"))
    assert values(found) == [
        "{profile: strict, relax: [resources, write-execute]}",
        "{profile: strict, relax: [resources, outbound]}",
    ]


@pytest.mark.parametrize(
    ("own", "looked", "value"),
    [
        ("standard", Look("/home/bob/x", Access.HIDDEN, "/home", True), ["{profile: standard, relax: [home]}"]),
        ("standard", Look("/root/x", Access.HIDDEN, "/root"), []),
        ("strict proc", Look("/dev/kvm", Access.HIDDEN, "/dev"), ["{profile: strict, relax: [proc, devices]}"]),
    ],
)
def test_what_is_hidden_is_told_with_what_uncovers_it(own: str, looked: Look, value: list[str]) -> None:
    said = f"FileNotFoundError: [Errno 2] No such file or directory: '{looked.path}'"
    found = judge(replace(facts_of(of_words(own), said), looks=(looked,)))
    assert (found.sandbox, values(found)) == ("hidden", value), found


def test_a_line_without_end_is_looked_at_in_no_time() -> None:
    began = monotonic()
    judge(facts_of(of_words("strict"), *["a" * 1_000_000, "bind " * 200_000, "lookup " * 200_000] * 3))
    assert monotonic() - began < 5
