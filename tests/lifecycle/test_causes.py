"""How causes are derived from facts that no test machine has all of: cgroup v2, the kernel's log,
start limits, other users."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tqunits.lifecycle import outcome
from tqunits.lifecycle.causes import Judgement, Link, LinkState, judge
from tqunits.lifecycle.facts import Access, Facts, Look, UnitEnd
from tqunits.lifecycle.reason import Cause
from tqunits.lifecycle.state import Detail, NoInstance, State
from tqunits.model import Profile, Relaxation, Sandbox

BASE = Facts(
    name="shop",
    state=State.FAILED,
    source="/srv/shop/config/worker.yaml",
    address="127.0.0.1:9000",
    health="/health",
    patience="60 s",
    user="worker-shop",
    folder="/srv/shop",
    state_folder="/var/lib/tqunits/workers/shop",
    memory_max="64M",
)
EXITED = UnitEnd(result="exit-code", code="exited", status=1, gate=outcome.EXITED, program="/usr/bin/node")
KILLED = UnitEnd(result="signal", code="killed", status=9)
STANDARD = Sandbox(profile=Profile.STANDARD, relaxations=())
NODE_TRAPS = (
    "#",
    "# Fatal error in , line 0",
    "# Check failed: SetPermissions(address, size, PageAllocator::kReadWriteExecute).",
)


def of(
    end: UnitEnd,
    *lines: str,
    kernel: str = "",
    names_killer: bool = True,
    sandbox: Sandbox | None = STANDARD,
    missing: frozenset[Relaxation] = frozenset(),
    holder: str = "",
    looks: tuple[Look, ...] = (),
    comes_again: bool = False,
    restarts: int = 0,
    gave_up: bool = False,
    verdict: str = "",
) -> Judgement:
    facts = replace(BASE, end=end, lines=lines, kernel=kernel, names_killer=names_killer, holder=holder, looks=looks)
    facts = replace(facts, restarts=restarts, gave_up=gave_up, verdict=verdict)
    if comes_again:
        facts = replace(facts, state=State.UNHEALTHY, detail=Detail.RESTARTING)
    return judge(replace(facts, sandbox=sandbox, missing=missing))


def of_program(look: Look) -> Judgement:
    """The result for a start whose program systemd could not execute, for that reason."""
    return of(replace(EXITED, status=203, program=look.path), looks=(look,))


@pytest.mark.parametrize(
    ("found", "cause", "words", "killer"),
    [
        pytest.param(of(replace(KILLED, result="oom-kill")), Cause.MEMORY, "its limit of 64M", "kernel", id="oom-kill"),
        pytest.param(
            of(KILLED, kernel="Memory cgroup out of memory: Killed process 42 (node)", names_killer=False),
            Cause.MEMORY,
            "the kernel killed it",
            "kernel",
            id="the kernel's log",
        ),
        pytest.param(of(KILLED), Cause.KILLED, "SIGKILL from outside", "outside", id="kill -9"),
        pytest.param(of(replace(KILLED, status=15)), Cause.KILLED, "SIGTERM from outside", "outside", id="kill"),
        pytest.param(of(KILLED, names_killer=False), Cause.KILLED, "or by hand", "", id="cgroup v1"),
        pytest.param(of(replace(KILLED, status=31)), Cause.SANDBOX, "SIGSYS", "kernel", id="seccomp"),
        pytest.param(
            of(replace(KILLED, status=5), *NODE_TRAPS, missing=frozenset({Relaxation.WRITE_EXECUTE})),
            Cause.SANDBOX,
            "writable and executable",
            "",
            id="a compiler",
        ),
        pytest.param(of(replace(KILLED, status=11)), Cause.CRASHED, "crashed with SIGSEGV", "", id="segfault"),
    ],
)
def test_who_killed_it(found: Judgement, cause: Cause, words: str, killer: str) -> None:
    assert (found.cause, found.killed_by, found.is_wrong) == (cause, killer, True), found
    assert words in found.sentence


@pytest.mark.parametrize(
    ("found", "cause", "words", "advice"),
    [
        pytest.param(
            of(EXITED, "Error: listen EADDRINUSE: address already in use 127.0.0.1:3000"),
            Cause.WRONG_PORT,
            "it wants port 3000, which is taken, and its own is 9000",
            "$PORT",
            id="another port than its own is taken",
        ),
        pytest.param(
            of(EXITED, "listen tcp 127.0.0.1:9000: bind: address already in use", holder="process 7 (nc) of bob"),
            Cause.PORT_TAKEN,
            "process 7 (nc) of bob",
            "lets go",
            id="its own is taken",
        ),
        pytest.param(
            of_program(Look("/home/bob/bin/api", Access.HIDDEN, "/home")),
            Cause.SANDBOX,
            "its program /home/bob/bin/api is there, but its sandbox hides /home",
            "/srv",
            id="a program in a home",
        ),
        pytest.param(
            of_program(Look("/srv/x/api", Access.BARRED, "/srv/x (mode 0700, of bob)")),
            Cause.FILE_PERMISSION,
            "may not enter /srv/x (mode 0700, of bob)",
            "chmod o+x /srv/x",
            id="a program in a closed folder",
        ),
        pytest.param(
            of_program(Look("/srv/x/api", Access.NO_INTERPRETER, "/usr/bin/nodejs16")),
            Cause.PROGRAM,
            "begins with #!/usr/bin/nodejs16, which does not exist",
            "first line",
            id="no interpreter",
        ),
        pytest.param(
            of(replace(EXITED, status=78), "tqunits-launch: /srv/shop/.env:3:1: no such thing"),
            Cause.ENVIRONMENT,
            "/srv/shop/.env:3:1",
            "install",
            id="an environment file",
        ),
        pytest.param(
            of(
                EXITED,
                "Error: EROFS: read-only file system, open '/srv/shop/var/cache'",
                missing=frozenset({Relaxation.WRITABLE_CODE}),
            ),
            Cause.SANDBOX,
            "lets it read /srv/shop/var/cache, and not write",
            "writable-code",
            id="its own folder",
        ),
        pytest.param(
            of(replace(EXITED, code="killed", status=15, gate=outcome.SILENT), "Error: Cannot find module 'x'"),
            Cause.MODULE,
            "Cannot find module 'x'",
            "build:",
            id="it did not listen, and said why",
        ),
    ],
)
def test_what_a_program_says_is_put_into_its_place(found: Judgement, cause: Cause, words: str, advice: str) -> None:
    assert (found.cause, found.is_wrong) == (cause, True), found
    assert words in found.sentence
    assert any(advice in line for line in found.advice), found.advice


def test_the_chain_breaks_once_and_nothing_is_known_behind() -> None:
    found = of(EXITED, "SyntaxError: x")
    assert [step.state for step in found.chain] == [
        LinkState.OK,
        LinkState.OK,
        LinkState.BROKEN,
        LinkState.UNKNOWN,
        LinkState.UNKNOWN,
    ]
    assert found.broken is Link.START
    assert of(replace(EXITED, gate=outcome.SLOW)).broken is Link.HEALTH
    assert judge(replace(BASE, state=State.HEALTHY)).broken is None


def test_who_fails_again_and_again_is_told_with_its_reason() -> None:
    again = of(EXITED, "SyntaxError: x", comes_again=True, restarts=3)
    assert again.sentence.endswith("SyntaxError: x; it is started again (restart 4)")
    spent = of(EXITED, "SyntaxError: x", gave_up=True)
    assert spent.sentence.endswith("SyntaxError: x; it failed too often, and is not started again by itself")
    assert spent.advice[-1] == "'tqunits start shop' tries again"


@pytest.mark.parametrize(
    ("facts", "cause", "text", "broken"),
    [
        pytest.param(replace(BASE, state=State.HEALTHY), Cause.WELL, "healthy", None, id="healthy"),
        pytest.param(
            replace(BASE, state=State.UNHEALTHY, detail=Detail.HOLDING),
            Cause.HOLDING,
            "unhealthy (holding)",
            Link.STATE,
            id="holding",
        ),
        pytest.param(
            replace(BASE, state=State.UNHEALTHY, answer="503 Service Unavailable"),
            Cause.HEALTH,
            "unhealthy",
            Link.HEALTH,
            id="it runs, and answers badly",
        ),
        pytest.param(
            replace(BASE, state=State.UNHEALTHY, detail=Detail.RESTARTING, end=EXITED, restarts=2),
            Cause.EXITED,
            "unhealthy (restarting), 2 restarts",
            Link.START,
            id="restarting",
        ),
        pytest.param(
            replace(BASE, state=State.FAILED, detail=Detail.HEALTH_CHECK, end=replace(EXITED, gate=outcome.UNHEALTHY)),
            Cause.HEALTH,
            "failed (health check)",
            Link.HEALTH,
            id="a health check",
        ),
        pytest.param(
            replace(BASE, state=State.STARTING, end=EXITED, restarts=1),
            Cause.EXITED,
            "starting, 1 restarts",
            Link.START,
            id="the start after a failure",
        ),
        pytest.param(replace(BASE, state=State.STARTING), Cause.WAITING, "starting", None, id="starting"),
        pytest.param(
            replace(BASE, state=State.STOPPING, detail=Detail.DRAINING),
            Cause.WAITING,
            "stopping (draining)",
            None,
            id="draining",
        ),
        pytest.param(replace(BASE, state=State.STOPPING), Cause.WAITING, "stopping", None, id="stopping"),
        pytest.param(replace(BASE, state=State.STOPPED), Cause.STOPPED, "stopped", None, id="stopped"),
        pytest.param(replace(BASE, state=NoInstance.STATIC), Cause.WELL, "static", None, id="static"),
        pytest.param(
            replace(BASE, state=NoInstance.REFUSED, left_out="no"), Cause.LEFT_OUT, "refused", Link.FILE, id="refused"
        ),
        pytest.param(
            replace(BASE, state=NoInstance.NOT_INSTALLED), Cause.NOT_INSTALLED, "not installed", None, id="new"
        ),
    ],
)
def test_the_last_link_has_the_state_and_its_detail(facts: Facts, cause: Cause, text: str, broken: Link | None) -> None:
    found = judge(facts)
    assert (found.cause, found.chain[-1].text, found.broken) == (cause, text, broken), found


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        (Detail.DRAINING, "it is being stopped: it finishes what it has"),
        (Detail.NONE, "it is being stopped"),
    ],
)
def test_who_stops_and_has_requests_says_so(detail: Detail, sentence: str) -> None:
    assert judge(replace(BASE, state=State.STOPPING, detail=detail)).sentence == sentence


def test_who_was_given_up_and_has_no_journal_says_no_more_than_is_known() -> None:
    found = of(UnitEnd(result="exit-code", code="exited", status=outcome.GIVEN_UP), gave_up=True)
    known = "it is not known how its last run ended; it failed too often, and is not started again by itself"
    assert found.sentence == known
    assert found.advice == ("'tqunits start shop' tries again",)


@pytest.mark.parametrize("verdict", ["", "tqunits-gate: /run/x/serving can not be made: no space left on device"])
def test_who_is_healthy_and_can_not_say_so_is_told(verdict: str) -> None:
    found = of(replace(EXITED, code="killed", status=15, gate=outcome.UNPLACED), verdict=verdict)
    assert "can not be made" in found.sentence
    assert found.advice == ("tqunits start shop",)


def test_words_of_others_in_an_advice_stay_as_they_are() -> None:
    """`NAME` is a common part of names."""
    variable = of(EXITED, "DB_NAME is not set")
    assert "`environment: {DB_NAME: ...}` in its worker.yaml" in variable.advice[0]
    hint = "leave it out: NAME=value"
    mistake = judge(replace(BASE, state=NoInstance.NOT_INSTALLED, finding="x", finding_hint=hint))
    assert mistake.advice == (hint, "tqunits check shop")


def test_of_who_runs_a_file_or_a_program_that_is_wrong_by_now_is_not_called_well() -> None:
    found = judge(replace(BASE, state=State.HEALTHY, finding="worker.yaml:1:7: no", unbuilt="bin/shop does not exist"))
    assert (found.is_well, found.broken) == (True, None)
    assert [step.state for step in found.chain] == [
        LinkState.UNKNOWN,
        LinkState.UNKNOWN,
        LinkState.OK,
        LinkState.OK,
        LinkState.OK,
    ]


def test_of_a_bad_answer_its_first_bytes_are_told() -> None:
    verdict = "tqunits-gate: http://127.0.0.1:9000/health not healthy after 6.00 s, 9 attempts; last answer: 500 No: x"
    found = of(replace(EXITED, gate=outcome.UNHEALTHY), verdict=verdict)
    assert (found.cause, found.answer) == (Cause.HEALTH, "500 No: x")
    assert found.sentence == "its health check at /health says: 500 No: x"


RESULTS = ("exit-code", "signal", "core-dump", "timeout", "oom-kill", "protocol", "resources", "new")
STATUSES = (0, 1, 9, 31, 78, 99, 200, 203, 217, 226, 243, outcome.GIVEN_UP)


@pytest.mark.parametrize("gate", [1, *range(150, 157), None])
def test_every_end_has_a_sentence_and_is_wrong(gate: int | None) -> None:
    for result, code, status in product(RESULTS, ("exited", "killed", "dumped", ""), STATUSES):
        found = of(UnitEnd(result=result, code=code, status=status, gate=gate))
        assert found.is_wrong
        assert found.sentence.startswith(("it ", "its ", "nothing ", "an ")), (found.sentence, result, code, status)
        assert found.broken is not None
