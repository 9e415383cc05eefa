"""Requests for deploys and their answers: as they are sent, and as a stranger may send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.control import deploy_protocol, protocol
from tqunits.control.deploy_protocol import (
    MAX_ASKED_DEPLOY,
    MOST_DEPLOYS,
    MOST_NUMBERS,
    MOST_WORKERS,
    NOT_READABLE,
    DeployOrder,
    HistoryQuestion,
    Progressed,
    ProgressQuestion,
    Pruned,
    PruneQuestion,
    deploy_order,
    deploy_order_body,
    deploys_body,
    deploys_in,
    deploys_question,
    history_target,
    progress_body,
    progress_in,
    progress_target,
    prune_body,
    prune_question,
    pruned_body,
    pruned_in,
)
from tqunits.control.protocol import LONGEST_WAIT_US, MAX_ANSWER, Problem
from tqunits.lifecycle.deploys import (
    MAX_STEPS,
    MAX_TEXT,
    DeployKind,
    DeployRecord,
    DeployStep,
)
from tqunits.lifecycle.release import MAX_MESSAGE
from tqunits.model import USUAL_HEADS
from tqunits.units import name

ID = "0123456789ab"
RECORD = DeployRecord(number=5, worker="api", kind=DeployKind.DEPLOY, actor="root", asked_us=1, before=ID)
HUGE = replace(
    RECORD,
    hint="\U0001f600" * MAX_TEXT,
    steps=(DeployStep(at_us=1, what="note", text="\U0001f600" * MAX_TEXT),) * MAX_STEPS,
)

NAMES = st.from_regex(name.WORKER_PATTERN, fullmatch=True)
WORKERS = st.lists(NAMES, min_size=1, max_size=5, unique=True).map(tuple)
MESSAGES = st.text(max_size=50).filter(str.isprintable)
RELEASES = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
ORDERS = st.builds(DeployOrder, WORKERS, st.sampled_from(DeployKind), message=MESSAGES) | st.builds(
    DeployOrder, NAMES.map(lambda each: (each,)), st.just(DeployKind.ROLLBACK), RELEASES, MESSAGES
)
COUNTS = st.integers(0, 10**18 - 1)


def sent(body: Mapping[str, object]) -> protocol.Body:
    """A body as the other side has it."""
    return protocol.asked(protocol.encoded(body))


@given(ORDERS)
def test_an_order_arrives_as_it_was_given(order: DeployOrder) -> None:
    assert deploy_order(protocol.asked(json.dumps(deploy_order_body(order)).encode())) == order


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"workers": ["api"], "kind": "deploy"}, DeployOrder(("api",), DeployKind.DEPLOY)),
        ({"workers": ["api", "b", "api"], "kind": "build"}, DeployOrder(("api", "b"), DeployKind.BUILD)),
        ({"workers": ["api", "b"], "kind": "rollback"}, DeployOrder(("api", "b"), DeployKind.ROLLBACK)),
        ({"workers": ["api"], "kind": "rollback", "release": ID}, DeployOrder(("api",), DeployKind.ROLLBACK, ID)),
    ],
)
def test_an_order(body: dict[str, object], expected: DeployOrder) -> None:
    assert deploy_order(body) == expected


DEPLOY_API: Mapping[str, object] = {"workers": ["api"], "kind": "deploy"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"workers": ["api"]},
        {"workers": [], "kind": "deploy"},
        {"workers": "api", "kind": "deploy"},
        {"workers": None, "kind": "deploy"},
        {"workers": [7], "kind": "deploy"},
        {"workers": ["*"], "kind": "deploy"},
        {"workers": ["../api"], "kind": "deploy"},
        {"workers": ["api:2"], "kind": "deploy"},
        {"workers": ["api\n"], "kind": "deploy"},
        {"workers": ["api"] * (MOST_WORKERS + 1), "kind": "deploy"},
        {**DEPLOY_API, "kind": "install"},
        {**DEPLOY_API, "kind": ["deploy"]},
        {**DEPLOY_API, "kind": None},
        {**DEPLOY_API, "release": ID},
        {**DEPLOY_API, "kind": "build", "release": ID},
        {"workers": ["api", "b"], "kind": "rollback", "release": ID},
        {**DEPLOY_API, "kind": "rollback", "release": "../../etc"},
        {**DEPLOY_API, "kind": "rollback", "release": ID[:8]},
        {**DEPLOY_API, "kind": "rollback", "release": 7},
        {**DEPLOY_API, "message": None},
        {**DEPLOY_API, "message": "two\nlines"},
        {**DEPLOY_API, "message": "\x1b[2J"},
        {**DEPLOY_API, "message": "m" * (MAX_MESSAGE + 1)},
        {**DEPLOY_API, "command": "rm"},
    ],
)
def test_what_is_no_order(body: dict[str, object]) -> None:
    with pytest.raises(Problem) as refused:
        deploy_order(body)
    assert refused.value.status == 400
    assert str(refused.value).isprintable()


def test_the_longest_order_is_taken() -> None:
    workers = tuple(f"w{number:023}" for number in range(MOST_WORKERS))
    order = DeployOrder(workers, DeployKind.DEPLOY, message="\U0001f600" * MAX_MESSAGE)
    body = deploy_order_body(order)
    assert len(json.dumps(body)) < MAX_ASKED_DEPLOY
    assert deploy_order(body) == order


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/deploys", HistoryQuestion(None, 20)),
        ("/deploys?limit=7", HistoryQuestion(None, 7)),
        ("/deploys?worker=api", HistoryQuestion("api", 20)),
        ("/deploys?worker=api&limit=1", HistoryQuestion("api", 1)),
        ("/deploys?worker=api&limit=999999", HistoryQuestion("api", MOST_DEPLOYS)),
        (history_target("api", 9), HistoryQuestion("api", 9)),
        (history_target(None, 9), HistoryQuestion(None, 9)),
        ("/deploys?after=0&wait_us=0&numbers=5", ProgressQuestion(0, 0, frozenset({5}))),
        ("/deploys?after=7&wait_us=999999999999&numbers=5,6", ProgressQuestion(7, LONGEST_WAIT_US, frozenset({5, 6}))),
    ],
)
def test_a_question(target: str, expected: HistoryQuestion | ProgressQuestion) -> None:
    assert deploys_question(target) == expected


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/deploy", 404),
        ("/deploys?", 404),
        ("/deploys&limit=1", 404),
        ("/deploys?worker=", 404),
        ("/deploys?worker=../api", 404),
        ("/deploys?worker=%61pi", 404),
        ("/deploys?worker=api\n", 404),
        ("/deploys?worker=-api", 400),
        ("/deploys?worker=" + "a" * 30, 400),
        ("/deploys?limit=1&worker=api", 404),
        ("/deploys?limit=-1", 404),
        ("/deploys?worker=api&worker=b", 404),
        ("/deploys?after=1", 404),
        ("/deploys?after=1&wait_us=1", 404),
        ("/deploys?after=1&wait_us=1&numbers=", 404),
        ("/deploys?after=1&wait_us=1&numbers=5,", 404),
        ("/deploys?after=-1&wait_us=1&numbers=5", 404),
        ("/deploys?after=1&wait_us=1&numbers=" + ",".join(["5"] * (MOST_NUMBERS + 1)), 404),
        ("/deploys?after=1&wait_us=1&numbers=" + "5" * 19, 404),
        ("/deploys?after=\u0661&wait_us=1&numbers=5", 404),
    ],
)
def test_what_is_no_question(target: str, status: int) -> None:
    with pytest.raises(Problem) as refused:
        deploys_question(target)
    assert refused.value.status == status


@given(st.sets(COUNTS, min_size=1, max_size=9), COUNTS, st.integers(0, LONGEST_WAIT_US))
def test_a_question_for_changes_arrives(numbers: set[int], after: int, wait_us: int) -> None:
    target = progress_target(sorted(numbers), after, wait_us)
    assert deploys_question(target) == ProgressQuestion(after, wait_us, frozenset(numbers))


def test_the_longest_question_fits_a_request_line() -> None:
    target = progress_target(range(10**18 - MOST_NUMBERS, 10**18), 10**18 - 1, LONGEST_WAIT_US)
    assert len(f"GET {target} HTTP/1.1\r\n") < USUAL_HEADS.request_line
    assert isinstance(deploys_question(target), ProgressQuestion)


@given(st.builds(PruneQuestion, WORKERS, st.booleans()))
def test_a_question_to_prune_arrives(asked: PruneQuestion) -> None:
    assert prune_question(prune_body(asked)) == asked


def test_a_prune_spares_the_caches_unless_it_says_otherwise() -> None:
    assert not prune_question({"workers": ["api"]}).caches


@pytest.mark.parametrize(
    "body",
    [{}, {"workers": []}, {"workers": ["*"]}, {"workers": ["api"], "release": ID}, {"workers": ["api"], "caches": 1}],
)
def test_what_is_no_question_to_prune(body: dict[str, object]) -> None:
    with pytest.raises(Problem, match=r"worker|caches"):
        prune_question(body)


@given(st.dictionaries(NAMES, st.builds(Pruned, st.lists(RELEASES, max_size=3).map(tuple), st.booleans()), max_size=3))
def test_what_was_pruned_arrives(pruned: dict[str, Pruned]) -> None:
    assert pruned_in(sent(pruned_body(pruned))) == pruned


def test_deploys_arrive() -> None:
    records = (replace(RECORD, number=6), RECORD)
    assert deploys_in(sent(deploys_body(records))) == records
    assert progress_in(sent(progress_body([(3, RECORD)], 7, 1))) == Progressed(7, 1, (RECORD,))


def test_an_answer_has_as_many_as_there_is_room_for() -> None:
    body = deploys_body([HUGE, replace(HUGE, number=4)])
    assert deploys_in(body) == (HUGE,)
    assert len(protocol.encoded(body)) < MAX_ANSWER


def test_changes_that_had_no_room_come_with_the_next_answer() -> None:
    changed = [(3, HUGE), (5, RECORD), (9, replace(HUGE, number=7))]
    found = progress_in(progress_body(changed, 9, 1))
    assert [(record.number, record.steps == ()) for record in found.deploys] == [(5, False), (5, True)]
    assert found.last_event == 5


def test_no_changes_are_an_answer() -> None:
    assert progress_in(sent(progress_body([], 9, 1))) == Progressed(9, 1, ())


ROW: Mapping[str, object] = deploys_body([RECORD])


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"deploys": {}},
        {"deploys": [7]},
        {"deploys": [{}]},
        {**ROW},
        {**ROW, "last_event": "9", "since_us": 1},
        {**ROW, "last_event": True, "since_us": 1},
        {**ROW, "last_event": 9, "since_us": None},
    ],
)
def test_what_is_no_answer_with_changes(found: dict[str, object]) -> None:
    with pytest.raises(NOT_READABLE):
        progress_in(found)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"pruned": []},
        {"pruned": {"../a": {"releases": [ID], "caches": False}}},
        {"pruned": {"api": [ID]}},
        {"pruned": {"api": {"releases": [ID]}}},
        {"pruned": {"api": {"releases": [7], "caches": False}}},
        {"pruned": {"api": {"releases": ["/etc"], "caches": False}}},
        {"pruned": {"api": {"releases": ID, "caches": False}}},
        {"pruned": {"api": {"releases": [ID], "caches": 1}}},
    ],
)
def test_what_is_no_answer_about_pruning(found: dict[str, object]) -> None:
    with pytest.raises(NOT_READABLE):
        pruned_in(found)


@given(st.text(max_size=60))
def test_no_other_target_gets_through(text: str) -> None:
    try:
        found = deploys_question(f"{deploy_protocol.DEPLOYS}?worker={text}")
    except Problem:
        return
    assert isinstance(found, HistoryQuestion)
    assert found.worker is not None
    assert name.is_worker_name(found.worker)
