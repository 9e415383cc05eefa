"""The verbs about deploys, against a manager that answers at a real socket: what they ask for, what
they tell of it, and their exit statuses."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import deploy_peer
import pytest
from deploy_peer import (
    ID,
    OTHER,
    SOME_S,
    WAITING,
    Peer,
    Said,
    changed,
    context_in,
    ended,
    install,
    listening,
    running,
    step,
    verb,
)
from documents import documented, members

from tqunits.cli.deploy_progress import DeployWatch
from tqunits.cli.main import main
from tqunits.cli.output import Output
from tqunits.control.deploy_protocol import (
    MOST_WORKERS,
    DeployOrder,
    HistoryQuestion,
    Progressed,
    ProgressQuestion,
    Pruned,
    PruneQuestion,
)
from tqunits.control.protocol import Problem
from tqunits.errors import ExitStatus, NoSuchWorker, NotPermitted, TqunitsError, UsageError
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord

SHOP = replace(WAITING, number=6, worker="shop")
VERBS = [["deploy", "api"], ["rollback", "api"], ["build", "api"], ["history", "api"], ["prune", "api"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path, "api", "shop")
    return tmp_path


async def said(folder: Path, line: Sequence[str], peer: Peer) -> Said:
    """What the verb says when this manager is there."""
    async with listening(peer):
        return await asyncio.to_thread(verb, folder, line)


async def refusal(folder: Path, line: Sequence[str], peer: Peer) -> TqunitsError:
    with pytest.raises(TqunitsError) as raised:
        await said(folder, line, peer)
    return raised.value


def documents(told: Said) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.out.splitlines()]


# What is asked for


@pytest.mark.parametrize(
    ("line", "order"),
    [
        (["deploy", "api"], DeployOrder(("api",), DeployKind.DEPLOY)),
        (["deploy"], DeployOrder(("api", "shop"), DeployKind.DEPLOY)),
        (["deploy", "sh*", "tq-worker@api.service"], DeployOrder(("api", "shop"), DeployKind.DEPLOY)),
        (["deploy", "api", "-m", "it is better"], DeployOrder(("api",), DeployKind.DEPLOY, message="it is better")),
        (["build", "api", "shop"], DeployOrder(("api", "shop"), DeployKind.BUILD)),
        (["rollback", "api"], DeployOrder(("api",), DeployKind.ROLLBACK)),
        (["rollback", "api", ID], DeployOrder(("api",), DeployKind.ROLLBACK, ID)),
        (["rollback", "api", "--message", "oh"], DeployOrder(("api",), DeployKind.ROLLBACK, message="oh")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_verb_asks_for(folder: Path, line: list[str], order: DeployOrder) -> None:
    peer = Peer(folder, accepted=[WAITING])
    told = await said(folder, [*line, "--detach"], peer)
    assert (told.status, told.out, peer.orders) == (ExitStatus.OK, "", [order])


REFUSED: Mapping[str, tuple[list[str], type[TqunitsError], str]] = {
    "no such worker": (["deploy", "nobody"], NoSuchWorker, "no installed worker is called 'nobody'"),
    "one is not there": (["deploy", "api", "nobody"], NoSuchWorker, "'nobody'"),
    "no worker to go back": (["rollback", "nobody"], NoSuchWorker, "'nobody'"),
    "more than one to go back": (["rollback", "*"], UsageError, "means 2 workers"),
    "a short release": (["rollback", "api", ID[:8]], UsageError, "no release can be called '01234567'"),
    "a release elsewhere": (["rollback", "api", "../../../etc"], UsageError, "no release"),
    "a message of two lines": (["deploy", "-m", "a\nb"], UsageError, "one printable line"),
    "a message too long": (["deploy", "-m", "m" * 1001], UsageError, "at most 1000"),
    "no name for the history": (["history", "../etc"], NoSuchWorker, "can be called"),
    "an instance's history": (["history", "api:2"], UsageError, "one of several instances"),
    "nobody to prune": (["prune", "nobody"], NoSuchWorker, "'nobody'"),
}


@pytest.mark.parametrize(("line", "kind", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_never_asked(folder: Path, line: list[str], kind: type[TqunitsError], message: str) -> None:
    peer = Peer(folder)
    error = await refusal(folder, line, peer)
    assert isinstance(error, kind)
    assert message in error.message
    assert (peer.orders, peer.questions, peer.prunes) == ([], [], [])


async def test_one_of_several_instances_is_not_deployed_alone(tmp_path: Path) -> None:
    install(tmp_path, "api", "api:2")
    assert isinstance(await refusal(tmp_path, ["deploy", "tq-worker@api:2.service"], Peer(tmp_path)), UsageError)
    peer = Peer(tmp_path, accepted=[WAITING])
    await said(tmp_path, ["deploy", "--detach"], peer)
    assert peer.orders == [DeployOrder(("api",), DeployKind.DEPLOY)]


@pytest.mark.parametrize("line", [["deploy"], ["prune"]], ids=" ".join)
async def test_a_host_without_workers_has_nothing_to_deploy(tmp_path: Path, line: list[str]) -> None:
    assert (await refusal(tmp_path, line, Peer(tmp_path))).message == "no worker is installed"


@pytest.mark.parametrize("line", VERBS, ids=" ".join)
def test_a_user_has_no_deploys(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--user", *line]) == ExitStatus.USAGE
    assert "deploys are for the host's own services" in capsys.readouterr().err


@pytest.mark.parametrize("line", VERBS, ids=" ".join)
def test_without_a_manager_the_way_to_start_it_is_told(folder: Path, line: list[str]) -> None:
    with pytest.raises(TqunitsError, match="the manager does not answer") as raised:
        verb(folder, line)
    assert raised.value.exit_status is ExitStatus.FAILED
    assert "systemctl start tq-manager" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (Problem(403, "only root"), NotPermitted, "the manager refuses: only root"),
        (Problem(404, "api is not installed"), NoSuchWorker, "api is not installed"),
        (Problem(409, "api is being removed"), TqunitsError, "api is being removed"),
        (Problem(503, "polkit forbids it"), TqunitsError, "the manager refuses: polkit forbids it"),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
@pytest.mark.parametrize("line", VERBS, ids=lambda line: line[0])
async def test_what_the_manager_refuses(
    folder: Path, line: list[str], problem: Problem, kind: type[TqunitsError], message: str
) -> None:
    error = await refusal(folder, line, Peer(folder, accepted=problem, history=problem, pruned=problem))
    assert (type(error), error.message) == (kind, message)


# How it is told

DONE = ended(running(WAITING, "the sources are looked at", "it is built"), DeployOutcome.DONE)


async def test_each_step_is_told_once_and_as_it_comes(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at")
    peer = Peer(folder, accepted=[WAITING], script=[changed(3, first), changed(4), changed(9, DONE)])
    told = await said(folder, ["deploy", "api"], peer)
    assert (told.status, told.out) == (ExitStatus.OK, "")
    assert told.err.splitlines() == [
        "api: the sources are looked at",
        "api: it is built",
        f"api runs {ID}, after 2.5s",
    ]
    asked = [question for question in peer.questions if isinstance(question, ProgressQuestion)]
    assert [(question.after, question.numbers) for question in asked] == [(n, frozenset({5})) for n in (0, 3, 4)]
    assert all(question.wait_us > 0 for question in asked)


async def test_a_step_of_an_instance_has_its_name(folder: Path) -> None:
    record = replace(DONE, steps=(step("it is restarted", 1), step("it is restarted", 2)))
    told = await said(folder, ["deploy", "api"], Peer(folder, accepted=[WAITING], script=[changed(1, record)]))
    assert told.err.splitlines()[:2] == ["api: it is restarted", "api:2: it is restarted"]


async def test_what_is_a_stranger_s_moves_no_cursor(folder: Path) -> None:
    record = replace(running(WAITING, "\x1b[2Jlook"), why="no\x9b1A")
    record = ended(record, DeployOutcome.FAILED, why="\x1b[31mred", hint="one\n\x07two\n")
    told = await said(folder, ["deploy", "api"], Peer(folder, accepted=[WAITING], script=[changed(1, record)]))
    assert all(line.isprintable() for line in told.err.splitlines())
    assert told.err.splitlines() == ["api: \\x1b[2Jlook", "api: \\x1b[31mred", "    one", "    \\x07two"]


def in_folder(outcome: DeployOutcome, kind: DeployKind = DeployKind.DEPLOY) -> DeployRecord:
    """In development mode."""
    return replace(ended(replace(WAITING, kind=kind), outcome), release=None, was_stable=False)


ENDS: Mapping[str, tuple[DeployRecord, int, list[str]]] = {
    "done": (ended(WAITING, DeployOutcome.DONE), 0, [f"api runs {ID}, after 2.5s"]),
    "unchanged": (ended(WAITING, DeployOutcome.UNCHANGED), 0, [f"nothing has changed: api runs {ID}"]),
    "done, and stopped": (
        replace(ended(WAITING, DeployOutcome.DONE), was_stable=False),
        0,
        [f"api does not run, and its next start is with {ID}, after 2.5s"],
    ),
    "unchanged, and stopped": (
        replace(ended(WAITING, DeployOutcome.UNCHANGED), was_stable=False),
        0,
        [f"nothing has changed: api does not run, and its next start is with {ID}"],
    ),
    "unchanged build": (
        ended(replace(WAITING, kind=DeployKind.BUILD), DeployOutcome.UNCHANGED),
        0,
        [f"nothing has changed: api has the release {ID}"],
    ),
    "run from its folder": (
        replace(in_folder(DeployOutcome.DONE), replaces=("a" * 32,)),
        0,
        ["api runs its folder as it is now, after 2.5s"],
    ),
    "a folder of one that is stopped": (
        in_folder(DeployOutcome.DONE),
        0,
        ["api does not run, and its next start is with its folder as it is now"],
    ),
    "built in its folder": (
        in_folder(DeployOutcome.DONE, DeployKind.BUILD),
        0,
        ["api is built in its folder; 'tqunits deploy api' runs it"],
    ),
    "a folder as it was": (
        in_folder(DeployOutcome.UNCHANGED),
        0,
        ["nothing has changed: api has its folder as it is"],
    ),
    "restarted": (
        ended(replace(WAITING, kind=DeployKind.RESTART), DeployOutcome.DONE),
        0,
        ["api is restarted, after 2.5s"],
    ),
    "built": (
        ended(replace(WAITING, kind=DeployKind.BUILD), DeployOutcome.DONE),
        0,
        [f"api: the release {ID} is made; 'tqunits deploy api' runs it"],
    ),
    "failed": (
        ended(WAITING, DeployOutcome.FAILED, why="its build failed: no such module", hint="npm install it"),
        1,
        ["api: its build failed: no such module", "    hint: npm install it"],
    ),
    "failed without a word": (ended(WAITING, DeployOutcome.FAILED), 1, ["api: it failed"]),
    "superseded": (
        ended(WAITING, DeployOutcome.SUPERSEDED),
        1,
        ["api: a newer deploy has taken its place before it had begun"],
    ),
}


@pytest.mark.parametrize(("record", "status", "lines"), ENDS.values(), ids=ENDS)
async def test_an_end(folder: Path, record: DeployRecord, status: int, lines: list[str]) -> None:
    told = await said(folder, ["deploy", "api"], Peer(folder, accepted=[WAITING], script=[changed(1, record)]))
    assert (told.status, told.err.splitlines()) == (status, lines)


@pytest.mark.parametrize(("record", "status", "lines"), ENDS.values(), ids=ENDS)
async def test_what_has_ended_at_once_is_not_asked_for(
    folder: Path, record: DeployRecord, status: int, lines: list[str]
) -> None:
    peer = Peer(folder, accepted=[record])
    told = await said(folder, ["deploy", "api"], peer)
    assert (told.status, told.err.splitlines(), peer.questions) == (status, lines, [])


async def test_several_go_on_until_all_have_ended(folder: Path) -> None:
    failed = ended(SHOP, DeployOutcome.FAILED, why="it is broken")
    peer = Peer(folder, accepted=[WAITING, SHOP], script=[changed(2, failed), changed(3, DONE)])
    told = await said(folder, ["deploy"], peer)
    assert told.status == ExitStatus.FAILED
    assert told.err.splitlines()[0] == "shop: it is broken"
    assert told.err.splitlines()[-1] == f"api runs {ID}, after 2.5s"
    numbers = [question.numbers for question in peer.questions if isinstance(question, ProgressQuestion)]
    assert numbers == [frozenset({5, 6}), frozenset({5})]


MANY = [f"w{number:04}" for number in range(MOST_WORKERS + 1)]


def of_many(order: DeployOrder) -> list[DeployRecord]:
    """What the manager accepts of an order for some of these, which end at once."""
    return [ended(replace(WAITING, number=MANY.index(w) + 1, worker=w), DeployOutcome.DONE) for w in order.workers]


@pytest.mark.parametrize("line", [["deploy"], ["build", "w*"], ["deploy", "--detach"]], ids=" ".join)
async def test_a_host_may_have_more_workers_than_one_request_can_name(tmp_path: Path, line: list[str]) -> None:
    install(tmp_path, *MANY)
    peer = Peer(tmp_path, accepted=of_many)
    told = await said(tmp_path, line, peer)
    assert told.status == ExitStatus.OK
    assert [worker for order in peer.orders for worker in order.workers] == MANY
    assert len(told.err.splitlines()) == len(MANY)


async def test_what_was_accepted_of_many_goes_on_when_the_rest_is_refused(tmp_path: Path) -> None:
    def answer(order: DeployOrder) -> list[DeployRecord] | Problem:
        return of_many(order) if len(order.workers) > 1 else Problem(403, "not that one")

    install(tmp_path, *MANY)
    out, err = io.StringIO(), io.StringIO()
    async with listening(Peer(tmp_path, accepted=answer)):
        with pytest.raises(NotPermitted, match="not that one"):
            await asyncio.to_thread(deploy_peer.verb, tmp_path, ["deploy"], Output(out, err))
    assert err.getvalue() == "1000 are accepted; the manager goes on with it: 'tqunits history' shows how it ends\n"


async def test_all_workers_of_a_large_host_are_pruned(tmp_path: Path) -> None:
    install(tmp_path, *MANY)
    peer = Peer(tmp_path, pruned={"w0001": Pruned((ID,))})
    told = await said(tmp_path, ["prune"], peer)
    assert (told.status, told.out) == (ExitStatus.OK, f"w0001: removed {ID}\n")
    assert [worker for asked in peer.prunes for worker in asked.workers] == MANY


async def test_those_that_failed_are_named_again(folder: Path) -> None:
    failed = [ended(record, DeployOutcome.FAILED, why="it is broken") for record in (WAITING, SHOP)]
    told = await said(folder, ["deploy"], Peer(folder, accepted=[WAITING, SHOP], script=[changed(2, *failed)]))
    assert (told.status, told.err.splitlines()[-1]) == (ExitStatus.FAILED, "failed: api, shop")


async def test_more_than_one_question_can_have_are_followed_in_turn(folder: Path) -> None:
    accepted = [replace(WAITING, number=number) for number in range(1, 402)]
    done = [ended(record, DeployOutcome.DONE) for record in accepted]
    peer = Peer(folder, accepted=accepted, script=[changed(1, *done[:400]), changed(2, done[400])])
    assert (await said(folder, ["deploy", "api"], peer)).status == ExitStatus.OK
    asked = [(q.after, len(q.numbers)) for q in peer.questions if isinstance(q, ProgressQuestion)]
    assert asked == [(0, 400), (0, 1)]


async def test_with_json_each_step_and_each_end_is_an_object_a_line(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at")
    peer = Peer(folder, accepted=[WAITING], script=[changed(3, first), changed(9, DONE)])
    told = await said(folder, ["deploy", "api", "--json"], peer)
    found = documents(told)
    assert (told.status, told.err) == (ExitStatus.OK, "")
    assert [each["event"] for each in found] == ["accepted", "step", "step", "end"]
    assert {(each["schema"], each["version"], each["number"]) for each in found} == {("tqunits.deploy", 1, 5)}
    assert [each.get("text") for each in found[1:3]] == ["the sources are looked at", "it is built"]
    assert (found[-1]["outcome"], found[-1]["release"], found[-1]["ended_us"]) == ("done", ID, 3_500_000)
    assert members(found) - {"schema", "version"} == documented("deploy")


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["lines", "json"])
async def test_detached_it_is_told_where_to_look(folder: Path, more: list[str]) -> None:
    told = await said(folder, ["deploy", "api", "--detach", *more], Peer(folder, accepted=[WAITING]))
    assert told.status == ExitStatus.OK
    if more:
        assert [each["event"] for each in documents(told)] == ["accepted"]
    else:
        line = "api: deploy 5 is accepted; the manager goes on with it: 'tqunits history api' shows how it ends\n"
        assert told.err == line


# A manager that goes, and comes


async def test_another_manager_is_asked_for_all_anew(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at")
    script = [changed(300, first), changed(301, since=78), changed(2, DONE, since=78)]
    peer = Peer(folder, accepted=[WAITING], script=script)
    told = await said(folder, ["deploy", "api"], peer)
    assert told.err.splitlines() == ["api: the sources are looked at", "api: it is built", f"api runs {ID}, after 2.5s"]
    assert [question.after for question in peer.questions if isinstance(question, ProgressQuestion)] == [0, 300, 0]


async def test_a_manager_that_has_just_begun_has_no_event_yet(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at")
    script = [changed(0, first), changed(0, first), changed(1, DONE)]
    told = await said(folder, ["deploy", "api"], Peer(folder, accepted=[WAITING], script=script))
    assert told.err.splitlines() == ["api: the sources are looked at", "api: it is built", f"api runs {ID}, after 2.5s"]


async def test_a_record_may_have_dropped_steps(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at", "it is built")
    later = ended(replace(first, steps=(*first.steps[1:], step("it is well"))), DeployOutcome.DONE)
    peer = Peer(folder, accepted=[WAITING], script=[changed(1, first), changed(2, later)])
    told = await said(folder, ["deploy", "api"], peer)
    assert told.err.splitlines()[:3] == ["api: the sources are looked at", "api: it is built", "api: it is well"]


async def test_a_manager_that_ends_meanwhile_is_waited_for(folder: Path) -> None:
    first = running(WAITING, "the sources are looked at")
    script = [changed(3, first), None, changed(1, DONE)]
    told = await said(folder, ["deploy", "api"], Peer(folder, accepted=[WAITING], script=script))
    assert told.status == ExitStatus.OK
    assert told.err.splitlines() == [
        "api: the sources are looked at",
        "the manager is away: it goes on when it is back",
        "the manager is back",
        "api: it is built",
        f"api runs {ID}, after 2.5s",
    ]


def test_a_manager_that_does_not_come_back_is_not_waited_for_without_end(folder: Path) -> None:
    err = io.StringIO()
    watch = DeployWatch(context_in(folder, Output(io.StringIO(), err)), return_s=0)
    assert watch.changed([5]) == ()
    with pytest.raises(TqunitsError, match="the manager was away for 0 s") as raised:
        watch.changed([5])
    assert "systemctl start tq-manager" in str(raised.value.hint)
    assert err.getvalue() == "the manager is away: it goes on when it is back\n"


async def test_an_order_whose_answer_is_lost_may_have_been_taken(folder: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    place = Path(deploy_peer.layout_in(folder).manager_socket)
    place.parent.mkdir(parents=True)
    async with await asyncio.start_unix_server(serve, place):
        with pytest.raises(TqunitsError, match="has ended before it said") as raised:
            await asyncio.to_thread(verb, folder, ["deploy", "api"])
    assert raised.value.hint == "'tqunits history' shows whether it did"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"deploys": [{}]}', b'{"deploys": 7}', b'{"pruned": 7}', b"[" * 100_000, b"\xff"]
)
@pytest.mark.parametrize("line", VERBS, ids=lambda line: line[0])
async def test_an_answer_that_is_none_is_said_to_be_so(folder: Path, line: list[str], body: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        writer.close()

    place = Path(deploy_peer.layout_in(folder).manager_socket)
    place.parent.mkdir(parents=True)
    async with await asyncio.start_unix_server(serve, place):
        with pytest.raises(TqunitsError, match="not one that this release understands"):
            await asyncio.to_thread(verb, folder, line)


async def test_a_deploy_that_is_not_known_any_more_is_not_waited_for(folder: Path) -> None:
    peer = Peer(folder, accepted=[WAITING], script=[Problem(404, "there is no deploy 5")])
    error = await refusal(folder, ["deploy", "api"], peer)
    assert (error.exit_status, error.message) == (ExitStatus.FAILED, "there is no deploy 5")


async def test_who_interrupts_it_is_told_that_it_goes_on(folder: Path) -> None:
    interrupt: list[Callable[[], None]] = []

    def first() -> Progressed:
        interrupt[0]()
        return changed(1)

    async with listening(Peer(folder, accepted=[WAITING], script=[first])):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, deploy_peer.__file__, str(folder), "deploy", "api"),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        interrupt.append(lambda: process.send_signal(signal.SIGINT))
        _, err = await asyncio.wait_for(process.communicate(), SOME_S)
    line = "interrupted; the manager goes on with it: 'tqunits history api' shows how it ends\n"
    assert (process.returncode, err.decode()) == (130, line)


# The history

FAILED = replace(
    ended(WAITING, DeployOutcome.FAILED, why="its build failed", hint="no such module"),
    number=7,
    message="a try",
    revision="89abcdef0123456789abcdef0123456789abcdef",
    is_dirty=True,
)
GOOD = replace(
    ended(SHOP, DeployOutcome.DONE),
    message="the new basket",
    actor="root",
    was_stable=True,
    revision="f" * 40,
    is_dirty=False,
    asked_us=0,
    steps=(step("it is built"),),
)
NEW = replace(WAITING, number=8, actor="1002/", kind=DeployKind.ROLLBACK)


async def test_the_history_is_a_table(folder: Path) -> None:
    told = await said(folder, ["history"], Peer(folder, history=[NEW, FAILED, GOOD]))
    head, *rows = told.out.splitlines()
    assert told.status == ExitStatus.OK
    assert " ".join(head.split()) == "NUMBER WORKER RELEASE STABLE REVISION WHEN WHO WHAT RESULT MESSAGE"
    columns = [(*row.split()[:5], *row.split(maxsplit=7)[7].split(maxsplit=3)) for row in rows]
    assert columns == [
        ("8", "api", "-", "-", "-", "1002", "rollback", "waiting"),
        ("7", "api", ID, "-", "89abcde+", "ann", "deploy", "failed", "its build failed"),
        ("6", "shop", ID, "yes", "fffffff", "root", "deploy", "done", "the new basket"),
    ]


async def test_the_history_has_documents(folder: Path) -> None:
    told = await said(folder, ["history", "--json"], Peer(folder, history=[FAILED, GOOD]))
    found = json.loads(told.out)
    assert (found.pop("schema"), found.pop("version")) == ("tqunits.history", 1)
    assert [(each["number"], each["actor"]) for each in found["deploys"]] == [(7, "1000/ann"), (6, "root")]
    assert members(found) == documented("history")


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (["history"], HistoryQuestion(None, 20)),
        (["history", "api"], HistoryQuestion("api", 20)),
        (["history", "tq-worker@api.service", "-n", "3"], HistoryQuestion("api", 3)),
        (["history", "gone", "--limit", "500"], HistoryQuestion("gone", 500)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_the_history_asks_for(folder: Path, line: list[str], question: HistoryQuestion) -> None:
    peer = Peer(folder)
    told = await said(folder, line, peer)
    assert (told.out, told.err, peer.questions) == ("", "nothing was deployed yet\n", [question])


@pytest.mark.parametrize("limit", ["0", "501", "-1", "many"])
def test_a_limit_that_is_none(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--limit", limit]) == ExitStatus.USAGE
    assert "--limit" in capsys.readouterr().err


# Pruning


async def test_what_was_pruned_is_told(folder: Path) -> None:
    peer = Peer(folder, pruned={"shop": Pruned((ID, OTHER)), "api": Pruned()})
    told = await said(folder, ["prune"], peer)
    assert (told.status, told.out, told.err) == (ExitStatus.OK, f"shop: removed {ID}, {OTHER}\n", "")
    assert peer.prunes == [PruneQuestion(("api", "shop"), caches=False)]


async def test_the_caches_that_went_are_told(folder: Path) -> None:
    peer = Peer(folder, pruned={"shop": Pruned((ID,), caches=True), "api": Pruned(caches=True)})
    told = await said(folder, ["prune", "--caches"], peer)
    caches = "the caches of its builds"
    assert (told.status, told.out) == (ExitStatus.OK, f"api: removed {caches}\nshop: removed {ID}, {caches}\n")
    assert peer.prunes == [PruneQuestion(("api", "shop"), caches=True)]


async def test_nothing_to_prune_is_told(folder: Path) -> None:
    told = await said(folder, ["prune", "api"], Peer(folder, pruned={"api": Pruned()}))
    assert (told.out, told.err) == ("", "nothing to remove: no release is more than is to be kept\n")


async def test_pruning_has_a_document(folder: Path) -> None:
    told = await said(folder, ["prune", "--json"], Peer(folder, pruned={"shop": Pruned((ID,)), "api": Pruned()}))
    found = json.loads(told.out)
    assert (found.pop("schema"), found.pop("version")) == ("tqunits.prune", 1)
    assert found == {"pruned": [{"worker": "shop", "releases": [ID], "caches": False}]}
    assert members(found) == documented("prune")
