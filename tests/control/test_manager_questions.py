"""Questions to the manager about journals and jobs, and what came of jobs: as they are sent, and as
a stranger may send them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.control import job_results, manager_protocol, protocol
from tqunits.control.manager_protocol import (
    LONGEST_JOB_WAIT_US,
    MOST_LINES,
    JobQuestion,
    LogQuestion,
    Meant,
    job_body,
    job_question,
    logs_question,
    logs_target,
)
from tqunits.control.protocol import LONGEST_WAIT_US, Problem
from tqunits.lifecycle.outcome import Failure, JobResult
from tqunits.model import Instance

API, SECOND = Instance("api"), Instance("api", 2)
CURSOR = "s=0639;i=1f;b=aa;m=1;t=2;x=3"
FAILED = Failure(
    result="exit-code", main_code=1, main_status=7, gate_status=None, program="/bin/x", invocation="a", main_pid=5
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/logs?worker=api", LogQuestion(Meant("api"), MOST_LINES)),
        ("/logs?worker=api&lines=7", LogQuestion(Meant("api"), 7)),
        ("/logs?worker=api&lines=999999", LogQuestion(Meant("api"), MOST_LINES)),
        (f"/logs?worker=api&after={CURSOR}", LogQuestion(Meant("api"), MOST_LINES, CURSOR)),
        ("/logs?instances=api,api:2&after=@17", LogQuestion(Meant("", (API, SECOND)), MOST_LINES, "@17")),
        ("/logs?worker=api&wait_us=999999999999", LogQuestion(Meant("api"), MOST_LINES, "", LONGEST_WAIT_US)),
        (logs_target([API, SECOND], 5, CURSOR, 9), LogQuestion(Meant("", (API, SECOND)), 5, CURSOR, 9)),
        (logs_target([API], 5), LogQuestion(Meant("", (API,)), 5)),
    ],
)
def test_a_question_for_lines(target: str, expected: LogQuestion) -> None:
    assert logs_question(target) == expected


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/logs", 404),
        ("/logs?", 404),
        ("/logs?worker=", 404),
        ("/logs?worker=api&worker=shop", 404),
        ("/logs?worker=api&instances=shop", 404),
        ("/logs?worker=../api", 404),
        ("/logs?worker=api*", 404),
        ("/logs?worker=%61pi", 404),
        ("/logs?worker=api\n", 404),
        ("/logs?worker=-api", 400),
        ("/logs?worker=" + "a" * 30, 400),
        ("/logs?instances=api:1", 400),
        ("/logs?instances=api,,api", 400),
        ("/logs?worker=api&after=--file=/etc/shadow", 404),
        ("/logs?worker=api&after=s=0 --root=/", 404),
        ("/logs?worker=api&after=" + ";".join(["s=0"] * 20), 404),
        ("/logs?worker=api&lines=-1", 404),
        ("/logs?worker=api&_UID=0", 404),
    ],
)
def test_what_is_no_question_for_lines(target: str, status: int) -> None:
    with pytest.raises(Problem) as refused:
        logs_question(target)
    assert refused.value.status == status


@given(st.text(max_size=80))
def test_nothing_else_gets_through(text: str) -> None:
    try:
        found = logs_question(f"/logs?worker=api&after={text}")
    except Problem:
        return
    assert found.after.replace(";", "").replace("=", "").lstrip("@").isalnum()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"worker": "api"}, JobQuestion(Meant("api"), LONGEST_WAIT_US)),
        ({"worker": "api", "wait_us": 0}, JobQuestion(Meant("api"), 0)),
        ({"worker": "api", "wait_us": 10**30}, JobQuestion(Meant("api"), LONGEST_JOB_WAIT_US)),
        ({"instances": ["api:2", "api", "api:2"]}, JobQuestion(Meant("", (SECOND, API)), LONGEST_WAIT_US)),
        (job_body([API, SECOND], 5), JobQuestion(Meant("", (API, SECOND)), 5)),
    ],
)
def test_a_question_for_jobs(body: dict[str, object], expected: JobQuestion) -> None:
    assert job_question(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"worker": "api", "instances": ["api"]},
        {"worker": "api", "mode": "flush"},
        {"worker": "*"},
        {"worker": "api\n"},
        {"worker": "../api"},
        {"worker": "tq-worker@api.service"},
        {"worker": ["api"]},
        {"worker": "api", "wait_us": -1},
        {"worker": "api", "wait_us": True},
        {"worker": "api", "wait_us": "1"},
        {"instances": "api"},
        {"instances": []},
        {"instances": [7]},
        {"instances": ["api", {}]},
        {"instances": ["api:1"]},
        {"instances": ["api:2\x1b[31m"]},
    ],
)
def test_what_is_no_question_for_jobs(body: dict[str, object]) -> None:
    with pytest.raises(Problem) as refused:
        job_question(body)
    assert refused.value.status == 400
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (JobResult(unit="tq-worker@api.service", result="done"), None),
        (JobResult(unit="tq-worker@api.service", result="waiting"), None),
        (JobResult(unit="tq-worker@api.service", result="failed", failure=FAILED), "exited with status 7"),
        (JobResult(unit="tq-worker@api.service", result="canceled"), "was canceled by another request"),
        (JobResult(unit="tq-worker@api.service", result="refused", message="masked"), "masked"),
    ],
    ids=["done", "goes on", "failed", "canceled", "refused"],
)
def test_what_came_of_a_job_is_told_and_read(result: JobResult, why: str | None) -> None:
    sent = json.loads(protocol.encoded(job_results.body([result])))
    assert (sent["jobs"][0]["why"], sent["jobs"][0]["worker"]) == (why, "api")
    assert job_results.read(sent) == [result]


@pytest.mark.parametrize(
    "document",
    [{}, {"jobs": 7}, {"jobs": [{}]}, {"jobs": [{"unit": 7, "result": "", "message": None, "failure": None}]}],
)
def test_what_is_no_result(document: dict[str, object]) -> None:
    assert job_results.read(document) is None


def test_a_failure_without_its_parts_is_no_result() -> None:
    row = {"unit": "u", "result": "failed", "message": None, "failure": {"result": "exit-code"}}
    assert job_results.read({"jobs": [row]}) is None


def test_a_request_of_a_hundred_instances_has_room() -> None:
    request = protocol.order(manager_protocol.START, job_body([Instance("a" * 24, n) for n in range(100, 200)], 10**12))
    assert len(request) < manager_protocol.MAX_ASKED
