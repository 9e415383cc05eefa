"""Records of deploys: what is written is read back as it was, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.lifecycle.deploys import (
    MAX_STEPS,
    MAX_TEXT,
    STEPS,
    DeployKind,
    DeployOutcome,
    DeployRecord,
    DeployStep,
    deploy_body,
    parse_deploy,
)
from tqunits.lifecycle.release import MAX_ACTOR, MAX_INSTANCE, MAX_MESSAGE, is_release_id
from tqunits.units import name

TIMES = st.integers(0, 10**18)
RELEASES = st.none() | st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
STEP_VALUES = st.builds(
    DeployStep,
    at_us=TIMES,
    what=st.sampled_from(sorted(STEPS)),
    text=st.text(),
    instance=st.none() | st.integers(1, MAX_INSTANCE),
)
RECORDS = st.builds(
    DeployRecord,
    number=TIMES,
    worker=st.from_regex(name.WORKER_PATTERN, fullmatch=True),
    kind=st.sampled_from(DeployKind),
    actor=st.text(max_size=MAX_ACTOR),
    message=st.text(max_size=MAX_MESSAGE),
    asked_us=TIMES,
    begun_us=st.none() | TIMES,
    ended_us=st.none() | TIMES,
    outcome=st.sampled_from(DeployOutcome),
    why=st.text(),
    hint=st.text(),
    release=RELEASES,
    before=RELEASES,
    revision=st.none() | st.from_regex(r"[0-9a-f]{40}|[0-9a-f]{64}", fullmatch=True),
    is_dirty=st.booleans() | st.none(),
    was_stable=st.booleans(),
    is_slow=st.booleans(),
    replaces=st.lists(st.from_regex(r"[0-9a-f]{32}", fullmatch=True), max_size=3).map(tuple),
    steps=st.lists(STEP_VALUES, max_size=5).map(tuple),
)

STEP = {"at_us": 1, "what": "build", "text": "it is built", "instance": None}
BODY: Mapping[str, object] = {
    "number": 5,
    "worker": "api",
    "kind": "deploy",
    "actor": "1000/ann",
    "message": "",
    "asked_us": 1,
    "begun_us": 2,
    "ended_us": None,
    "outcome": "running",
    "why": "",
    "hint": "",
    "release": "0123456789ab",
    "before": None,
    "revision": None,
    "is_dirty": False,
    "was_stable": False,
    "is_slow": False,
    "replaces": [],
    "steps": [STEP],
}

GOOD: dict[str, Mapping[str, object]] = {
    "nothing special": {},
    "the longest texts": {
        "why": "w" * MAX_TEXT,
        "hint": "h" * MAX_TEXT,
        "message": "m" * MAX_MESSAGE,
        "actor": "a" * MAX_ACTOR,
    },
    "the most steps": {"steps": [STEP] * MAX_STEPS},
    "no steps": {"steps": []},
    "the most runs": {"kind": "restart", "replaces": ["f" * 32] * MAX_INSTANCE},
    "an instance": {"steps": [{**STEP, "instance": MAX_INSTANCE}]},
    "lines, and what a terminal obeys": {"hint": "one\ntwo\x1b[2J"},
    "a revision of SHA-256": {"revision": "f" * 64},
}

BAD: dict[str, Mapping[str, object]] = {
    "another key": {"more": 1},
    "a number as text": {"number": "5"},
    "a truth as number": {"number": True},
    "a fraction": {"asked_us": 1.0},
    "a negative number": {"number": -1},
    "a number without end": {"asked_us": 10**19},
    "no worker": {"worker": None},
    "no name of a worker": {"worker": "../api"},
    "an instance's name": {"worker": "api:2"},
    "a worker with a line end": {"worker": "api\n"},
    "another kind": {"kind": "install"},
    "a kind in a list": {"kind": ["deploy"]},
    "another outcome": {"outcome": "DONE"},
    "a text that is none": {"why": None},
    "a text too long": {"why": "w" * (MAX_TEXT + 1)},
    "a message too long": {"message": "m" * (MAX_MESSAGE + 1)},
    "an actor too long": {"actor": "a" * (MAX_ACTOR + 1)},
    "a release too short": {"release": "0123456789a"},
    "a release in capitals": {"release": "0123456789AB"},
    "a release that leads elsewhere": {"before": "../../../etc"},
    "a revision that is a branch": {"revision": "main"},
    "a revision that is shortened": {"revision": "0123456"},
    "a flag as number": {"is_dirty": 0},
    "a flag as text": {"was_stable": "yes"},
    "a run that is none": {"replaces": ["../etc"]},
    "a run that is no text": {"replaces": [1]},
    "too many runs": {"replaces": ["f" * 32] * (MAX_INSTANCE + 1)},
    "steps as an object": {"steps": {}},
    "too many steps": {"steps": [STEP] * (MAX_STEPS + 1)},
    "a step that is none": {"steps": ["build"]},
    "another step": {"steps": [{**STEP, "what": "explode"}]},
    "a step with more": {"steps": [{**STEP, "more": 1}]},
    "a step with less": {"steps": [{"at_us": 1}]},
    "a step's text too long": {"steps": [{**STEP, "text": "t" * (MAX_TEXT + 1)}]},
    "instance 0": {"steps": [{**STEP, "instance": 0}]},
    "an instance too high": {"steps": [{**STEP, "instance": MAX_INSTANCE + 1}]},
}


@given(RECORDS)
def test_what_is_written_is_read_back(record: DeployRecord) -> None:
    assert parse_deploy(json.loads(json.dumps(deploy_body(record)))) == record


@pytest.mark.parametrize("changed", GOOD.values(), ids=GOOD)
def test_a_record(changed: Mapping[str, object]) -> None:
    body = {**BODY, **changed}
    assert deploy_body(parse_deploy(body)) == body


@pytest.mark.parametrize("changed", BAD.values(), ids=BAD)
def test_what_is_no_record(changed: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match=r" not | none$| neither "):
        parse_deploy({**BODY, **changed})


@pytest.mark.parametrize("missing", BODY)
def test_a_record_needs_each_key(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        parse_deploy({key: value for key, value in BODY.items() if key != missing})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


@given(st.sampled_from(sorted(BODY)), JSON)
def test_whatever_stands_there_is_a_record_or_a_value_error(key: str, value: object) -> None:
    try:
        record = parse_deploy({**BODY, key: value})
    except ValueError:
        return
    assert deploy_body(record)[key] == value


@pytest.mark.parametrize("value", [None, 7, "deploy", [], [BODY], {}])
def test_what_is_no_object_is_no_record(value: object) -> None:
    with pytest.raises(ValueError, match="a deploy: "):
        parse_deploy(value)


@given(st.text(alphabet="abz059-_:./A\n", max_size=26))
def test_a_record_is_of_whoever_may_be_a_worker(text: str) -> None:
    try:
        is_one = parse_deploy({**BODY, "worker": text}).worker == text
    except ValueError:
        is_one = False
    assert is_one is name.is_worker_name(text)


ENDED = {
    DeployOutcome.WAITING: False,
    DeployOutcome.RUNNING: False,
    DeployOutcome.DONE: True,
    DeployOutcome.UNCHANGED: True,
    DeployOutcome.FAILED: True,
    DeployOutcome.SUPERSEDED: True,
}


@pytest.mark.parametrize("outcome", DeployOutcome)
def test_what_has_ended(outcome: DeployOutcome) -> None:
    assert outcome.is_ended is ENDED[outcome]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0123456789ab", True), ("0123456789abc", False), ("0123456789ab\n", False), ("", False), ("stable", False)],
)
def test_the_name_of_a_release(text: str, expected: object) -> None:
    assert is_release_id(text) is expected


def steps(*whats: str) -> tuple[DeployStep, ...]:
    return tuple(DeployStep(at_us=1, what=what, text="") for what in whats)


@pytest.mark.parametrize(
    ("kind", "taken", "expected"),
    [
        (DeployKind.DEPLOY, (), True),
        (DeployKind.DEPLOY, ("build", "take", "note"), True),
        (DeployKind.DEPLOY, ("build", "take", "release_command"), True),
        (DeployKind.DEPLOY, ("release_command", "note"), True),
        (DeployKind.DEPLOY, ("release_command", "note", "surge", "note"), False),
        (DeployKind.DEPLOY, ("release_command", "drain"), False),
        (DeployKind.DEPLOY, ("release_command", "surge", "back"), False),
        (DeployKind.DEPLOY, ("release_command", "stable"), False),
        (DeployKind.ROLLBACK, (), False),
        (DeployKind.ROLLBACK, ("note",), False),
        (DeployKind.BUILD, (), False),
    ],
)
def test_a_release_command_is_run_until_the_switch_has_begun(
    kind: DeployKind, taken: tuple[str, ...], *, expected: bool
) -> None:
    record = replace(parse_deploy(BODY), kind=kind, steps=steps(*taken))
    assert record.needs_command is expected
